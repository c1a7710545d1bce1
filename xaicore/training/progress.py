"""The progress of a training on disk: never that of another run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xaicore.files import read_tensors


def read_progress(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the progress in a file, or None where there is no file.

    Args:
        path: The file.
        identity: What the run is: recipe, seed and number of images.

    Raises:
        ValueError: The file holds no progress, or that of another run; the message says what
            differs.
    """
    if not path.is_file():
        return None
    state = read_tensors(path)
    kept = state.get("identity")
    if not isinstance(kept, dict):
        raise ValueError(f"checkpoint: {path} holds no progress of a training")
    differ = [
        f"{name} {kept.get(name)!r}, not {value!r}"
        for name, value in identity.items()
        if kept.get(name) != value
    ]
    if differ:
        raise ValueError(
            f"checkpoint: {path} is of another run ({'; '.join(differ)}): give another file, or "
            "remove it"
        )
    return state
