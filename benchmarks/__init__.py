"""Benchmarks, one question per file. Most compare this package with a peer measured in the same run."""
