"""Peers whose code cannot be installed: a checkout, named by an environment variable."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from benchmarks.workloads import Workload

MODULE, VARIABLE = "authors", "OPTI_CAM_CODE"
SOURCE = "https://github.com/hanwei0912/OptiCAM"


def is_checked_out() -> bool:
    """Whether the environment names a checkout of the authors' code."""
    folder = os.environ.get(VARIABLE)
    return bool(folder) and (Path(str(folder)) / "util.py").is_file()


def taking_part(workload: Workload) -> Workload:
    """Return the workload with those contenders only whose code is here; say who is left out."""
    absent = [name for name in workload.contenders if name.startswith(f"{MODULE}.")]
    if not absent or is_checked_out():
        return workload
    print(f"left out: {', '.join(absent)}; let {VARIABLE} name a checkout of {SOURCE}")
    present = tuple(name for name in workload.contenders if name not in absent)
    return replace(workload, contenders=present)
