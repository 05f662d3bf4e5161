"""Runs jobs: decides when a job runs, makes its outputs, and records how it ends."""
