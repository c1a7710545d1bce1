"""The files that code uses are those that its names lead to."""

import ast

import nbformat
import pytest

from driver.chapter import chapters
from driver.uses import Followed, used

PACKAGE = {
    "xaicore/__init__.py": "from xaicore.other import wrong",
    "xaicore/__init__.pyi": (
        "from xaicore import metrics as metrics\n"
        "from xaicore.cams import *\n"
        "from xaicore.run import evaluate as evaluate\n"
    ),
    "xaicore/__main__.py": "from xaicore.cli.main import main",
    "xaicore/cli/main.py": "import importlib",
    "xaicore/cli/evaluate.py": "from xaicore.run import evaluate\nevaluate(out=1)",
    "xaicore/cli/report.py": "",
    "xaicore/cli/train_one.py": "",
    "xaicore/cams/__init__.py": (
        "from xaicore.cams.grad import Grad\n"
        "from xaicore.cams.score import Score\n"
        "ALL = (Grad, Score)\n"
    ),
    "xaicore/cams/grad.py": "from ..base import Base\nclass Grad(Base): ...",
    "xaicore/cams/score.py": "class Score: ...",
    "xaicore/base.py": "class Base: ...",
    "xaicore/metrics/__init__.py": "from xaicore.metrics.causal import *",
    "xaicore/metrics/causal.py": "def auc(): ...",
    "xaicore/run.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from xaicore.base import Base\n"
        "def evaluate(out=None):\n"
        "    if out is not None:\n"
        "        from xaicore.folder import Folder\n"
    ),
    "xaicore/folder.py": "",
    "book/xaibook/__init__.py": "",
    "book/xaibook/flowers.py": "import xaicore as xc\ndef classifier(): return xc.Grad",
}


@pytest.fixture
def follow(tmp_path):
    """Return what gives the names of the files that cells use, without their folder and suffix."""
    for name, text in PACKAGE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def names(*cells):
        files = (path.relative_to(tmp_path).with_suffix("") for path in used(tmp_path, cells))
        return {file.as_posix().removeprefix("xaicore/").removeprefix("book/") for file in files}

    return names


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import torch", set()),
        ("import xaicore as xc\nxc.Grad", {"cams/grad", "base"}),
        ("import xaicore as xc\nxc.Score()", {"cams/score"}),
        ("import xaicore as xc\nxc.ALL", {"cams/__init__", "cams/grad", "cams/score", "base"}),
        ("from xaicore import Score", {"cams/score"}),
        ("from xaicore.cams import Score as S", {"cams/score"}),
        ("from xaicore import cams\ncams.Score", {"cams/score"}),
        ("import xaicore as xc\nxc.metrics.auc()", {"metrics/causal"}),
        ("import xaicore.base", {"base"}),
        ("%matplotlib inline\nfrom xaicore.cams.score import *", {"cams/score"}),
        ("from xaibook.flowers import classifier", {"xaibook/flowers", "cams/grad", "base"}),
        ("import xaicore as xc\nxc.evaluate()", {"run"}),
        ("import xaicore as xc\nxc.evaluate(out='runs')", {"run", "folder"}),
        ("!xaicore evaluate --out runs", {"__main__", "cli/main", "cli/evaluate", "run", "folder"}),
        ("words = ['python', '-m', 'xaicore', *more]", {"__main__", "cli/main"}),
        ("words = ['report', 'train']", set()),
        ("!xaicore report runs", {"__main__", "cli/main", "cli/report"}),
        ("!xaicore train one", {"__main__", "cli/main", "cli/train_one"}),
        ("network = 'xaibook.flowers:classifier'", {"xaibook/flowers", "cams/grad", "base"}),
        ("%%writefile net.py\nfrom xaicore.base import Base", {"base"}),
    ],
)
def test_names_are_followed_to_the_modules_they_are_taken_from(follow, code, files):
    assert follow(code) == files


def test_cells_share_their_names(follow):
    assert follow("import xaicore as xc", "xc.Score") == {"cams/score"}


def test_a_package_that_is_handed_on_is_used_whole(follow):
    assert follow("from xaicore import cams\nprint(cams)") >= {"cams/grad", "cams/score"}


def test_the_folder_of_a_run_concerns_the_chapters_that_evaluate_into_one(root):
    def uses(chapter):
        cells = nbformat.read(chapter.source, as_version=4).cells
        files = used(root, [cell.source for cell in cells if cell.cell_type == "code"])
        assert root / "book/xaibook/chapter.py" in files  # the check that every chapter ends with
        return root / "xaicore/evaluation/folder.py" in files

    assert {chapter.name for chapter in chapters(root) if uses(chapter)} == {"run_it"}


def test_drawing_asks_the_methods_for_nothing_but_what_the_key_has_by_itself(root):
    """So a chapter that draws does not run again when a method changes that it does not use."""
    source = ast.parse((root / "xaicore/plot.py").read_text(encoding="utf-8"))
    taken = {name for name in Followed(root)._read(source, "xaicore") if "xaicore" in name[0]}
    assert taken == {("xaicore.attribution", "METHODS"), ("xaicore.interpretation", "FITTED")}
    files = used(
        root, ["import xaicore as xc\nfrom xaibook import style\nstyle.use()\nxc.plot.grid"]
    )
    drawing = {"xaicore/plot.py", "xaicore/html.py"}
    drawing |= {f"book/xaibook/{name}.py" for name in ("style", "vector")}
    assert files == {root / path for path in drawing}
