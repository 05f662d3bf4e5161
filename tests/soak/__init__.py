"""Batches that are killed, frozen, disconnected and confused, judged by the server's own table of jobs.

``python -m tests.soak --rounds 600`` plays 600 rounds, each drawn from its seed. The batch and the local CI
run in separate processes, and a relay between them counts the requests. At requests drawn from the seed:

- the batch is killed (before or just after the server gets the request, or a moment later), frozen for longer
  than its lease, or started a second time;
- another batch with some of the same outputs is started;
- the server is killed and started again, or its clock jumps;
- requests fail, responses are lost, and submissions are taken late, even after their signature has expired;
- records of the batch are deleted: all, some, or one kind of them.

A round also has traits, which last for the whole round (see :mod:`tests.soak.drawing`): a wrong clock of the
service or the machine, cut or missing UserData, changed echoes, unreadable jobs of others, empty pages,
hidden and forgotten jobs, late listings, versioning, strict signatures. A later phase changes objects or the
operation, or makes everything again.

The batch is started again, under the same batch id, until it completes. Then every object must have exactly
the jobs that its phases call for, and every report must agree with the job table and the bucket.

A failed round keeps its folder; ``--seeds SEED`` plays it again. ``--amnesia`` checks the judge itself: it
deletes the outputs and all records before every new try, so jobs are doubled and the judge must say so.

Some events are never combined, because then no promise can hold:

- deleted records are not combined with other processes, with submissions in flight, or with a changed
  operation, because only the records say how an output was made;
- a deleted registry is not combined with late listings (condition 4 of docs/protocol.md);
- forgotten jobs are not combined with crashes or lost responses, because the service keeps jobs for a month;
- jumps of the service's clock are not combined with kills or freezes, because after a jump back, expired
  signatures are valid again.
"""
