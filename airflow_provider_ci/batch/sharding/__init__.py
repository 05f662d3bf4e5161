"""Splits one source into many batches: disjoint shards, their record in the bucket, and one report of them.

The caller decides where the batches run.
"""
