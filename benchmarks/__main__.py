"""Measure, print and store the speed of xaicore and of its peers."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from benchmarks.checkouts import taking_part
from benchmarks.race import race
from benchmarks.report import Record, aims_table, merged, workload_tables
from benchmarks.workloads import WORKLOADS, quick
from xaicore.attribution.opticam import has_bfloat16

FOLDER = Path(__file__).parent
PACKAGES = ("torch", "torchvision", "numpy", "captum", "torchcam", "grad-cam", "quantus")
THREADS = 1
SURROUNDINGS = {
    "OMP_NUM_THREADS": str(THREADS),
    "OMP_WAIT_POLICY": "PASSIVE",  # who waits for its turn keeps off the processor
    "TQDM_DISABLE": "1",
}
"""What the processes of the contenders inherit."""


def main() -> None:
    """Run what the command line asks for; a whole run at full size is stored, or what is to be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"some of {', '.join(WORKLOADS)}; or all")
    parser.add_argument(
        "--quick", action="store_true", help="small images, one round: does it run?"
    )
    parser.add_argument("--store", action="store_true", help="store some workloads beside the rest")
    chosen = parser.parse_args()
    unknown = set(chosen.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    os.environ.update(SURROUNDINGS)
    records = measure(chosen.workloads or list(WORKLOADS), chosen.quick)
    if chosen.quick or (chosen.workloads and not chosen.store):
        print(report(records))
    else:
        store(records)


def measure(names: Sequence[str], small: bool) -> list[Record]:
    """Let the contenders of some workloads take their turns."""
    records = []
    for name in names:
        workload = taking_part(quick(WORKLOADS[name]) if small else WORKLOADS[name])
        print(f"{name}: {', '.join(workload.contenders)}", flush=True)
        facts = {
            "side": workload.side,
            "batch": workload.batch,
            "commit": commit(),
            "processor": processor(),
        }
        records += [facts | record for record in race(name, workload, THREADS)]
    return records


def store(records: Sequence[Record]) -> None:
    """Print and store records, beside those of the workloads that were not measured again."""
    file = FOLDER / "results.csv"
    known: list[Record] = pd.read_csv(file).to_dict("records") if file.exists() else []
    together = merged(known, records)
    text = report(together)
    print(text)
    title = "# Speed against the peers\n\nWritten by `make bench`; `README.md` says how to read it."
    (FOLDER / "results.md").write_text(f"{title}\n\n{text}", encoding="utf-8")
    pd.DataFrame(together).to_csv(file, index=False, float_format="%.6g")


def report(records: Sequence[Record]) -> str:
    """Return what there is to read."""
    aims, workloads = aims_table(records), workload_tables(records)
    return f"{provenance()}\n## Aims\n\n{aims}\n## Workloads\n\n{workloads}"


def provenance() -> str:
    """Return what the numbers depend on, as a list."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    items = {
        "versions": f"Python {platform.python_version()}, {packages}",
        "threads": str(THREADS),
    }
    return "".join(f"- {name}: {value}\n" for name, value in items.items())


def commit() -> str:
    """Return the commit, and whether the package differs from it."""
    revision, changes = (
        subprocess.run(["git", *words], cwd=FOLDER.parent, capture_output=True, text=True).stdout
        for words in (
            ["rev-parse", "--short", "HEAD"],
            ["status", "--porcelain", "xaicore", "benchmarks/*.py"],
        )
    )
    return (revision.strip() or "unknown") + (" with changes" if changes.strip() else "")


def processor() -> str:
    """Return the name of the processor, its cores, and what torch computes with."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    kind = torch.backends.cpu.get_cpu_capability()
    half = "with" if has_bfloat16(torch.device("cpu")) else "without"
    return f"{name}, {os.cpu_count()} cores, {kind}, {half} bfloat16"


if __name__ == "__main__":
    main()
