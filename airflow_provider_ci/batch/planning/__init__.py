"""From the selected objects to the frozen plan: output names, fingerprints, outputs that are up to date.

Nothing here submits a job; the plan says what a run has to do.
"""
