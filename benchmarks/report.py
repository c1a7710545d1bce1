"""From records to ratios and tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks.workloads import AIMS, WORKLOADS, Aim

Record = dict[str, Any]

LIBRARIES = {
    "xaicore": "xaicore",
    "captum": "captum",
    "torchcam": "torchcam",
    "gradcam": "pytorch-grad-cam",
    "quantus": "Quantus",
    "authors": "authors' code",
    "bare": "the network alone",
}
HEADER = (
    "contender",
    "wall s",
    "CPU s",
    "forwards",
    "heads",
    "backwards",
    "whole backwards",
    "peak MiB",
    "added MiB",
    "wall ÷ first",
    "CPU ÷ first",
    "difference",
)


class Ratio(NamedTuple):
    """How many times faster one contender is than another: the median over rounds, and extremes."""

    median: float
    low: float
    high: float


def ratio(records: Sequence[Record], ours: str, peer: str, seconds: str) -> Ratio:
    """Return the peer's seconds over ours, taken round by round.

    Args:
        records: the records of one workload.
        ours: the contender of xaicore.
        peer: the contender it is compared with.
        seconds: ``"wall_s"`` or ``"cpu_s"``.
    """
    by_round = {(r["contender"], r["round"]): r[seconds] for r in records}
    rounds = sorted({r["round"] for r in records})
    return of_rounds([by_round[peer, turn] / by_round[ours, turn] for turn in rounds])


def of_rounds(ratios: Sequence[float]) -> Ratio:
    """Return the median and the extremes of the ratios of several rounds."""
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def spread(found: Ratio) -> str:
    """Return a ratio for a table: the median, and in brackets the extremes."""
    return f"{found.median:.3g} ({found.low:.3g}–{found.high:.3g})"


def verdict(found: Ratio, factor: float) -> str:
    """Say whether an aim is met: by the median, else only by the best round, else not."""
    if found.median >= factor:
        return "yes"
    return "within the noise" if found.high >= factor else "no"


def aims_table(records: Sequence[Record], aims: Iterable[Aim] = AIMS) -> str:
    """Return the table of the aims, each against the fastest of its peers."""
    rows = []
    for aim in aims:
        mine = [r for r in records if r["workload"] == aim.workload]
        known = {r["contender"] for r in mine}
        peers = known.intersection(aim.peers)
        if not peers or aim.ours not in known:
            continue
        cells = []
        for seconds in ("wall_s", "cpu_s"):
            found = min(ratio(mine, aim.ours, peer, seconds) for peer in peers)
            cells += [spread(found), verdict(found, aim.factor)]
        rows.append([aim.text, f"{aim.factor:.3g}", *cells])
    header = ["aim", "at least", "wall: times faster", "met", "CPU: times faster", "met"]
    return markdown(header, rows)


def workload_tables(records: Sequence[Record]) -> str:
    """Return a headed table for each workload that was measured."""
    parts = []
    for name in dict.fromkeys(r["workload"] for r in records):
        mine = [r for r in records if r["workload"] == name]
        workload = WORKLOADS[name]
        how = f"{mine[0]['side']} px, batch of {mine[0]['batch']}, {_rounds(mine)}"
        where = f"{mine[0]['processor']}; commit {mine[0]['commit']}"
        measured = f"{workload.network}, {workload.layer}, {how}; {where}"
        parts.append(f"### {workload.title}\n\n{measured}.\n")
        contenders = dict.fromkeys(r["contender"] for r in mine)
        ordered = sorted(contenders, key=workload.contenders.index)
        parts.append(markdown(HEADER, [_row(mine, ordered[0], each) for each in ordered]))
    return "\n".join(parts)


def merged(known: Iterable[Record], new: Sequence[Record]) -> list[Record]:
    """Return records in the order of the workloads, the new ones in the place of their elders."""
    again = {record["workload"] for record in new}
    records = [*(r for r in known if r["workload"] not in again), *new]
    order = list(WORKLOADS)
    return sorted(
        (r for r in records if r["workload"] in WORKLOADS),
        key=lambda record: order.index(record["workload"]),
    )


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns line up as plain text too."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    table.insert(1, ["-" * width for width in widths])
    lines = (
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "".join(f"| {line} |\n" for line in lines)


def _row(records: Sequence[Record], first: str, contender: str) -> list[str]:
    mine = [r for r in records if r["contender"] == contender]
    middle = {key: statistics.median(r[key] for r in mine) for key in ("wall_s", "cpu_s")}
    last, about = mine[-1], "≈ " if mine[-1]["scale"] != 1 else ""
    module, function = contender.split(".")
    ratios = [ratio(records, first, contender, key) for key in ("wall_s", "cpu_s")]
    return [
        f"{LIBRARIES[module]}: {function.replace('_', ' ')}",
        *(f"{about}{seconds:.3g}" for seconds in middle.values()),
        *(f"{last[kind]:.5g}" for kind in ("forwards", "heads", "backwards", "whole")),
        *(f"{max(r[kind] for r in mine):.0f}" for kind in ("peak_mib", "added_mib")),
        *(spread(found) for found in ratios),
        "–" if _missing(last["difference"]) else f"{last['difference']:.1g}",
    ]


def _rounds(records: Sequence[Record]) -> str:
    count = 1 + max(r["round"] for r in records)
    return f"{count} round" + "s" * (count > 1)


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
