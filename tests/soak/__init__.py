"""Batches that are killed at every turn, again and again, with the server's own table of jobs as the judge.

``python -m tests.soak --rounds 300`` plays rounds, each drawn from its seed: a batch runs in a process of its
own, the local CI in another, and a relay between them counts the requests. At requests that the seed names,
the batch is killed (before the server has the request, after it, or a moment later), frozen, or started a
second time; the server is killed and started again; faults are set. In a fifth of the rounds the service
keeps the UserData of jobs to itself; in a quarter listings of objects are behind; in a quarter the bucket has
versioning, so that no PUT keeps another from replacing its object. The batch is started anew, under the same
batch id, until it ends well. Then every object must have exactly one job that is neither cancelled nor
failed, and the report must name that job.

A round that fails keeps its folder and is played again with ``--seed SEED --rounds 1``. ``--amnesia`` shows
that the judge is awake: it removes the ledger from the bucket before every new try, and jobs are doubled.
"""
