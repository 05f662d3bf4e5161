"""Converter processes with limits of time and memory; each request and each response is one JSON line."""
