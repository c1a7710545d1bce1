"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a file to write beside ``path``; move it there if the block succeeds.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: ``path`` is a folder.
    """
    check_output(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: ``path`` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"output: {path} is a folder, name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"output: there is no folder {path.parent}")


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values; the file appears whole or not at all.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: ``path`` is a folder.
    """
    with replacing(path) as part, part.open("wb") as file:
        torch.save(content, file)  # by handle, for torch writes a path's name into the file


def read_tensors(path: Path) -> dict[str, Any]:
    """Return what ``write_tensors`` wrote, on the CPU.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of damaged files torch raises many kinds
        raise ValueError(f"{path} is not a file of tensors saved by torch.save") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no table of tensors")
    return content
