"""Where a checkout finds real pictures and weights."""

import os
from pathlib import Path

VARIABLE = "XAICORE_DATA"


def look_beside(root: Path) -> None:
    """Let ``XAICORE_DATA`` name the folder ``shared/data`` beside the checkout, if nothing does."""
    folder = root.resolve().parent / "shared" / "data"
    if folder.is_dir():
        os.environ.setdefault(VARIABLE, str(folder))
