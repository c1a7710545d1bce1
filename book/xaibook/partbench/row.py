"""``xaicore leaderboard``: a row of the leaderboard for anybody's method."""

from __future__ import annotations

import argparse
import time
from functools import partial

import pandas as pd
import torch

from xaibook.chapter import stored
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench.benchmark import SEEDS, Make, PartBenchmark, explain
from xaibook.partbench.leaderboard import standings
from xaibook.partbench.reliance import TWINS
from xaicore.attribution import METHODS
from xaicore.classifier import check_name
from xaicore.files import replacing
from xaicore.models.named import is_function, made
from xaicore.processes import device_named
from xaicore.versions import commit, versions

HELD = 150
"""Pictures that thresholds are chosen on, as for the stored rows."""

TRIED = 8
"""Pictures that are explained to say how long all will take."""


def run(options: argparse.Namespace) -> None:
    """Score the method that the options name, write its row, and say where it stands.

    Raises:
        ValueError: there is no such method, its maps cannot be used, or a number is out of range.
    """
    method, name = method_named(options.method), options.method
    records, _ = stored("vebi.benchmark")
    device = device_named(options.device)
    networks = {(t, s): flower_classifier(t, s).to(device) for t in TWINS for s in SEEDS}
    benchmark = PartBenchmark(
        SEEDS, options.pictures, HELD, 32, networks, _counted(records, options)
    )
    maps = sum(map(len, benchmark.kept.values())) * len(TWINS) // options.every
    maps += len(SEEDS) * len(TWINS) * HELD // options.every
    print(f"{maps} maps, about {_estimate(benchmark, method) * maps:.0f} s", flush=True)
    began = time.perf_counter()
    own = benchmark.score(name, method, options.every)
    seconds = (time.perf_counter() - began) / maps
    others = records[records["method"] != name]
    row = standings(pd.concat([others, own])).set_index("method").loc[[name]].reset_index()
    row = row.assign(seconds_per_map=seconds, device=str(device), commit=commit(), **versions())
    with replacing(options.output) as file:
        row.to_csv(file, index=False, float_format="%.6g")
    print(told(row.iloc[0], others["method"][others["kind"] == "method"].nunique()))
    print(f"written: {options.output}")


def method_named(name: str) -> Make:
    """Return what makes a method ready for a network: a function of the user's, or one of ours.

    Raises:
        ValueError: there is no such method.
    """
    if is_function(name):
        return partial(made, "method", name)
    check_name("method", name, METHODS)
    return METHODS[name]


def told(row: pd.Series, others: int) -> str:
    """Return a row in words."""
    return (
        f"place {row['place']} among {others} others: paired contrast {row['PC']:.1f} ± "
        f"{row['± PC']:.1f} %, share of the map on the petals {row['RMA petal']:.1f} %, on the "
        f"stem {row['RMA stem']:.1f} %; {row['images']} pictures, {len(SEEDS)} networks for each "
        f"part, {1000 * row['seconds_per_map']:.1f} ms a map"
    )


def _counted(records: pd.DataFrame, options: argparse.Namespace) -> dict[int, torch.Tensor]:
    """Return the pictures that count, which the stored records name, by seed."""
    if options.every < 1:
        raise ValueError(f"--every: 1 or more, not {options.every}")
    if not 1 <= options.pictures <= 1 + records["image"].max():
        raise ValueError(f"--pictures: 1 to {1 + records['image'].max()}, not {options.pictures}")
    found = records.groupby("seed")["image"].unique()
    every = {seed: torch.from_numpy(images).sort().values for seed, images in found.items()}
    return {seed: rows[rows < options.pictures] for seed, rows in every.items()}


def _estimate(benchmark: PartBenchmark, method: Make) -> float:
    """Return the seconds of a map, by a small batch."""
    task = TWINS[0]
    network = benchmark.networks[task, SEEDS[0]]
    ready, rows = method(network), torch.arange(TRIED)
    for _ in range(2):  # the first time, things are made ready
        began = time.perf_counter()
        explain(ready, benchmark.held.tasks[task], rows, TRIED, network.mean.device)
    return (time.perf_counter() - began) / TRIED
