"""Batches that are killed, frozen, cut off and confused, with the server's own table of jobs as the judge.

``python -m tests.soak --rounds 600`` plays rounds, each drawn from its seed. A batch runs in a process of its
own, the local CI in another, and a relay between them counts the requests. At requests that the seed names

- the batch is killed (before the server has the request, after it, or a moment later), frozen for longer than
  its lease, or started a second time;
- another batch with some of the same outputs is started;
- the server is killed and started again, or its clock jumps;
- requests fail, responses are lost, and submissions are taken late, even after their signature has expired;
- records of the batch are deleted: all, some, or one kind of them.

A round has traits, which last (see :mod:`tests.soak.drawing`): a wrong clock of the service or the machine,
cut or missing UserData, changed echoes, unreadable jobs of others, empty pages, hidden and forgotten jobs,
late listings, versioning, strict signatures. A later phase changes objects or the operation, or makes
everything again.

The batch is started again, under the same batch id, until it completes. Then every object must have exactly
the jobs that its phases call for, and every report must agree with the job table and the bucket.

A failed round keeps its folder; ``--seeds SEED`` plays it again. ``--amnesia`` shows that the judge is awake:
it deletes the outputs and all records before every new try, and jobs are doubled.

Some events are never combined, because no promise can hold then: deleted records with other processes, with
submissions on their way, and with a changed operation (only the records say how an output was made);
forgotten jobs with crashes and lost responses (the service keeps its jobs for a month); a clock of the
service that jumps back with kills and freezes (signatures that had expired are valid again).
"""
