"""Conversions within one request to a COS host: document previews, and pictures processed by a rule."""
