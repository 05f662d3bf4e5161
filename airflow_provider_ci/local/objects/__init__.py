"""Buckets as folders of plain files: keys, listings, reading and writing, and synthetic objects."""
