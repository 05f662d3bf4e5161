"""Code that operators, sensors and triggers share, such as their arguments and their progress."""
