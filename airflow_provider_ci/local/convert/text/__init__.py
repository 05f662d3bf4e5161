"""Text sources: finds their encoding and the delimiter of a csv, and makes a UTF-8 copy."""
