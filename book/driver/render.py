"""Render the pages with Jupyter Book, in one step and only when something changed."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from nbconvert.filters import strip_ansi

from driver.key import file_digest, installed_version
from driver.uses import used

TOOLS = ("jupyter-book", "sphinx", "sphinx-book-theme", "myst-nb", "sphinxcontrib-bibtex")
DRAWN_WITH = ("torch", "numpy", "pillow", "matplotlib")
"""What computes the data of the playground."""

STAMP = ".inputs"
CODE = {"driver", "studies", "xaibook", "__pycache__"}
"""Folders of the book that no page is made of."""


class RenderError(Exception):
    """Jupyter Book failed or warned; the message is what it said."""


def render(root: Path, fresh: bool = False) -> bool:
    """Render the book of `root` into ``_build/html``, replacing the last one only on success.

    A warning is an error. The pages are made in a folder of their own, which then takes the place
    of the last book.

    Args:
        root: Folder with ``_config.yml``, ``_toc.yml``, ``book`` and ``notebooks``.
        fresh: Render even if nothing changed.

    Returns:
        Whether anything was rendered.

    Raises:
        RenderError: If Jupyter Book fails or warns.
    """
    build = root / "_build"
    html, staging, old = build / "html", build / "staging", build / "old"
    inputs = inputs_digest(root)
    stamp = html / STAMP
    if not fresh and stamp.is_file() and stamp.read_text(encoding="utf-8") == inputs:
        return False
    for leftover in (staging, old):
        shutil.rmtree(leftover, ignore_errors=True)
    _run_jupyter_book(root, staging)
    made = staging / "_build" / "html"
    (made / STAMP).write_text(inputs, encoding="utf-8")
    if html.exists():
        os.replace(html, old)
    os.replace(made, html)
    for leftover in (staging, old):
        shutil.rmtree(leftover, ignore_errors=True)
    return True


def _run_jupyter_book(root: Path, output: Path) -> None:
    start = "from jupyter_book.cli.main import main; main()"
    options = ["--path-output", str(output), "-W", "-n", "--keep-going", "-q"]
    output.mkdir(parents=True)
    run = subprocess.run(
        [sys.executable, "-c", start, "build", str(root), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode != 0:
        raise RenderError(f"Jupyter Book did not render the book:\n{strip_ansi(run.stdout)}")


def inputs_digest(root: Path) -> str:
    """Return the hash of everything the pages are made of."""
    files = [root / "_config.yml", root / "_toc.yml", *root.glob("notebooks/*.ipynb")]
    files += root.glob("xaicore/**/*.py")
    files += [
        path
        for path in (root / "book").rglob("*")
        if path.is_file() and not CODE.intersection(path.relative_to(root / "book").parts)
    ]
    files += [*used(root, ["from xaibook.playground import write"])]
    files += root.glob("book/xaibook/weights/*-seed0.pt")
    files += root.glob("book/xaibook/records/claims*.toml")
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()} {file_digest(path)}\n".encode())
    for name in (*TOOLS, *DRAWN_WITH):
        digest.update(f"{name} {installed_version(name)}\n".encode())
    return digest.hexdigest()
