"""One contender in one fresh process, so that its peak of memory is its own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.case import Part, Passes, make_case
from benchmarks.workloads import Workload

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def serve(connection: Connection, contender: str, workload: Workload, threads: int) -> None:
    """Prepare a contender, then measure it each time it is asked to, until nobody asks any more."""
    torch.set_num_threads(threads)
    case = make_case(workload)
    module, function = contender.split(".")
    run = getattr(importlib.import_module(f"benchmarks.calls.{module}"), function)(case)
    scale = run.scale if isinstance(run, Part) else 1.0
    passes = Passes(case.net)
    loaded = reset_peak()
    connection.send("ready")
    with suppress(EOFError):
        while connection.recv():
            passes.counts.clear()
            seconds, result = timed(run)
            costs = {**seconds, **{kind: passes.counts[kind] for kind in Passes.KINDS}}
            record = {name: cost * scale / workload.batch for name, cost in costs.items()}
            peak = memory("VmHWM")
            record |= {"scale": scale, "peak_mib": peak, "added_mib": peak - loaded}
            connection.send((record, result))


def timed(run: Callable[[], Any]) -> tuple[dict[str, float], np.ndarray | None]:
    """Return the wall and CPU seconds of a call, all its threads together, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"wall_s": wall, "cpu_s": cpu}, result


def memory(field: str) -> float:
    """Return a field of the process's status in MiB; NaN where the system has no such file."""
    if not STATUS.exists():
        return float("nan")
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def reset_peak() -> float:
    """Forget the peak of memory so far; return the memory in use, in MiB."""
    if CLEAR.exists():
        CLEAR.write_text("5")
    return memory("VmRSS")
