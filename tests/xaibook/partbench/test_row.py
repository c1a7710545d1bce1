"""``xaicore leaderboard``: a row of anybody's method, and one line for what cannot be one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from xaibook.chapter import stored
from xaibook.partbench import row
from xaicore.cli import options
from xaicore.cli.main import main

MINE = """
import xaicore as xc


def mine(classifier):
    return xc.GradCAM(classifier)


def wrong(classifier):
    return lambda images, targets: images
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A folder with methods, and options for few pictures."""
    (tmp_path / "methods_of_mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(row, "HELD", 8)
    return ["--pictures", "12", "-o", "row.csv"]


def test_a_method_of_ones_own_is_scored_as_the_stored_rows_are(
    few: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "methods_of_mine:mine", *few]) == 0
    assert "place" in capsys.readouterr().out
    written = pd.read_csv("row.csv").iloc[0]
    records, _ = stored("vebi.benchmark")
    own = records[(records["method"] == "grad-cam") & (records["image"] < 12)]
    for metric, column in (("PC", "PC"), ("RMA", "RMA stem"), ("RMA", "RMA petal")):
        task = column.partition(" ")[2] or "both"
        same = own[(own["metric"] == metric) & (own["task"] == task)]
        per_image = same.groupby("image")["value"].mean()
        assert written[column] == pytest.approx(100 * per_image.mean(), abs=1e-2)
        assert written["images"] == len(per_image)
    assert written["seconds_per_map"] > 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["methods_of_mine:none"], "methods_of_mine:none cannot be called"),
        (["methods_of_mine:wrong"], "maps"),
        (["grad-cams"], "did you mean"),
        (["grad-cam", "--pictures", "601"], "--pictures: 1 to 600"),
        (["grad-cam", "--every", "0"], "every"),
    ],
)
def test_what_cannot_be_a_row_is_refused_in_one_line(
    few: list[str], capsys: pytest.CaptureFixture[str], command: list[str], words: str
) -> None:
    assert main(["leaderboard", command[0], *few, *command[1:]]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not Path("row.csv").exists()


def test_without_the_package_of_the_book_the_command_says_what_it_needs(
    few: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "entry_points", lambda **_: ())
    assert main(["leaderboard", "grad-cam", *few]) == 2
    assert "needs the package of the book" in capsys.readouterr().err
