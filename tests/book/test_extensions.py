"""What the extensions make of the pages of a small book: tables, words, solutions, citations."""

import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NEEDS_THE_BOOK = {"chapters", "command_help", "figures"}
NEEDS_THE_BOOK |= {"judged", "playground", "rooms", "selfcontained"}
TABLE = (
    '<div class="xc-table" id="toy"><table><caption>A table.</caption><tbody><tr><th>a</th></tr>'
    "</tbody></table></div>"
)
TEXT = """# A chapter

See {numref}`tab:toy` of a saliency map, after {cite:p}`torres2024castream` and
{cite:t}`torres2024gradients`. Another saliency map.
"""


@pytest.fixture(scope="module")
def chapter(root, tmp_path_factory):
    """Return a chapter of a small book, rendered."""
    folder = tmp_path_factory.mktemp("small")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    local = config["sphinx"]["local_extensions"]
    local = {name: str(root / "book/_ext") for name in local if name not in NEEDS_THE_BOOK}
    config["sphinx"]["local_extensions"] = local
    config["sphinx"]["config"]["html_static_path"] = []
    config["html"]["favicon"] = config["logo"] = ""
    (folder / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    pages = folder / "book" / "chapters"
    pages.mkdir(parents=True)
    for name in ("references.bib", "glossary.md", "bibliography.md"):
        shutil.copy(root / "book" / name, folder / "book")
    glossary = folder / "book" / "glossary.md"
    head, _, words = glossary.read_text(encoding="utf-8").partition("```{glossary}")
    glossary.write_text(f"# Glossary\n\n```{{glossary}}{words}", encoding="utf-8")
    assert "# Glossary" in head
    contents = {"format": "jb-book", "root": "book/chapters/toy"}
    others = ["book/glossary", "book/bibliography"]
    contents["parts"] = [{"chapters": [{"file": other} for other in others]}]
    (folder / "_toc.yml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    shown = new_output("execute_result", {"text/html": TABLE}, execution_count=1)
    folded = {"tags": ["hide-cell", "solution"]}
    cells = [
        new_markdown_cell(TEXT),
        new_code_cell("table()", outputs=[shown], execution_count=1),
        new_code_cell("1 + 1", metadata=folded, execution_count=2),
    ]
    python = {"kernelspec": {"name": "python3", "display_name": "Python"}}
    python["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    nbformat.write(new_notebook(cells=cells, metadata=python), pages / "toy.ipynb")
    start = "from jupyter_book.cli.main import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", start, "build", str(folder), "-q"], capture_output=True, text=True
    )
    built = folder / "_build/html/book/chapters/toy.html"
    assert built.is_file(), run.stdout + run.stderr
    return BeautifulSoup(built.read_text(encoding="utf-8"), "html.parser")


def test_a_table_has_a_number_and_the_text_refers_to_it(chapter):
    number = chapter.select_one(".xc-table caption .caption-number").text.strip()
    assert number.startswith("Table ")
    link = chapter.select_one('a[href="#tab-toy"]')
    assert link.text == number
    assert chapter.select_one("#tab-toy") is not None


def test_a_word_of_the_glossary_explains_itself_once(chapter):
    links = chapter.select("article a.xc-term")
    assert [link.text for link in links] == ["saliency map"]
    assert links[0]["href"].endswith("glossary.html#term-saliency-map")
    assert links[0]["title"].startswith("A number for every pixel")


def test_a_solution_says_that_it_is_one(chapter):
    assert "Show the solution" in chapter.select_one("div.tag_solution details summary").text


def test_papers_of_the_same_people_are_told_apart(chapter):
    said = " ".join(chapter.select_one("article p").text.split())
    assert "[Torres et al., CA-Stream, 2024]" in said
    assert "Torres Figueroa et al. [gradients, 2024]" in said
