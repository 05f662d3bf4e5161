"""Buckets as folders of plain files: keys, listings, reading and writing, and objects that are made up."""
