"""What a source file is, by content and name together, and the checks that come before any converter."""
