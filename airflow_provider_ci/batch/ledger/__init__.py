"""What a batch keeps in the bucket: its plan, its journal of jobs and results, and the lease of its run.

Every record names its plan by a random token, so a record of one plan is never taken for a record of another.
"""
