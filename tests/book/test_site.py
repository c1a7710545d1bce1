"""The rendered pages: complete, linked, readable without seeing, asking nothing of a network."""

import re
from pathlib import Path
from urllib.parse import unquote

from tests.book.hygiene import REPOSITORY

COLAB = "https://colab.research.google.com/github/executable-thesis/xaicore/blob/main/"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


def outside(address: str) -> bool:
    return address.startswith(("http://", "https://", "//"))


def test_every_page_of_the_contents_is_there(pages, site, chapter_names):
    names = {path.relative_to(site).as_posix() for path in pages}
    assert {f"book/chapters/{name}.html" for name in chapter_names} <= names
    prose = ("intro", "playground", "how_to_run", "bibliography")
    assert {f"book/{name}.html" for name in prose} <= names


def test_internal_links_and_anchors_lead_somewhere(pages):
    anchors = {
        path.resolve(): {e["id"] for e in soup.find_all(id=True)} for path, soup in pages.items()
    }
    broken, checked = [], 0
    for path, soup in pages.items():
        for link in soup.find_all(["a", "link"], href=True):
            address = link["href"]
            if outside(address) or address.startswith(("data:", "mailto:", "javascript:")):
                continue
            file, _, anchor = address.partition("#")
            target = (
                (path.parent / unquote(file.split("?")[0])).resolve() if file else path.resolve()
            )
            checked += 1
            missing = anchor and target in anchors and unquote(anchor) not in anchors[target]
            if not target.exists() or missing:
                broken.append((path.name, address))
    assert broken == []
    assert checked > 100


def test_launch_edit_and_download_lead_to_the_source_notebook(pages, site, root, chapter_names):
    for name in chapter_names:
        source = f"notebooks/{name}.ipynb"
        assert (root / source).is_file()
        soup = pages[site / "book" / "chapters" / f"{name}.html"]
        links = {link["href"] for link in soup.select(".article-header-buttons a[href]")}
        assert COLAB + source in links
        assert f"{REPOSITORY}/edit/main/{source}" in links
        assert f"../../_sources/{source}" in links
        assert (site / "_sources" / source).read_bytes() == (root / source).read_bytes()
        assert not any(
            f"{place}/main/book/chapters" in h for h in links for place in ("blob", "edit")
        )


def test_edit_links_of_the_prose_lead_to_files(pages, root):
    prefix = f"{REPOSITORY}/edit/main/"
    links = {
        link["href"] for soup in pages.values() for link in soup.select(f'a[href^="{prefix}"]')
    }
    assert len(links) > 3
    assert [link for link in links if not (root / link.removeprefix(prefix)).is_file()] == []


def test_every_picture_has_alternative_text(pages):
    pictures = [
        (path.name, image) for path, soup in pages.items() for image in soup.find_all("img")
    ]
    silent = [
        (name, str(image)[:80])
        for name, image in pictures
        if not image.get("alt")
        and "logo__image" not in image.get("class", [])
        and image.find_parent(role="img") is None
    ]
    assert silent == []
    drawings = [one for soup in pages.values() for one in soup.find_all("div", role="img")]
    assert drawings
    assert all(len(one["aria-label"]) > 20 for one in drawings)


def test_no_page_says_that_its_content_is_missing(pages):
    """A build without real data, as this one is, shows photographs all the same."""
    excuse = re.compile(r"not (?:on this machine|shown here|at hand here)|(?:is|are) missing here")
    said = {
        path.name: excuse.findall(" ".join(page.get_text().split())) for path, page in pages.items()
    }
    assert {name: words for name, words in said.items() if words} == {}
    for name in (
        "background",
        "opti_cam",
        "ca_stream",
        "interpretable_gradients",
        "vebi",
        "run_it",
    ):
        (page,) = (soup for path, soup in pages.items() if path.name == f"{name}.html")
        shown = page.select(".xc-photographs img, .xc-photographs image")
        assert shown, name
        for image in shown:
            credit = image.find_parent(class_="xc-photographs").select_one(".xc-credit")
            assert credit.find_all("a"), name


def test_nothing_is_loaded_from_elsewhere(pages, site):
    loaded = [
        (path.name, element[attribute])
        for path, soup in pages.items()
        for tag, attribute in LOADED.items()
        for element in soup.find_all(tag)
        if outside(element.get(attribute, ""))
    ]
    assert loaded == []
    styles = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    asking = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//")
    assert [name for name, text in styles.items() if asking.search(text)] == []


def test_no_markup_is_left_in_a_text(pages):
    for path, page in pages.items():
        assert re.findall(r"\{[\w:]+\}`[^`]*`", page.get_text()) == [], path


def test_every_computed_table_can_be_downloaded(pages):
    tables = [table for soup in pages.values() for table in soup.select("div.cell_output table")]
    for table in tables:
        block = table.find_parent(class_="xc-table")
        assert block is not None, f"not made by report.table: {str(table)[:80]}"
        assert block.select_one('a.xc-csv[download$=".csv"][href^="data:text/csv"]')
        assert table.caption is not None
        assert table.caption.text.strip()
        assert all(th.text.strip() and th.get("scope") for th in table.find_all("th"))


def test_every_chapter_says_how_it_was_computed(pages, site, chapter_names):
    for name in chapter_names:
        soup = pages[site / "book" / "chapters" / f"{name}.html"]
        assert "profile" in soup.select_one("aside.provenance").text


def test_mathematics_is_carried_along(site):
    assert (Path(site) / "_static" / "mathjax" / "tex-mml-chtml.js").is_file()
