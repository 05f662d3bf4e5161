"""Reads pictures, changes them step by step as a rule says, and writes them. Runs in a worker process."""
