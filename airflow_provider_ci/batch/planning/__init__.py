"""Turns the selected objects into a frozen plan: output names, fingerprints, up-to-date outputs.

Nothing here submits a job; the plan says what a run has to do.
"""
