"""Converter processes: one JSON line in, one JSON line out, with limits of time and memory."""
