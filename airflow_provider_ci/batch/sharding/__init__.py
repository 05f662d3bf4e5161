"""One source as many batches: disjoint shards, their record in the bucket, and one report over all of them.

Who runs the batches, and where, is left to the caller.
"""
