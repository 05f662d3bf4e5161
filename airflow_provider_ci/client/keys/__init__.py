"""Where the key of each request comes from."""
