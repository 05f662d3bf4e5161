"""Text sources: their encoding, a UTF-8 copy, and the delimiter of a csv."""
