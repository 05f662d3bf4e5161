"""Finds out what a source file is, by content and name, and checks the file before any converter sees it."""
