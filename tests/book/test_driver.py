"""The driver runs what changed, nothing else, and never leaves a broken book."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from driver import page
from driver.chapter import Chapter, chapters
from driver.key import content_key
from driver.render import inputs_digest

RECORDS = "../book/xaibook/records"
FOREIGN = ["unused.py", f"{RECORDS}/two.smoke.json", f"{RECORDS}/others.records.csv", "notes.md"]
TOC = "format: jb-book\nroot: book/intro\nchapters:\n"


def toy(name: str) -> nbformat.NotebookNode:
    """Return a notebook that uses one module of the package."""
    return new_notebook(
        cells=[
            new_markdown_cell(f"# {name}", id="title"),
            new_code_cell(
                'profile = "none"\nseed = 7', id="par", metadata={"tags": ["parameters"]}
            ),
            new_code_cell(
                '%matplotlib inline\nimport xaicore.used\nname = "shared.records"', id="import"
            ),
            new_code_cell("print(profile)\nprint(seed)", id="print"),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """Return a small repository with two chapters, in a folder with a space in its name."""
    monkeypatch.setenv("XAICORE_DATA", str(tmp_path / "data"))
    folder = tmp_path / "a project"
    for name in ("notebooks", "xaicore/inner", "book/xaibook/weights", "book/xaibook/records"):
        (folder / name).mkdir(parents=True)
    shutil.copy(root / "book" / "build.py", folder / "book")
    shutil.copytree(root / "book" / "driver", folder / "book" / "driver")
    listed = [f"  - file: book/chapters/{name}\n" for name in ("one", "two")]
    (folder / "_toc.yml").write_text(TOC + "".join(listed))
    for name in ("one", "two"):
        nbformat.write(toy(name), folder / "notebooks" / f"{name}.ipynb")
    package = {
        "__init__": "",
        "used": "from .inner import deep",
        "inner/__init__": "",
        "inner/deep": "from .. import base",
        "base": "",
        "unused": "",
    }
    for name, code in package.items():
        (folder / "xaicore" / f"{name}.py").write_text(code)
    return folder


def build(project, *options):
    return subprocess.run(
        [sys.executable, "book/build.py", *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change({cell.id: cell for cell in notebook.cells})
    nbformat.write(notebook, path)


class TestKey:
    @pytest.fixture
    def key(self, project):
        chapter = Chapter(project, "one")
        return lambda parameters=(("profile", "smoke"),): content_key(
            chapter, page.read(chapter.source), dict(parameters)
        )

    @pytest.mark.parametrize(
        "file",
        [
            "base.py",
            "inner/deep.py",
            "../book/xaibook/weights/w.pt",
            f"{RECORDS}/one.smoke.json",
            f"{RECORDS}/shared.records.csv.gz",
            "../../data/a.jpg",
        ],
    )
    def test_what_the_outputs_are_computed_from_changes_it(self, project, key, file):
        before = key()
        path = project / "xaicore" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1")
        assert key() != before

    @pytest.mark.parametrize("file", FOREIGN)
    def test_what_the_chapter_does_not_use_leaves_it(self, project, key, file):
        before = key()
        (project / "xaicore" / file).write_text("x = 1")
        assert key() == before

    def test_code_and_parameters_change_it_prose_and_captions_do_not(self, project, key):
        before = key()
        path = project / "notebooks" / "one.ipynb"
        edit(path, lambda cells: cells["title"].update(source="# Another"))
        edit(path, lambda cells: cells["print"].metadata.update(mystnb={"image": {"alt": "x"}}))
        assert key() == before
        assert key([("profile", "book")]) != before
        edit(path, lambda cells: cells["print"].update(source="print(1)"))
        assert key() != before

    def test_what_a_method_is_called_changes_it_and_what_it_does_leaves_it(self, project, key):
        file = project / "xaicore" / "attribution" / "mine.py"
        file.parent.mkdir(exist_ok=True)
        called = 'class Mine:\n    name = "mine"\n    label = "Mine"\n'
        file.write_text(called)
        before = key()
        file.write_text(f"{called}\n    def explain(self): ...\n")
        assert key() == before
        file.write_text(called.replace("Mine", "My own"))
        assert key() != before

    def test_the_version_of_a_library_changes_it(self, key, monkeypatch):
        before = key()
        monkeypatch.setattr("driver.key.version", lambda name: "0")
        assert key() != before


@pytest.mark.parametrize(
    ("file", "made_of"),
    [
        ("book/playground.md", True),
        ("book/_static/playground/net.js", True),
        ("book/xaibook/playground/kernel.py", True),
        ("book/xaibook/weights/stem-seed0.pt", True),
        ("book/xaibook/claims.py", False),
        ("xaicore/used.py", True),  # the reference is made of docstrings
    ],
)
def test_pages_are_rendered_again_if_what_they_are_made_of_changes(project, file, made_of):
    (project / "_config.yml").write_text("")
    package = project / "book" / "xaibook" / "playground"
    package.mkdir()
    (package / "__init__.py").write_text("from xaibook.playground.data import write")
    (package / "data.py").write_text("from xaibook.playground.kernel import module")
    (package / "kernel.py").write_text("")
    before = inputs_digest(project)
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    (project / file).write_text("x = 1")
    assert (inputs_digest(project) != before) == made_of


def test_a_listed_chapter_without_notebook_is_named(project):
    (project / "notebooks" / "two.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match=r"_toc\.yml lists two"):
        chapters(project)


def test_chapters_run_once_take_new_prose_and_survive_a_failure(project):
    first = build(project, "--pages", "--profile", "smoke")
    assert first.returncode == 0, first.stderr
    assert "one: cell 3/3" in first.stdout
    pages = {name: project / "book" / "chapters" / f"{name}.ipynb" for name in ("one", "two")}
    ran = page.read(pages["one"])
    assert ran.cells[-1].outputs[0].text == "smoke\n7\n"
    assert ran.metadata["xaicore"]["profile"] == "smoke"
    assert ran.metadata["xaicore"]["seed"] == 7
    assert ran.metadata["xaicore"]["seconds"] > 0
    texts = {name: path.read_text() for name, path in pages.items()}

    again = build(project, "--pages", "--profile", "smoke")
    assert again.stdout == "  one: up to date\n  two: up to date\n"

    edit(project / "notebooks" / "one.ipynb", lambda c: c["title"].update(source="# Better"))
    prose = build(project, "--pages", "--profile", "smoke")
    assert prose.stdout == "  one: prose updated\n  two: up to date\n"
    assert page.read(pages["one"]).cells[0].source == "# Better"
    assert pages["one"].read_text() == texts["one"].replace("# one", "# Better")

    bad = "import math\nmath.sqrt('text')"
    edit(project / "notebooks" / "two.ipynb", lambda c: c["import"].update(source=bad))
    failed = build(project, "--pages", "--profile", "smoke")
    assert failed.returncode == 1
    assert "two: code cell 2 of 3 failed: import math" in failed.stderr
    assert "TypeError: must be real number" in failed.stderr
    assert "Traceback" in failed.stderr
    assert "build.py" not in failed.stderr
    assert pages["two"].read_text() == texts["two"]


def test_stored_outputs_are_stable_and_free_of_the_run(project):
    (project / "_toc.yml").write_text(TOC + "  - file: book/chapters/one\n")
    path = project / "notebooks" / "one.ipynb"
    assert build(project, "--outputs").returncode == 0
    stored = path.read_text()
    notebook = page.read(path)
    assert [cell.id for cell in notebook.cells] == ["title", "par", "import", "print"]
    assert notebook.cells[-1].outputs[0].text == "none\n7\n"
    assert notebook.cells[-1].execution_count == 3
    assert "papermill" not in stored
    assert build(project, "--outputs").returncode == 0
    assert path.read_text() == stored
