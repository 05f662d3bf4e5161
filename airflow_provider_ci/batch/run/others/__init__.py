"""Finds, while planning, the outputs that other batches make, and follows them while running."""
