"""Make the records of the runs that are too long for every build, and store them with provenance.

``python book/records.py`` explains 300 rendered flowers with three networks and 200 photographs
with two, by every method, scores every map, runs the studies of the chapters, and writes
``book/xaibook/records/<set>.csv.gz``, which the chapters show. Photographs need the folder that
``XAICORE_DATA`` names. Maps are kept in ``_build/records`` as they are made: a run that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import torchvision

from driver.data import look_beside
from studies import (
    adversary,
    ca_stream,
    cone,
    elsewhere,
    gradients_cifar,
    gradients_seeds,
    interpretable_gradients,
    interpretation,
    opti_cam,
    removals,
    shape_bias,
    silhouettes,
    steadiness,
    streams_cifar,
    surprises,
    transfer,
    transformers,
    translation,
    translation_further,
    vebi,
    wrong_reason,
)
from studies.benchmark import (
    NETWORKS,
    SEEDS,
    Benchmark,
    flower_benchmark,
    photograph_benchmark,
)
from studies.boxes import CROPPED, box_records, cropped, drawn_boxes
from studies.cifar import cifar10
from studies.opti_cam import Study
from studies.subjects import ROOT, Subject, flowers, photographs, say
from xaibook.chapter import RECORDS
from xaibook.data import find_data
from xaicore.files import replacing

FLOWERS = {f"flowers-seed{seed}": seed for seed in SEEDS}
BOXES = "benchmark.boxes"
DRAWN = "benchmark.drawn-boxes"
STUDIES = {f"opti_cam.{name}": study for name, study in opti_cam.STUDIES.items()}
STUDIES |= {f"opti_cam.{name}": study for name, study in transformers.STUDIES.items()}
STUDIES |= {f"opti_cam.{name}": study for name, study in adversary.STUDIES.items()}
STUDIES |= {f"opti_cam.{name}": study for name, study in transfer.STUDIES.items()}
STUDIES |= {f"opti_cam.{name}": study for name, study in cone.STUDIES.items()}
STUDIES |= {f"opti_cam.{name}": study for name, study in steadiness.STUDIES.items()}
STUDIES |= {f"background.{name}": study for name, study in removals.STUDIES.items()}
STUDIES |= {f"ca_stream.{name}": study for name, study in ca_stream.STUDIES.items()}
FOUND = {f"vebi.{name}": study for name, study in elsewhere.STUDIES.items()}
VEBI = {f"vebi.{name}": study for name, study in vebi.STUDIES.items()}
VEBI |= {f"vebi.{name}": study for name, study in interpretation.STUDIES.items()} | FOUND
VEBI |= {f"vebi.{name}": study for name, study in surprises.STUDIES.items()}
SHOWN = {"background.attention": transformers.attention}
GRADIENTS = {f"gradients.{n}": study for n, study in interpretable_gradients.STUDIES.items()}
POOLED = {f"ca_stream.{name}": study for name, study in streams_cifar.STUDIES.items()}
SEEDED = {f"gradients.{name}": study for name, study in gradients_seeds.STUDIES.items()}
TRANSLATED = {f"translation.{name}": study for name, study in translation.STUDIES.items()}
TRANSLATED |= {f"translation.{n}": s for n, s in translation_further.STUDIES.items()}
TINTED = {f"translation.{name}": study for name, study in silhouettes.STUDIES.items()}
TINTED["translation.shape_bias"] = partial(shape_bias.shape_bias, shape_bias.COMPRESSED)
TRANSLATED |= TINTED
CONFLICTS = {f"introduction.{name}": study for name, study in shape_bias.STUDIES.items()}
PICTURED = {f"translation.{name}": images for name, images in translation.IMAGES.items()}
PICTURED |= {f"introduction.{name}": images for name, images in shape_bias.IMAGES.items()}
CHEATING = {f"introduction.{name}": study for name, study in wrong_reason.STUDIES.items()}
REAL = {f"gradients.{name}": study for name, study in gradients_cifar.STUDIES.items()}
TOGETHER = VEBI | GRADIENTS | SHOWN | TRANSLATED | CONFLICTS | CHEATING | REAL | SEEDED | POOLED
FIXED: dict[str, Mapping[str, object]] = {
    **dict.fromkeys(SHOWN, transformers.TOLD),
    **dict.fromkeys(CHEATING, wrong_reason.TOLD),
    **dict.fromkeys(SEEDED, gradients_seeds.TOLD),
    **dict.fromkeys(POOLED, streams_cifar.TOLD),
}
"""What is to be said of the records of some studies, which is the same each time."""


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
    with replacing(RECORDS / f"{name}{suffix}") as file:
        table.to_csv(file, index=False, float_format="%.12g")  # AG needs 1 - p
    with replacing(RECORDS / f"{name}.provenance.json") as file:
        file.write_text(json.dumps(facts, indent=2) + "\n")
    say(f"{len(table)} rows in {facts['seconds']} s: {name}{suffix}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*FLOWERS, *NETWORKS, BOXES, DRAWN, *STUDIES, *TOGETHER]
    parser.add_argument("--set", default="all", choices=["all", *names], help="what to measure")
    parser.add_argument("--method", help="make and keep the maps of one method only")
    parser.add_argument("--images", type=int, help="how many, at most")
    return parser.parse_args()


def benchmarks(data: Path | None, most: int) -> dict[str, Callable[[], Benchmark]]:
    """Return how to explain what there is on this machine by all methods."""
    found: dict[str, Callable[[], Benchmark]] = {
        name: partial(flower_benchmark, seed, min(most, 300)) for name, seed in FLOWERS.items()
    }
    if data is not None:
        count = min(most, 200)
        found |= {name: partial(photograph_benchmark, name, data, count) for name in NETWORKS}
    return found


def subjects(study: Study, data: Path | None, most: int) -> Iterator[Subject]:
    """Yield the networks and images of a study that are on this machine."""
    for seed in SEEDS if study.flowers else ():
        yield flowers(seed, min(most, study.flowers))
    if data is not None:
        for network, count in study.photographs.items():
            build = cifar10 if network == "cifar10" else partial(photographs, network)
            yield build(data, min(most, count))


def store_study(name: str, study: Study, data: Path | None, most: int) -> None:
    """Make and store the table of a study."""
    chosen = list(subjects(study, data, most))
    told: dict[str, object] = {"network": "; ".join(subject.network for subject in chosen)}
    told |= {"images": "; ".join(subject.images for subject in chosen), **study.told}

    def make() -> pd.DataFrame:
        return pd.concat([part for s in chosen for part in study.make(s)], ignore_index=True)

    store(name, ".csv.gz", make, told)


def store_drawn_boxes(data: Path, count: int) -> None:
    """Make and store what boxes are worth, drawn right and as released code draws them."""
    chosen = [cropped(network, data, count) for network in CROPPED]
    told: dict[str, object] = {"network": "; ".join(subject.network for subject in chosen)}
    told |= {"images": f"{chosen[0].images}, shorter side 224 pixels, cropped"}

    def make() -> pd.DataFrame:
        return pd.concat([part for s in chosen for part in drawn_boxes(s)], ignore_index=True)

    store(DRAWN, ".csv.gz", make, told)


def together(study: Callable[[], Iterator[pd.DataFrame]]) -> pd.DataFrame:
    """Return the parts of a study as one table."""
    return pd.concat(study(), ignore_index=True)


def facts(name: str) -> dict[str, object]:
    """Return what is to be said of the records of a study that is stored as one table."""
    short = name.partition(".")[2]
    if name in VEBI:
        images = elsewhere.IMAGES[name] if name in FOUND else "rendered flowers, test"
        return {"images": images, **(vebi.TOLD | surprises.TOLD).get(short, {})}
    if name in GRADIENTS:
        return {"images": f"{interpretable_gradients.TEST} rendered flowers, test"}
    if name in PICTURED:
        return {"images": PICTURED[name]}
    if name in REAL:
        return gradients_cifar.facts()
    return {**FIXED[name]}


def main() -> int:
    """Measure and store; exit code 2 without the data that was asked for."""
    options = arguments()
    look_beside(ROOT)
    data, most = find_data(), options.images or sys.maxsize
    known = benchmarks(data, most)
    asked = [*known, BOXES, DRAWN, *STUDIES] if options.set == "all" else [options.set]
    for name in asked:
        study = STUDIES.get(name)
        needs_photographs = name in (
            *NETWORKS,
            BOXES,
            DRAWN,
            *FOUND,
            *REAL,
            *POOLED,
            *TINTED,
            *CONFLICTS,
            *SHOWN,
        ) or bool(study and study.photographs)
        if data is None and (needs_photographs or options.set == "all"):
            print("no real images: set XAICORE_DATA to their folder", file=sys.stderr)
            return 2
        if name in TOGETHER:
            store(name, ".csv.gz", partial(together, TOGETHER[name]), facts(name))
        elif study is not None:
            store_study(name, study, data, most)
        elif name == BOXES:
            benchmark = known[NETWORKS[0]]()
            store(name, ".csv.gz", partial(box_records, benchmark), benchmark.facts())
        elif name == DRAWN and data is not None:
            store_drawn_boxes(data, min(most, 300))
        elif options.method is not None:
            known[name]().explain(options.method)
        else:
            benchmark = known[name]()
            store(f"benchmark.{name}", ".csv.gz", benchmark.records, benchmark.facts())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
