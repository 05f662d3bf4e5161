"""Sends one signed request: address, pace, signature, deadline, repetition."""
