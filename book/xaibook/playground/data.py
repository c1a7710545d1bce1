"""The scripts that bring the playground's data to a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from xaibook.flowers.dataset import class_names
from xaibook.playground.encode import encoded
from xaibook.playground.kernel import module
from xaibook.playground.network import exported
from xaibook.playground.pictures import species_pictures, twin_pictures
from xaicore.plot import COLORMAP

FIRST = "species"
LATER = "petal", "stem"
"""The networks: what a page loads with its data, and what it loads when it is asked for."""


def first_data() -> dict[str, Any]:
    """Return what the page starts with."""
    return {
        "networks": {FIRST: exported(FIRST)},
        "counts": {task: len(class_names(task)) for task in (FIRST, *LATER)},
        "pictures": [*species_pictures(), *twin_pictures()],
        "colours": encoded(colours().tobytes()),
        "kernel": encoded(module()),
    }


def colours() -> np.ndarray:
    """Return the book's colour map as bytes ``(256, 3)``."""
    return mpl.colormaps[COLORMAP](np.arange(256), bytes=True)[:, :3]


def write(folder: Path) -> None:
    """Write ``data.js`` and a script for each network that is loaded later; three seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "data.js", "(window.XC ??= {}).data", first_data())
    for task in LATER:
        _write(folder / f"{task}.js", f"XC.data.networks.{task}", exported(task))


def _write(path: Path, name: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, separators=(",", ":"))
    path.write_text(f"{name}={text};\n", encoding="utf-8")
