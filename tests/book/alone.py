"""The playground on a page of its own, without the book around it, and what it must agree with."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _ext.playground import SCRIPTS
from xaibook.flowers.dataset import sample_scene
from xaibook.playground import write


def lay_out(folder: Path, sources: Path) -> None:
    """Copy the scripts, write their data, and a page that loads them."""
    shutil.copytree(sources, folder / "playground")
    write(folder / "playground")
    tags = "".join(f'<script defer src="playground/{name}.js"></script>' for name in SCRIPTS)
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
        '<link rel="stylesheet" href="playground/playground.css">'
        f'<h1>t</h1><div class="xc-play"></div>{tags}',
        encoding="utf-8",
    )


def data_in(script: Path) -> dict[str, Any]:
    """Return the data that a script gives a name to."""
    text = script.read_text(encoding="utf-8")
    return json.loads(text[text.index("={") + 1 :].rstrip(";\n"))


def image(question: str, seed: int) -> Tensor:
    """Return a test picture as the page has it, its numbers float32, in float64, (1, 3, 64, 64)."""
    pixels = sample_scene(question, seed).render().image
    return (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255).double()
