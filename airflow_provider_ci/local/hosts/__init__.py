"""Where a request goes: a COS host, a CI host, or the pages for a browser."""
