"""Jobs of any kind: their records, requests and calls."""
