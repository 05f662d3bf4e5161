"""Sources of the key that signs each request."""
