"""A run killed at any moment goes on: no row twice, none missing, the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.xaicore.evaluation import driver
from tests.xaicore.evaluation.subject import same
from xaicore.evaluation.folder import read_records

pytestmark = pytest.mark.starts


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, list[list[int]]]:
    """The folder of both runs, and what the driver counted in each."""
    out = tmp_path_factory.mktemp("driven")
    done = subprocess.run(
        [sys.executable, "-m", "tests.xaicore.evaluation.driver", out],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return out, [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_a_run_killed_at_random_moments_is_as_if_it_never_was(
    driven: tuple[Path, list[list[int]]],
) -> None:
    out, ((killed, finished, status), _) = driven
    assert killed == driver.KILLS >= 20
    assert 0 < finished < driver.IMAGES["kills"] / 2  # there was something to do after the last
    assert status == 0
    found = read_records(out / "kills")
    assert not found.duplicated(["image", "method", "metric"]).any()
    same(driver.work(None, driver.IMAGES["kills"]), found)


def test_a_kill_around_a_rename_loses_nothing(driven: tuple[Path, list[list[int]]]) -> None:
    out, (_, (deaths, finished, status)) = driven
    assert deaths == 8
    assert 0 < finished < driver.IMAGES["rename"] / 2
    assert status == 0
    same(driver.work(None, driver.IMAGES["rename"]), read_records(out / "rename"))
