"""Measure, print and store the speed of xaicore and of its peers."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from benchmarks.checkouts import taking_part
from benchmarks.race import race
from benchmarks.report import aims_table, workload_tables
from benchmarks.workloads import WORKLOADS, quick

FOLDER = Path(__file__).parent
PACKAGES = ("torch", "torchvision", "numpy", "captum", "torchcam", "grad-cam", "quantus")
THREADS = 2
SURROUNDINGS = {
    "OMP_NUM_THREADS": str(THREADS),
    "OMP_WAIT_POLICY": "PASSIVE",  # who waits for its turn keeps off the processor
    "TQDM_DISABLE": "1",
}
"""What the processes of the contenders inherit."""


def main() -> None:
    """Run what the command line asks for; a whole run at full size is stored."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"some of {', '.join(WORKLOADS)}; or all")
    parser.add_argument(
        "--quick", action="store_true", help="small images, one round: does it run?"
    )
    chosen = parser.parse_args()
    unknown = set(chosen.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    os.environ.update(SURROUNDINGS)
    lines = provenance()
    records = []
    for name in chosen.workloads or WORKLOADS:
        workload = taking_part(quick(WORKLOADS[name]) if chosen.quick else WORKLOADS[name])
        print(f"{name}: {', '.join(workload.contenders)}", flush=True)
        size = {"side": workload.side, "batch": workload.batch}
        records += [size | record for record in race(name, workload, THREADS)]
    report = (
        f"{lines}\n## Aims\n\n{aims_table(records)}\n## Workloads\n\n{workload_tables(records)}"
    )
    print(report)
    if not chosen.quick and not chosen.workloads:
        title = (
            "# Speed against the peers\n\nWritten by `make bench`; `README.md` says how to read it."
        )
        (FOLDER / "results.md").write_text(f"{title}\n\n{report}", encoding="utf-8")
        pd.DataFrame(records).to_csv(FOLDER / "results.csv", index=False, float_format="%.6g")


def provenance() -> str:
    """Return what the numbers depend on, as a list."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    items = {
        "commit": commit(),
        "versions": f"Python {platform.python_version()}, {packages}",
        "processor": f"{processor()}, {os.cpu_count()} cores; {THREADS} threads used",
        "load of the machine before": f"{load} (1, 5, 15 minutes)",
    }
    return "".join(f"- {name}: {value}\n" for name, value in items.items())


def commit() -> str:
    """Return the commit, and whether the package differs from it."""
    revision, changes = (
        subprocess.run(["git", *words], cwd=FOLDER.parent, capture_output=True, text=True).stdout
        for words in (
            ["rev-parse", "HEAD"],
            ["status", "--porcelain", "xaicore", "benchmarks/*.py"],
        )
    )
    return (revision.strip() or "unknown") + (" with changes" if changes.strip() else "")


def processor() -> str:
    """Return the name of the processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
