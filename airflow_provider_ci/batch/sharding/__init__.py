"""One source as many batches: disjoint shards, their record in the bucket, and one report over all of them.

The caller decides where the batches run.
"""
