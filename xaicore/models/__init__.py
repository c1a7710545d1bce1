"""The book's own networks, small enough to train on a processor in minutes."""
