"""A run killed at any moment goes on: no row twice, none missing, the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.runs import driver
from tests.runs.subject import run, same
from xaicore.runs import read_records


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    """The records of a run that was never stopped."""
    return run(None, driver.IMAGES, metrics=["AD", "AG", "AI"], chunk_size=2)


def drive(task: str, out: Path, root: Path) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.driver", task, out],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_a_run_killed_at_random_moments_is_as_if_it_never_was(
    whole: pd.DataFrame, tmp_path: Path, root: Path
) -> None:
    killed, finished, status = drive("kills", tmp_path / "run", root)
    assert killed == driver.KILLS >= 20
    assert 0 < finished < driver.IMAGES / 2  # there was still something to do after the last one
    assert status == 0
    found = read_records(tmp_path / "run")
    assert not found.duplicated(["image", "method", "metric"]).any()
    same(whole, found)


def test_a_kill_around_a_rename_loses_nothing(
    whole: pd.DataFrame, tmp_path: Path, root: Path
) -> None:
    deaths, finished, status = drive("rename", tmp_path / "run", root)
    assert deaths == 8
    assert 0 < finished < driver.IMAGES / 2
    assert status == 0
    same(whole, read_records(tmp_path / "run"))
