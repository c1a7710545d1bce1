"""What the playground of the book carries to a browser: networks, pictures, colours, a kernel."""

from xaibook.playground.data import write

__all__ = ["write"]
