"""How pictures lie in a folder: all in it, or in one folder for each class, however deep."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xaicore.pictures.bands import ARRAYS
from xaicore.pictures.file import suffixes

MASKS = {"mask", "masks"}
"""What folders of masks beside pictures are called."""


@dataclass
class Layout:
    """What lies in a folder.

    Attributes:
        folder: the folder.
        here: the names of the pictures in itself.
        classes: the pictures of each folder in it, as paths inside it.
        aside: what was left aside.
    """

    folder: Path
    here: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)

    def notes(self, tables: Sequence[Path]) -> list[str]:
        """Return what was left aside, but for tables that were asked for, in a line."""
        known = {table.resolve() for table in tables}
        aside = [name for name in self.aside if (self.folder / name).resolve() not in known]
        if not aside:
            return []
        other = "other file" if len(aside) == 1 else "other files"
        return [f"{len(aside)} {other} left aside, the first {aside[0]}"]


def laid_out(folder: Path, masks: Path | None) -> Layout:
    """Return what lies in a folder, but for what systems and editors hide there.

    Where there is no picture, arrays are taken for pictures.

    Args:
        folder: the folder.
        masks: a folder of masks, which are no pictures wherever it lies.

    Raises:
        ValueError: there are pictures both in the folder and in folders in it.
    """
    found = _laid_out(folder, masks, suffixes())
    if not found.here and not any(found.classes.values()):
        arrays = _laid_out(folder, masks, ARRAYS)
        return arrays if arrays.here or any(arrays.classes.values()) else found
    return found


def _laid_out(folder: Path, masks: Path | None, kinds: Collection[str]) -> Layout:
    found = Layout(folder)

    def sort_in(name: str, pictures: list[str]) -> None:
        (pictures if Path(name).suffix.lower() in kinds else found.aside).append(name)

    for entry in _entries(folder):
        if not entry.is_dir():
            sort_in(entry.name, found.here)
        elif masks is None or not Path(entry.path).samefile(masks):
            files = found.classes[entry.name] = []
            for path in _deep(entry, masks, (folder.resolve(),)):
                name = Path(path).relative_to(folder).as_posix()
                inner = set(map(str.lower, Path(name).parts[1:-1]))
                sort_in(name, found.aside if inner & MASKS else files)
    if found.here:
        for name, files in found.classes.items():
            if files:
                raise ValueError(
                    f"images: {folder} holds pictures, {found.here[0]} first, and folders of "
                    f"pictures, {name} first: keep one or the other, or list what you mean in a "
                    "table of labels"
                )
    return found


def _deep(folder: os.DirEntry[str], masks: Path | None, above: tuple[Path, ...]) -> Iterator[str]:
    """Yield the files in a folder and the folders in it; a link to one above is not followed."""
    here = Path(folder.path).resolve()
    if here in above:
        return
    for entry in _entries(Path(folder.path)):
        if not entry.is_dir():
            yield entry.path
        elif masks is None or not Path(entry.path).samefile(masks):
            yield from _deep(entry, masks, (*above, here))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        seen = [e for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
    return sorted(seen, key=lambda entry: entry.name)
