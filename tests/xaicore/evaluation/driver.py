"""Children of this process that evaluate, are killed at any moment, and go on.

Each child is forked after everything is imported, so that a kill costs no start of Python. The
command line is ``driver.py FOLDER``; each task makes a folder in it, see ``test_killed.py``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from tests.xaicore.evaluation.subject import run
from xaicore.evaluation.folder import Folder

IMAGES = {"kills": 240, "rename": 40}
"""How many there are in each task: enough that the last kill finds something to do."""

KILLS = 24


def work(out: Path | None, images: int) -> pd.DataFrame:
    """The run: a chunk for every two images."""
    return run(out, images, metrics=["AD", "AG", "AI"], chunk_size=2)


def child(task: Callable[[], object]) -> int:
    """Fork a child that does a task; return its process id."""
    process = os.fork()
    if process:
        return process
    torch.set_num_threads(1)
    try:
        task()
    finally:
        os._exit(1 if sys.exc_info()[0] else 0)


def kills(out: Path) -> None:
    """Kill the run at random moments, then let it finish; print how often it was at work.

    A moment is some time after some chunks, none at first, so that start-up is hit as well as work.
    """
    chance, at_work = random.Random(0), 0
    for _ in range(KILLS):
        before = len(Folder(out).listed())
        process = child(lambda: work(out, IMAGES["kills"]))
        chunks, pause = chance.choice(((0, 0.1), (1, 0.02), (2, 0.02), (3, 0.02)))
        while len(Folder(out).listed()) < before + chunks:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, pause))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        at_work += os.WIFSIGNALED(status)
    finished = len(Folder(out).listed())
    _, status = os.waitpid(child(lambda: work(out, IMAGES["kills"])), 0)
    print(at_work, finished, status)


def rename(out: Path) -> None:
    """Kill the run just before and just after each of its first renames, then let it finish."""
    replace, deaths = os.replace, 0
    for turn in range(8):
        calls = 0

        def deadly(old: Path, new: Path, turn: int = turn) -> None:
            nonlocal calls
            calls += 1
            if calls > turn % 3 and turn % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(old, new)
            if calls > turn % 3:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = deadly  # type: ignore[assignment]
        _, status = os.waitpid(child(lambda: work(out, IMAGES["rename"])), 0)
        deaths += os.WIFSIGNALED(status)
        os.replace = replace
    finished = len(Folder(out).listed())
    _, status = os.waitpid(child(lambda: work(out, IMAGES["rename"])), 0)
    print(deaths, finished, status)


if __name__ == "__main__":
    kills(Path(sys.argv[1]) / "kills")
    rename(Path(sys.argv[1]) / "rename")
