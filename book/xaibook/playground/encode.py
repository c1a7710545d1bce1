"""Bytes in a script: a page from disk may load scripts, and nothing else."""

import base64


def encoded(content: bytes) -> str:
    """Return bytes as the text that ``atob`` reads."""
    return base64.b64encode(content).decode("ascii")
