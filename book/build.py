"""Build the book: run the chapters that changed, then render the pages.

``python book/build.py`` is what ``make book`` calls.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from driver.chapter import Chapter, chapters, chosen
from driver.data import VARIABLE, look_beside
from driver.execute import ChapterError, Run, run_chapters
from driver.key import content_key
from driver.page import merge, provenance, read, write
from driver.render import CODE, RenderError, render

ROOT = Path(__file__).resolve().parents[1]
PROFILES = ("smoke", "book", "paper")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    look_beside(ROOT)
    try:
        if options.stored:
            render_stored(ROOT, options.stored)
        elif options.outputs:
            store_outputs(chosen(ROOT, options.chapter))
        else:
            update_pages(ROOT, options.profile, options.fresh)
            if not options.pages:
                render_pages(ROOT, options.fresh)
    except (ChapterError, RenderError, FileNotFoundError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the last book is as it was", file=sys.stderr)
        return 130
    return 0


def update_pages(root: Path, profile: str, fresh: bool = False) -> None:
    """Run the chapters whose content key changed; give the others their present prose.

    Args:
        root: Folder of the repository.
        profile: ``"smoke"``, ``"book"`` or ``"paper"``.
        fresh: Run every chapter.

    Raises:
        ChapterError: If a cell fails; the chapter's last page stays.
    """
    parameters: dict[str, object] = {"profile": profile}
    sources = {chapter: read(chapter.source) for chapter in chapters(root)}
    keys = {c: content_key(c, source, parameters) for c, source in sources.items()}
    stale = [c for c in sources if fresh or _page_key(c) != keys[c]]
    for chapter in (c for c in sources if c not in stale):
        changed = write(merge(sources[chapter], read(chapter.page)), chapter.page)
        print(f"  {chapter.name}: {'prose updated' if changed else 'up to date'}")

    def finish(run: Run, executed: NotebookNode, seconds: float) -> None:
        chapter = run.chapter
        executed.metadata["xaicore"] = {
            "key": keys[chapter],
            **provenance(chapter, sources[chapter], profile),
            "seconds": round(seconds, 1),
        }
        write(merge(sources[chapter], executed), chapter.page)

    if stale:
        print(f"Running {len(stale)} of {len(sources)} chapters, profile {profile}", flush=True)
        run_chapters([Run(chapter) for chapter in stale], parameters, finish)


def render_pages(root: Path, fresh: bool = False) -> None:
    """Render the pages and say where the book is."""
    print("Rendering the pages", flush=True)
    start = time.perf_counter()
    done = render(root, fresh)
    print(f"  rendered in {time.perf_counter() - start:.1f} s" if done else "  up to date")
    print(f"\nOpen the book: {root / '_build' / 'html' / 'index.html'}")


def store_outputs(some: Sequence[Chapter]) -> None:
    """Run notebooks as a visitor first would, and keep the outputs in them."""
    os.environ[VARIABLE] = ""
    run_chapters([Run(chapter) for chapter in some], {}, _store)


def render_stored(root: Path, folder: Path) -> None:
    """Render the book from the outputs stored in the notebooks, running nothing.

    Args:
        root: Folder of the repository.
        folder: Where to lay out a copy of the sources and render it, into ``_build/html``.
    """
    ignore = shutil.ignore_patterns("chapters", *CODE)
    shutil.copytree(root / "book", folder / "book", ignore=ignore, dirs_exist_ok=True)
    shutil.copytree(root / "notebooks", folder / "notebooks", dirs_exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, folder / name)
    for chapter in chapters(folder):
        page = read(chapter.source)
        page.metadata["xaicore"] = {"profile": "smoke", "origin": "stored in the repository"}
        write(page, chapter.page)
    render_pages(folder)


def _store(run: Run, executed: NotebookNode, seconds: float) -> None:
    write(merge(read(run.chapter.source), executed), run.chapter.source)


def _page_key(chapter: Chapter) -> str | None:
    if not chapter.page.is_file():
        return None
    return read(chapter.page).metadata.get("xaicore", {}).get("key")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="book", help="how much to compute")
    parser.add_argument("--fresh", action="store_true", help="run and render everything")
    parser.add_argument("--chapter", help="whose outputs to store (all)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--pages", action="store_true", help="run the chapters, render nothing")
    mode.add_argument("--outputs", action="store_true", help="store smoke outputs in notebooks/")
    mode.add_argument("--stored", type=Path, metavar="DIR", help="render the stored outputs in DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
