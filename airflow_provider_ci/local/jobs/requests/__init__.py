"""Requests that submit a job or change a queue: read and checked before anything is stored."""
