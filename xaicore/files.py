"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
