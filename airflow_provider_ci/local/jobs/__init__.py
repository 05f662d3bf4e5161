"""Jobs, queues and templates: from the request that submits a job to the callback that reports its end.

The table of jobs, the queues, the templates and the callbacks are here; ``requests`` reads and checks
requests, ``work`` runs jobs, ``responses`` builds the elements of responses.
"""
