"""A job is done: when it runs, what is made of its input, and how it ends."""
