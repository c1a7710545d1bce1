"""One training loop, and the commands that use it."""
