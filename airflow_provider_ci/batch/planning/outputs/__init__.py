"""The outputs of a batch: their names, their fingerprints, and which of them exist already."""
