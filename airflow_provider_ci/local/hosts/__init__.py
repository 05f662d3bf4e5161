"""Routes a request to a COS host, a CI host, or the pages for a browser."""
