"""Make the records of the runs that are too long for every build, and store them with provenance.

``python book/records.py`` explains 300 rendered flowers with three networks and 200 photographs
with two, by every method, scores every map, and writes ``xaicore/reference/<set>.csv[.gz]``, which
the chapters show. Photographs need the folder that ``XAICORE_DATA`` names. Maps are kept in
``_build/records`` as they are made: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import torchvision

from studies.benchmark import (
    NETWORKS,
    SEEDS,
    Benchmark,
    flower_benchmark,
    photograph_benchmark,
)
from studies.boxes import box_records
from studies.opti_cam import baseline_records
from studies.subjects import ROOT, say
from xaicore.data.folders import find_data
from xaicore.files import replacing
from xaicore.report import REFERENCES

FLOWERS = {f"flowers-seed{seed}": seed for seed in SEEDS}
STUDIES: dict[str, Callable[[Benchmark], pd.DataFrame]] = {
    "opti_cam.real": baseline_records,
    "benchmark.boxes": box_records,
}
"""What else is measured on the photographs of the first network."""


def provenance(seconds: float) -> dict[str, object]:
    """Return where a table comes from."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cuda = torch.cuda.is_available()
    return {
        "command": " ".join(["python", "book/records.py", *sys.argv[1:]]),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "seconds": round(seconds),
    }


def store(
    name: str, suffix: str, make: Callable[[], pd.DataFrame], facts: dict[str, object]
) -> None:
    """Make a table; store it, and what is to be said of it beside it."""
    began = time.perf_counter()
    table = make()
    facts |= provenance(time.perf_counter() - began)
    with replacing(REFERENCES / f"{name}{suffix}") as file:
        table.to_csv(file, index=False, float_format="%.8g")
    with replacing(REFERENCES / f"{name}.provenance.json") as file:
        file.write_text(json.dumps(facts, indent=2) + "\n")
    say(f"{len(table)} rows in {facts['seconds']} s: {name}{suffix}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="all", choices=["all", *FLOWERS, *NETWORKS, *STUDIES])
    parser.add_argument("--method", help="make and keep the maps of one method only")
    parser.add_argument("--images", type=int, help="how many (300 flowers, 200 photographs)")
    return parser.parse_args()


def available(data: Path | None, images: int | None) -> dict[str, Callable[[], Benchmark]]:
    """Return what can be explained on this machine."""
    found: dict[str, Callable[[], Benchmark]] = {
        name: partial(flower_benchmark, seed, images or 300) for name, seed in FLOWERS.items()
    }
    if data is not None:
        found |= {n: partial(photograph_benchmark, n, data, images or 200) for n in NETWORKS}
    return found


def main() -> int:
    """Measure and store; exit code 2 without the data that was asked for."""
    options = arguments()
    data = find_data()
    if data is None and options.set not in FLOWERS:
        print("no real images: set XAICORE_DATA to their folder", file=sys.stderr)
        return 2
    benchmarks = available(data, options.images)
    for name, make in benchmarks.items():
        if options.set in ("all", name):
            benchmark = make()
            if options.method is not None:
                benchmark.explain(options.method)
            else:
                store(f"benchmark.{name}", ".csv.gz", benchmark.records, benchmark.facts())
    for name, study in STUDIES.items():
        if options.set in ("all", name) and options.method is None:
            benchmark = benchmarks[NETWORKS[0]]()
            facts = benchmark.facts()
            told = {key: facts[key] for key in ("network", "images")}
            store(name, ".csv", partial(study, benchmark), told)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
