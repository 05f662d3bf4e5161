"""Sends one signed request: its address, pace, signature, deadline and retries."""
