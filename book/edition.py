"""Print the built book as one PDF with bookmarks; ``make pdf`` calls it."""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import yaml
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, NullObject

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SKIPPED = {"book/playground"}
"""Pages of controls, which paper does not have."""

SHEET = """
@page { size: A4; margin: 14mm 10mm 16mm; %s }
html { counter-reset: page %d; }
"""
FOOT = "@bottom-center { content: '%s \\00b7  ' counter(page); font: 8px sans-serif; }"
FRONT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>%(title)s</title><style>
body { font: 11pt/1.5 Georgia, serif; margin: 0 12mm; } h1 { font-size: 30pt; margin: 70mm 0 8mm; }
h2 { break-before: page; } h3 { margin: 5mm 0 1mm; break-after: avoid; } p { margin: 0; }
a { display: flex; color: inherit; text-decoration: none; } a span { margin-left: auto; }
</style><h1>%(title)s</h1><p>%(author)s</p><h2>Contents</h2>%(lines)s</html>"""
OPEN = "document.querySelectorAll('details:not(.hide)').forEach(fold => { fold.open = true; })"

WIDTH = 718
"""Of what is printed on a sheet, in pixels of a page: A4 without its margins."""
FIT = """() => {
  for (const box of document.querySelectorAll('.xc-scroll, .xc-scrolled, .cell_output')) {
    const wide = box.querySelector('table, svg'), room = 0.96 * box.clientWidth;
    if (wide && wide.scrollWidth > room) wide.style.zoom = room / wide.scrollWidth;
  }
}"""
"""Nothing can be scrolled on paper: what is wider is drawn smaller."""


def main() -> int:
    """Print ``_build/html`` into ``_build/book.pdf`` and return the exit code."""
    html, target = ROOT / "_build" / "html", ROOT / "_build" / "book.pdf"
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not html.is_dir() or path is None:
        missing = "a book (make book)" if path else "Chromium on the PATH"
        print(f"printing needs {missing}", file=sys.stderr)
        return 1
    with sync_playwright() as tools, tempfile.TemporaryDirectory() as folder:
        browser = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        write(contents(ROOT / "_toc.yml"), html, browser, Path(folder), target)
        browser.close()
    print(f"Open the book: {target}")
    return 0


def contents(toc: Path) -> list[tuple[str, list[str]]]:
    """Return the parts of the book with their pages; the first part is the landing page."""
    table = yaml.safe_load(toc.read_text(encoding="utf-8"))
    parts = [(part["caption"], [c["file"] for c in part["chapters"]]) for part in table["parts"]]
    return [
        (caption, [page for page in pages if page not in SKIPPED])
        for caption, pages in [("", [table["root"]]), *parts]
    ]


def write(
    parts: list[tuple[str, list[str]]], html: Path, browser: Browser, folder: Path, target: Path
) -> None:
    """Print the pages of a built book, join them behind a title and contents, and number them.

    Args:
        parts: the parts with their pages, as ``contents`` returns them.
        html: the folder of the built book.
        browser: what prints.
        folder: where single pages are kept.
        target: the PDF to write.
    """
    titles, sheets, starts = {}, {}, {}
    done = 0
    for page in (page for _, pages in parts for page in pages):
        printed = folder / f"{page.replace('/', '-')}.pdf"
        titles[page] = print_page(browser, html / f"{page}.html", printed, done)
        sheets[page], starts[page] = PdfReader(printed), done
        done += len(sheets[page].pages)
        print(f"  {titles[page]}: {len(sheets[page].pages)} pages", flush=True)
    front = folder / "front.pdf"
    print_front(browser, lines(parts, titles, starts, html), front)
    book = PdfWriter()
    for sheet in PdfReader(front).pages:
        book.add_page(sheet)
    before = len(book.pages)
    for caption, pages in parts:
        part = None
        for page in pages:
            first = len(book.pages)
            for sheet in sheets[page].pages:
                book.add_page(sheet)
            lead_inside(book, first, sheets[page])
            if caption and part is None:
                part = book.add_outline_item(title=caption, page_number=first)
            book.add_outline_item(title=titles[page], page_number=first, parent=part)
    lead_across(book, {page: before + start for page, start in starts.items()}, html)
    book.compress_identical_objects()
    book.write(target)


def print_page(browser: Browser, source: Path, target: Path, done: int = 0) -> str:
    """Print one page, in the light scheme, its folds but the code's open, and return its title.

    Args:
        browser: what prints.
        source: the page.
        target: the PDF to write.
        done: how many sheets stand before its first.
    """
    page = browser.new_page(color_scheme="light", viewport={"width": WIDTH, "height": 1000})
    page.emulate_media(media="print")
    page.goto(source.as_uri(), wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
    page.evaluate(OPEN)
    page.evaluate(FIT)
    title = str(page.evaluate("document.querySelector('h1').firstChild.textContent")).strip()
    page.add_style_tag(content=SHEET % (FOOT % title.replace("'", "\\2019 "), done))
    page.pdf(path=target, print_background=True, prefer_css_page_size=True)
    page.close()
    return title


def lines(
    parts: list[tuple[str, list[str]]],
    titles: Mapping[str, str],
    starts: Mapping[str, int],
    html: Path,
) -> str:
    """Return the contents: the parts, and a line for each page with the number of its sheet."""
    return "".join(
        f"<h3>{escape(caption)}</h3>"
        + "".join(
            f'<a href="{(html / page).as_uri()}.html">{escape(titles[page])} '
            f"<span>{starts[page] + 1}</span></a>"
            for page in pages
        )
        for caption, pages in parts
    )


def print_front(browser: Browser, shown: str, target: Path) -> None:
    """Print the title and the contents, which have no numbers."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    words = {name: escape(config[name]) for name in ("title", "author")}
    source = target.with_suffix(".html")
    source.write_text(FRONT % (words | {"lines": shown}), encoding="utf-8")
    page = browser.new_page()
    page.goto(source.as_uri())
    page.add_style_tag(content=SHEET % ("", 0))
    page.pdf(path=target, prefer_css_page_size=True)
    page.close()


def lead_inside(book: PdfWriter, first: int, source: PdfReader) -> None:
    """Let the links of a page to itself lead to their places, which its sheets lose when joined.

    Args:
        book: what holds the sheets.
        first: where the first of them is.
        source: the page as it was printed.
    """
    places = source.named_destinations
    for number in range(first, len(book.pages)):
        for note in notes(book, number):
            name = str(note.get("/Dest", ""))
            if name in places:
                place = places[name]
                sheet = first + (source.get_destination_page_number(place) or 0)
                lead(book, note, sheet, place.top)


def lead_across(book: PdfWriter, starts: Mapping[str, int], html: Path) -> None:
    """Let links to other pages of the book lead to their first sheets; no file is named.

    Args:
        book: the joined sheets.
        starts: where the first sheet of each page is.
        html: the folder of the built book.
    """
    root = f"{html.as_uri()}/"
    for number in range(len(book.pages)):
        for note in notes(book, number):
            action = cast(DictionaryObject, note.get("/A", DictionaryObject()))
            address = str(action.get("/URI", ""))
            if address.startswith(root):
                page = unquote(address.removeprefix(root)).partition("#")[0].removesuffix(".html")
                del note["/A"]
                if page in starts:
                    lead(book, note, starts[page], None)


def notes(book: PdfWriter, number: int) -> list[DictionaryObject]:
    """Return the links of a sheet."""
    return [note.get_object() for note in book.pages[number].get("/Annots", ())]


def lead(book: PdfWriter, note: DictionaryObject, number: int, top: object) -> None:
    """Let a link lead to a sheet, at some height of it."""
    height = NullObject() if top is None else FloatObject(top)
    where = [NameObject("/XYZ"), NullObject(), height, NullObject()]
    target = book.pages[number].indirect_reference
    note[NameObject("/Dest")] = ArrayObject([target, *where])


if __name__ == "__main__":
    sys.exit(main())
