"""The outputs of a batch: what they are called, what identifies them, and which of them are there."""
