"""What all batches of a bucket share: who makes which outputs, and which outputs were made from what.

The bucket holds both in one document with numbered versions, the registry, and in the stored runs of the
index beside it.
"""
