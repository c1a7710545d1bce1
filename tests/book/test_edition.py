"""The PDF edition: its sheets are numbered, and its links lead to sheets, not to files."""

import pytest

edition = pytest.importorskip("edition")
pypdf = pytest.importorskip("pypdf")

PAGES = {
    "book/intro": '<h1>Begin<a>#</a></h1><a href="chapters/one.html#there">to one</a>',
    "book/chapters/one": (
        '<h1>One</h1><a href="#there">down</a> <a href="../intro.html">back</a> '
        '<a href="https://example.org/">away</a>'
        '<p id="there" style="break-before: page">There.</p><details>Unfolded.</details>'
    ),
}


@pytest.fixture(scope="module")
def printed(browser, tmp_path_factory):
    """Return a book of two pages, printed."""
    folder = tmp_path_factory.mktemp("printed")
    for name, text in PAGES.items():
        page = folder / "html" / f"{name}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"<!doctype html><meta charset='utf-8'>{text}", encoding="utf-8")
    parts = [("", ["book/intro"]), ("Chapters", ["book/chapters/one"])]
    edition.write(parts, folder / "html", browser, folder, folder / "book.pdf")
    return folder / "book.pdf"


def test_the_contents_and_the_sheets_have_the_same_numbers(printed):
    texts = (" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(printed).pages)
    title, contents, begin, one, there = texts
    assert "Interpreting Image Recognition Models" in title
    assert "Begin 1" in contents
    assert "One 2" in contents
    assert "Begin · 1" in begin
    assert "One · 2" in one
    assert "One · 3" in there
    assert "Unfolded." in there


def test_links_lead_to_sheets_and_no_file_is_named(printed):
    assert b"file://" not in printed.read_bytes()
    reader = pypdf.PdfReader(printed)
    sheet_of = {page.indirect_reference.idnum: place for place, page in enumerate(reader.pages)}
    leads = [
        [
            sheet_of[of["/Dest"][0].idnum] if "/Dest" in of else of["/A"]["/URI"]
            for of in (note.get_object() for note in page.get("/Annots", ()))
        ]
        for page in reader.pages
    ]
    assert leads == [[], [2, 3], [3], [4, 2, "https://example.org/"], []]


def test_the_bookmarks_have_parts(printed):
    (begin, part, inner) = pypdf.PdfReader(printed).outline
    assert (begin.title, part.title, inner[0].title) == ("Begin", "Chapters", "One")


def test_pages_of_controls_are_left_out(root):
    parts = edition.contents(root / "_toc.yml")
    assert parts[0] == ("", ["book/intro"])
    assert "book/playground" not in {page for _, pages in parts for page in pages}
