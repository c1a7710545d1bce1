"""The source notebooks keep their rules, and the rules and the comparison can fail."""

import copy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.book.hygiene import REPOSITORY, WIDGET, problems

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PARAMETERS = 'profile = "smoke"\ndevice = "cpu"\nseed = 0\nn_images = None'


def test_every_chapter_has_a_notebook_and_every_notebook_is_a_chapter(chapter_names):
    assert sorted(chapter_names) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert problems(notebook) == []


@pytest.fixture
def good():
    """Return a small notebook that keeps every rule."""
    printed = new_output("stream", text="2\n")
    picture = new_output("display_data", {"image/png": "AAAA"})
    figure = {
        "mystnb": {"figure": {"caption": "One.", "name": "fig:one"}, "image": {"alt": "One"}},
    }
    check = {"tags": ["nbval-check-output"]}
    cells = [
        new_markdown_cell("Maths $0.1$, code `0.2`, {glue:text}`x:.3f` and Python 3.11.", id="p"),
        new_code_cell(f"if False:\n    %pip install {REPOSITORY}", id="install"),
        new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell("1", id="figure", metadata=figure, outputs=[picture]),
        new_code_cell("check = print\ncheck(1 + 1)", id="c", metadata=check, outputs=[printed]),
    ]
    for count, cell in enumerate(cells[1:], start=1):
        cell.execution_count = count
    return new_notebook(cells=cells)


def test_the_good_notebook_has_no_problem(good):
    assert problems(good) == []


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(notebook):
        place = notebook
        for step in path:
            place = place[step]
        place[last] = value

    return change


BREAKS = {
    "never compared": _set("cells", 3, "execution_count", None),
    "first code cell": _set("cells", 1, "source", "import xaicore"),
    "tagged 'parameters'": _set("cells", 2, "source", PARAMETERS.replace("smoke", "book")),
    "without caption": _set("cells", 3, "metadata", "mystnb", "image", "alt", ""),
    "not image/webp": _set("cells", 3, "outputs", 0, "data", {"image/webp": "AAAA"}),
    "without their credit": _set("cells", 3, "source", "one = free_photographs()\none"),
    "kB of photographs": _set(
        *("cells", 3, "outputs", 0, "data"),
        {"text/html": f'<img src="data:image/jpeg;base64,{"A" * 340_000}"><p class="xc-credit">'},
    ),
    "a widget": _set("cells", 3, "outputs", 0, "data", WIDGET, {}),
    "stderr in the stored output": _set("cells", 4, "outputs", 0, "name", "stderr"),
    "a decimal number in a compared output": _set("cells", 4, "outputs", 0, "text", "0.5\n"),
    "path of the machine": _set("cells", 4, "outputs", 0, "text", f"{Path.home()}/x"),
    "does not check": _set("cells", 4, "metadata", {}),
    "0.5 is typed": _set("cells", 0, "source", "The gain is 0.5."),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_broken_rule_is_found(good, message):
    broken = copy.deepcopy(good)
    BREAKS[message](broken)
    found = problems(broken)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(("stored", "passes"), [("2\n", True), ("3\n", False)])
def test_nbval_compares_the_stored_output(good, tmp_path, stored, passes):
    good.cells[4].outputs[0].text = stored
    good.cells.pop(3)
    nbformat.write(good, tmp_path / "small.ipynb")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == (0 if passes else 1), run.stdout
    assert passes or "Cell outputs differ" in run.stdout
