"""Let the contenders of a workload take turns, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.worker import serve
from benchmarks.workloads import Workload

Record = dict[str, Any]


def race(name: str, workload: Workload, threads: int) -> list[Record]:
    """Measure a workload: one record per contender and round.

    All contenders stay alive, one works at a time, and each round starts with another one, so a
    ratio of two contenders in one round is taken under nearly the same load of the machine. Where
    there are several rounds, an untimed one warms up.
    """
    records: list[Record] = []
    results: dict[str, np.ndarray | None] = {}
    first = workload.contenders[0]
    with ExitStack() as stack:
        ready = {
            c: stack.enter_context(_process(c, workload, threads)) for c in workload.contenders
        }
        for turn in range(-1 if workload.rounds > 1 else 0, workload.rounds):
            for contender in rotated(workload.contenders, turn):
                record, results[contender] = _turn(ready[contender], contender)
                labels = {"workload": name, "contender": contender, "round": turn}
                records.append(labels | record)
    for record in records:
        record["difference"] = difference(results[first], results[record["contender"]])
    return [record for record in records if record["round"] >= 0]


def rotated(items: tuple[str, ...], turns: int) -> tuple[str, ...]:
    """Return the items, starting with another one each turn."""
    start = turns % len(items)
    return items[start:] + items[:start]


def difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> float | None:
    """Return the largest difference of two results; maps ``(B, H, W)`` are first brought to [0, 1].

    Returns:
        ``None`` where the results do not compare.
    """
    if ours is None or theirs is None:
        return None
    if ours.ndim == 3:
        ours, theirs = _normalized(ours), _normalized(theirs)
    return float(np.abs(ours - theirs).max())


def _normalized(maps: np.ndarray) -> np.ndarray:
    low, high = (bound(maps, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    return (maps - low) / np.where(high > low, high - low, 1)


@contextmanager
def _process(contender: str, workload: Workload, threads: int) -> Iterator[Connection]:
    """Keep a fresh interpreter with a contender in it, ready for its turns."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, contender, workload, threads))
    process.start()
    theirs.close()
    try:
        _receive(ours, contender)
        yield ours
    finally:
        ours.close()
        process.join()


def _turn(connection: Connection, contender: str) -> Any:
    connection.send("go")
    return _receive(connection, contender)


def _receive(connection: Connection, contender: str) -> Any:
    try:
        return connection.recv()
    except EOFError as error:
        raise SystemExit(f"{contender} failed; its error is above") from error
