"""Jobs, queues and templates: from the request that submits a job to the callback that reports its end."""
