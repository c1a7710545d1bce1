"""Where real pictures and weights are, if there are any."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "XAICORE_DATA"


def find_data() -> Path | None:
    """Return the folder that the environment variable ``XAICORE_DATA`` names, or None.

    Raises:
        FileNotFoundError: it names a folder that does not exist.
    """
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{VARIABLE} names {folder}, which is not a folder")
    return folder.resolve()
