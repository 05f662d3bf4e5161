"""Parses the text of a picture rule into typed steps; an error names the step."""
