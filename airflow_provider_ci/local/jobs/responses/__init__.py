"""Jobs, queues and listings as the elements of a response."""
