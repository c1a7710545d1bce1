"""A rendered book and a browser for the tests of the pages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from filelock import FileLock

from driver.chapter import chapters
from tests.book import alone


@pytest.fixture(scope="session")
def site(root, tmp_path_factory) -> Path:
    """Return the book rendered from the outputs stored in the notebooks; a warning is an error.

    It is rendered once for all processes of a test run.
    """
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "a book"
    html = folder / "_build" / "html"
    with FileLock(f"{folder}.lock"):
        if not html.is_dir():
            run = subprocess.run(
                [sys.executable, root / "book" / "build.py", "--stored", folder],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            assert run.returncode == 0, run.stdout + run.stderr
    return html


@pytest.fixture(scope="session")
def pages(site) -> dict[Path, BeautifulSoup]:
    """Return every page of the book, parsed."""
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    }


@pytest.fixture(scope="session")
def chapter_names(root) -> list[str]:
    """Return the names of the chapters."""
    return [chapter.name for chapter in chapters(root)]


@pytest.fixture(scope="session")
def playground(root, tmp_path_factory) -> Path:
    """Return a page that is the playground alone, without the book around it."""
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "a playground"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            alone.lay_out(folder, root / "book" / "_static" / "playground")
    return folder / "index.html"


@pytest.fixture(scope="session")
def browser():
    """Return a headless Chromium that asks nothing of the network by itself."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on the PATH")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=path, headless=True, args=flags)
        yield running
        running.close()
