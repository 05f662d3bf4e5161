"""Pictures: read, changed step by step as a rule says, and written; runs in a worker process."""
