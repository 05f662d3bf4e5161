"""Conversions within a request to a COS host: previews of documents, pictures by rule."""
