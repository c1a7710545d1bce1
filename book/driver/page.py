"""Executed pages: how they are put together, read and written."""

import ast
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from driver.chapter import Chapter
from driver.key import installed_version

INJECTED = "injected-parameters"
VERSIONS = ("torch", "torchvision", "numpy")


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook in one step, unless the file already holds exactly that.

    Returns:
        Whether the file changed.
    """
    text = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return True


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of the source, leaving out what papermill injected."""
    return [c for c in notebook.cells if c.cell_type == "code" and INJECTED not in tags(c)]


def merge(source: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return the source's cells with the outputs of its run.

    The code cells of both must be the same, in the same order; prose, tags and captions are the
    source's, so that editing them needs no run.
    """
    runs = iter(code_cells(executed))
    injected = [cell for cell in executed.cells if INJECTED in tags(cell)]
    merged = nbformat.from_dict(source)
    merged.cells = []
    for cell in nbformat.from_dict(source).cells:
        merged.cells.append(cell)
        if cell.cell_type == "code":
            run = next(runs)
            cell.outputs, cell.execution_count = run.outputs, run.execution_count
        if "parameters" in tags(cell):
            merged.cells += [_plain(cell) for cell in injected]
    if "xaicore" in executed.metadata:
        merged.metadata["xaicore"] = executed.metadata["xaicore"]
    return merged


def provenance(chapter: Chapter, source: NotebookNode, profile: str) -> dict[str, Any]:
    """Return what a reader needs to repeat a run."""
    return {
        "commit": _commit(chapter.root),
        "profile": profile,
        "seed": _defaults(source).get("seed", "none"),
        "versions": {
            "Python": platform.python_version(),
            **{name: installed_version(name) for name in (*VERSIONS, "xaicore")},
        },
    }


def _plain(cell: NotebookNode) -> NotebookNode:
    """Return an injected cell without what differs from run to run."""
    plain = nbformat.v4.new_code_cell(cell.source, id=INJECTED, metadata={"tags": [INJECTED]})
    plain.execution_count = cell.execution_count
    return plain


def _defaults(source: NotebookNode) -> dict[str, Any]:
    """Return the literal values that the cell tagged ``parameters`` assigns."""
    cells = [cell for cell in code_cells(source) if "parameters" in tags(cell)]
    return {
        target.id: ast.literal_eval(node.value)
        for cell in cells
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _commit(root: Path) -> str:
    """Return the short commit, with ``+`` when packages or notebooks differ from it."""
    commit = _git(root, "rev-parse", "--short", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", "xaicore", "book/xaibook", "notebooks")
    return f"{commit}{'+' if changed else ''}" if commit else "none"


def _git(root: Path, *arguments: str) -> str:
    try:
        run = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
