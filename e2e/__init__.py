"""End-to-end tests of whole deployments, which are set up from nothing and judged from outside."""
