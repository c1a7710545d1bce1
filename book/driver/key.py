"""The content key of a chapter: it changes when, and only when, the chapter must run again."""

import ast
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from driver.chapter import Chapter
from driver.data import VARIABLE

LIBRARIES = ("torch", "torchvision", "captum", "numpy", "scipy", "pandas", "matplotlib")


def content_key(chapter: Chapter, notebook: NotebookNode, parameters: Mapping[str, object]) -> str:
    """Return the key of what a chapter's outputs are computed from.

    That is its code cells, its parameters, the `xaicore` modules it imports directly or through
    others, the packaged weights, its own references, the stored records that it or they name, the
    versions of the libraries that compute, and the real data present. Prose, captions and tags are
    not part of it.

    Args:
        chapter: The chapter.
        notebook: Its source notebook.
        parameters: What papermill will set.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    package = chapter.root / "xaicore"
    files = modules(chapter.root, code)
    files |= set(package.glob("weights/*.pt")) | set(package.glob(f"reference/{chapter.name}.*"))
    naming = [
        *code,
        *(path.read_text(encoding="utf-8") for path in files if path.suffix == ".toml"),
    ]
    files |= {path for path in package.glob("reference/*.csv*") if _is_named(path, naming)}
    parts = [
        code,
        dict(parameters),
        {path.relative_to(chapter.root).as_posix(): file_digest(path) for path in files},
        {name: installed_version(name) for name in LIBRARIES},
        data_listing(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def modules(root: Path, code: list[str]) -> set[Path]:
    """Return the files of the `xaicore` modules that code cells import, directly or not."""
    python = TransformerManager().transform_cell
    pending = [name for cell in code for name in _imports(python(cell), "")]
    files: set[Path] = set()
    while pending:
        name = pending.pop()
        parents = [name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)]
        for path in filter(None, (_module_file(root, parent) for parent in parents)):
            if path not in files:
                files.add(path)
                pending += _imports(path.read_text(encoding="utf-8"), _package(root, path))
    return files


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


def _imports(code: str, package: str) -> Iterator[str]:
    """Yield the names that Python code imports; `package` resolves its relative imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if node.level else []
            parts = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*parts, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _module_file(root: Path, name: str) -> Path | None:
    if name.partition(".")[0] != "xaicore":
        return None
    path = root.joinpath(*name.split("."))
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)


def _package(root: Path, path: Path) -> str:
    return ".".join(path.parent.relative_to(root).parts)
