"""The outputs that other batches make: found while planning, followed while running."""
