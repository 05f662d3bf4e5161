"""Whole deployments, set up from nothing and judged from outside."""
