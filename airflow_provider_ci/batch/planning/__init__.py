"""From the selected objects to the frozen plan: output names, fingerprints, what is up to date.

Nothing here submits a job; the plan says what a run has to do.
"""
