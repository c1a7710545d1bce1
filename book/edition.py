"""Print the built book as one PDF with bookmarks; ``make pdf`` calls it."""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOOT = (
    '<p style="font-size: 8px; width: 100%; text-align: center">'
    '<span class="title"></span> · <span class="pageNumber"></span></p>'
)
OPEN = "document.querySelectorAll('details:not(.hide)').forEach(fold => { fold.open = true; })"


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
    return [("", [table["root"]]), *parts]


def write(
    parts: list[tuple[str, list[str]]], html: Path, browser: Browser, folder: Path, target: Path
) -> None:
    """Print the pages of a built book and join them.

    Args:
        parts: the parts with their pages, as ``contents`` returns them.
        html: the folder of the built book.
        browser: what prints.
        folder: where single pages are kept.
        target: the PDF to write.
    """
    book = PdfWriter()
    for caption, pages in parts:
        part = None
        for page in pages:
            printed = folder / f"{page.replace('/', '-')}.pdf"
            title = print_page(browser, html / f"{page}.html", printed)
            first = len(book.pages)
            for sheet in PdfReader(printed).pages:
                book.add_page(sheet)
            if caption and part is None:
                part = book.add_outline_item(title=caption, page_number=first)
            book.add_outline_item(title=title, page_number=first, parent=part)
            print(f"  {title}: {len(book.pages) - first} pages", flush=True)
    book.compress_identical_objects()
    book.write(target)


def print_page(browser: Browser, source: Path, target: Path) -> str:
    """Print one page, in the light scheme, its folds but the code's open, and return its title."""
    page = browser.new_page(color_scheme="light")
    page.goto(source.as_uri(), wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
    page.evaluate(OPEN)
    page.pdf(
        path=target,
        format="A4",
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOT,
        margin={"top": "14mm", "bottom": "16mm", "left": "10mm", "right": "10mm"},
    )
    title = page.evaluate("document.querySelector('h1').firstChild.textContent")
    page.close()
    return str(title).strip()


if __name__ == "__main__":
    sys.exit(main())
