"""The runs that are too long for every build: what is explained, and how it is scored."""
