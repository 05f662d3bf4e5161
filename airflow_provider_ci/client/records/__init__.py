"""What the records of all nouns share: checked fields, a serialized form, pages."""
