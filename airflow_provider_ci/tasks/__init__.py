"""What the tasks of all operators, sensors and triggers share, from their arguments to their progress."""
