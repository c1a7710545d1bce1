"""Values are gathered under settings, published with their spread, and compared by setting."""

import json
import os
import subprocess

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

import references
from driver.chapter import Chapter
from driver.gather import VALUES, Gathered, gather
from driver.settings import Setting, SettingError
from xaibook import chapter as xaibook_chapter

AVX2, NATIVE = Setting("avx2", 1), Setting("native", 2)
CHECK = """
import json, os
from pathlib import Path

threads = int(os.environ["OMP_NUM_THREADS"])
assert threads == 1, f"{threads} threads"
folder = Path(os.environ["XAICORE_VALUES"])
folder.mkdir()
values = {"limit": os.environ.get("ATEN_CPU_CAPABILITY", "none")}
(folder / f"toy.{profile}.json").write_text(json.dumps(values))
"""


@pytest.fixture
def toy(tmp_path) -> Chapter:
    """Return a chapter that prints what is not stored, and runs with one thread alone."""
    compared = {"tags": ["nbval-check-output"]}
    cells = [
        new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]}),
        new_code_cell(
            "print(1)", id="first", metadata=compared, outputs=[new_output("stream", text="0\n")]
        ),
        new_code_cell(CHECK, metadata=compared),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    (tmp_path / "notebooks").mkdir()
    chapter = Chapter(tmp_path, "toy")
    nbformat.write(new_notebook(cells=cells, metadata=kernel), chapter.source)
    return chapter


def test_the_driver_and_the_chapters_mean_the_same_variable():
    assert VALUES == xaibook_chapter.VALUES


def test_each_kernel_has_the_environment_of_its_setting_and_problems_of_its_own(toy, monkeypatch):
    monkeypatch.setenv("XAICORE_DATA", "")
    found = gather([toy], [AVX2, NATIVE], "smoke")[toy]
    assert found["avx2-1"].values == {"limit": "avx2"}
    assert found["avx2-1"].failure == ""
    assert found["avx2-1"].moved == [r"cell first prints '1\n' here, '0\n' stored"]
    assert found["native-2"].values == {}
    assert "toy [native-2]: code cell 3 of 3 failed" in found["native-2"].failure
    assert "2 threads" in found["native-2"].failure
    assert VALUES not in os.environ


@pytest.fixture
def gathered(monkeypatch, toy):
    """Let two settings give what a test says, without running anything."""
    toy.references("smoke").parent.mkdir(parents=True)

    def give(first, second):
        found = {toy: {AVX2.name: first, NATIVE.name: second}}
        monkeypatch.setattr(references, "gather", lambda *_: found)

    return give


class TestPublish:
    def run(self, toy):
        return references.publish([toy], [NATIVE, AVX2], "smoke")

    def test_the_values_are_those_of_avx2_and_the_spread_is_beside_them(self, toy, gathered):
        gathered(Gathered({"gain": 2.5, "n": 3}), Gathered({"gain": 2.625, "n": 3}))
        assert self.run(toy) == 0
        assert json.loads(toy.references("smoke").read_text()) == {
            "gain": {"value": 2.5, "spread": 0.12},
            "n": 3,
        }

    def test_a_spread_that_became_narrower_is_published(self, toy, gathered):
        toy.references("smoke").write_text('{"gain": {"value": 2.5, "spread": 0.5}}')
        gathered(Gathered({"gain": 2.5}), Gathered({"gain": 2.5}))
        self.run(toy)
        assert json.loads(toy.references("smoke").read_text())["gain"]["spread"] == 0.0

    def test_a_longer_profile_has_at_least_the_spread_of_the_smallest(self, toy, gathered):
        toy.references("smoke").write_text('{"gain": {"value": 2.5, "spread": 0.05}}')
        gathered(Gathered({"gain": 5.0}), Gathered({"gain": 5.0}))
        references.publish([toy], [NATIVE, AVX2], "book")
        assert json.loads(toy.references("book").read_text())["gain"]["spread"] == 0.1

    def test_outputs_that_moved_are_no_reason_against(self, toy, gathered):
        gathered(Gathered({"n": 3}, moved=["cell a"]), Gathered({"n": 3}))
        assert self.run(toy) == 0

    @pytest.mark.parametrize(
        ("second", "reason"),
        [
            (Gathered({"n": 4}), "n is a truth"),
            (Gathered(failure="cell 3 failed"), "cell 3 failed"),
        ],
    )
    def test_a_chapter_that_is_refused_is_left_as_it_was(
        self, toy, gathered, capsys, second, reason
    ):
        toy.references("smoke").write_text('{"n": 2}')
        gathered(Gathered({"n": 3}), second)
        assert self.run(toy) == 1
        assert reason in capsys.readouterr().out
        assert toy.references("smoke").read_text() == '{"n": 2}'


class TestCompare:
    def run(self, toy, published):
        toy.references("smoke").write_text(json.dumps(published))
        return references.compare([toy], [AVX2, NATIVE])

    def test_what_agrees_everywhere_is_said_to(self, toy, gathered, capsys):
        gathered(Gathered({"gain": 2.5}), Gathered({"gain": 2.625}))
        assert self.run(toy, {"gain": {"value": 2.5, "spread": 0.125}}) == 0
        assert "toy        yes        yes\n" in capsys.readouterr().out

    def test_what_differs_is_named_with_its_setting(self, toy, gathered, capsys):
        gathered(Gathered({"gain": 2.5}), Gathered({"gain": 2.625}))
        assert self.run(toy, {"gain": {"value": 2.5, "spread": 0.01}}) == 1
        shown = capsys.readouterr().out
        assert "toy        yes   1 differ\n" in shown
        assert "toy [native-2]: gain: 2.625 here, 2.5 ± 0.1 published" in shown

    def test_an_output_that_moved_is_a_difference(self, toy, gathered, capsys):
        gathered(Gathered({"n": 3}), Gathered({"n": 3}, moved=["cell a prints 1"]))
        assert self.run(toy, {"n": 3}) == 1
        assert "toy [native-2]: cell a prints 1" in capsys.readouterr().out

    def test_a_run_that_failed_is_one_that_differs(self, toy, gathered, capsys):
        gathered(Gathered({"gain": 2.5}), Gathered(failure="cell 3 failed"))
        assert self.run(toy, {"gain": {"value": 2.5, "spread": 0.01}}) == 1
        assert "toy [native-2]: cell 3 failed" in capsys.readouterr().out


def test_the_setting_of_a_commit_is_said(tmp_path, capsys):
    for command in (["init"], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-m", "x"]):
        more = ["--allow-empty"] if command[-1] == "x" else []
        subprocess.run(["git", "-C", tmp_path, *command, *more], check=True, capture_output=True)
    (setting,) = references.under(tmp_path, ["commit"])
    assert f"under the setting {setting.name}, too" in capsys.readouterr().out
    assert references.under(tmp_path, ["default-1"]) == [Setting("default", 1)]
    with pytest.raises(SettingError, match="no setting fast"):
        references.under(tmp_path, ["fast"])


def test_the_exit_code_says_whether_all_is_as_it_should_be(toy, gathered, monkeypatch, capsys):
    monkeypatch.setattr(references, "chosen", lambda *_: [toy])
    gathered(Gathered({"n": 3}), Gathered({"n": 3}))
    assert references.main(["--profile", "smoke"]) == 0
    assert references.main(["--compare"]) == 0
    gathered(Gathered({"n": 3}), Gathered({"n": 4}))
    assert references.main(["--profile", "smoke"]) == 1
    assert references.main(["--compare"]) == 1
    assert references.main(["--setting", "fast"]) == 2
    assert "no setting fast" in capsys.readouterr().err
