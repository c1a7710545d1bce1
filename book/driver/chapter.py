"""Which chapters the book has, and where their source and their executed page are."""

from dataclasses import dataclass
from pathlib import Path

import yaml

PAGES, SOURCES, RECORDS = "book/chapters", "notebooks", "book/xaibook/records"


@dataclass(frozen=True)
class Chapter:
    """One chapter: a source notebook and the executed page made of it."""

    root: Path
    name: str

    @property
    def source(self) -> Path:
        """The notebook people edit."""
        return self.root / SOURCES / f"{self.name}.ipynb"

    @property
    def page(self) -> Path:
        """The executed notebook that is rendered."""
        return self.root / PAGES / f"{self.name}.ipynb"

    def references(self, profile: str) -> Path:
        """Return the file of the values that it publishes for a profile."""
        return self.root / RECORDS / f"{self.name}.{profile}.json"


def chapters(root: Path) -> list[Chapter]:
    """Return the chapters that the table of contents lists, in its order.

    Args:
        root: Folder of the repository.

    Raises:
        FileNotFoundError: If a listed chapter has no notebook.
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = [
        Chapter(root, Path(file).name)
        for file in _files(toc)
        if Path(file).parent.as_posix() == PAGES
    ]
    for chapter in found:
        if not chapter.source.is_file():
            raise FileNotFoundError(f"_toc.yml lists {chapter.name}, but {chapter.source} is none")
    return found


def chosen(root: Path, name: str | None) -> list[Chapter]:
    """Return the chapter of a name, or all.

    Raises:
        FileNotFoundError: If there is no chapter of that name.
    """
    known = chapters(root)
    found = [chapter for chapter in known if name in (None, chapter.name)]
    if not found:
        names = ", ".join(chapter.name for chapter in known)
        raise FileNotFoundError(f"there is no chapter {name}: the chapters are {names}")
    return found


def _files(entry: object) -> list[str]:
    """Return every ``file:`` of a table of contents, depth first."""
    if isinstance(entry, list):
        return [file for part in entry for file in _files(part)]
    if not isinstance(entry, dict):
        return []
    here = [entry["file"]] if "file" in entry else []
    return here + [file for value in entry.values() for file in _files(value)]
