"""The text of a picture rule, read into typed steps; what makes no sense is refused with its place."""
