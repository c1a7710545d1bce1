"""Make the records of the runs that are too long for every build, and store them with provenance.

``python book/records.py`` measures Fake-CAM, Grad-CAM and Opti-CAM on real photographs with a real
network and writes ``xaicore/reference/opti_cam.real.csv``, which the Opti-CAM chapter shows. It
needs the folder that ``XAICORE_DATA`` names; the defaults take about an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import torch
import torchvision
from torch.utils.data import Subset
from torchvision.transforms import v2

from xaicore.attribution import FakeCAM, GradCAM, OptiCAM
from xaicore.classifier import Classifier, to_pixels
from xaicore.data.folders import ImageTable, find_data
from xaicore.evaluation import measure
from xaicore.files import replacing
from xaicore.report import REFERENCES

ROOT = Path(__file__).resolve().parents[1]
NAME = "opti_cam.real"
NETWORK = "resnet18"
WEIGHTS = "resnet18_pqf_small.pt"
BASELINES = ("black", "mean")


def photographs(data: Path, count: int) -> Subset[tuple[torch.Tensor, int]]:
    """Return the first ImageNet validation images of the folder, squeezed to 224 x 224 pixels."""
    folder = data / "imagenet_val1300"
    square = to_pixels(v2.Resize((224, 224)))
    table = ImageTable(folder / "images", folder / "labels.csv", square)
    return Subset(table, range(min(count, len(table))))


def real_records(data: Path, count: int, batch_size: int) -> pd.DataFrame:
    """Measure the methods against each baseline; rows of ``evaluation.measure``, by baseline."""
    classifier = Classifier.from_torchvision(NETWORK, data / "weights" / WEIGHTS)
    if torch.cuda.is_available():
        classifier.cuda()
    dataset = photographs(data, count)
    tables = []
    for baseline in BASELINES:
        explainers = {
            "fake-cam": FakeCAM(classifier),
            "grad-cam": GradCAM(classifier),
            "opti-cam": OptiCAM(classifier, baseline=baseline),
        }
        table = measure(classifier, dataset, explainers, baseline, batch_size)
        tables.append(table.assign(baseline=baseline))
    return pd.concat(tables, ignore_index=True)


def provenance(seconds: float, count: int) -> dict[str, object]:
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
        "network": f"{NETWORK} ({WEIGHTS})",
        "images": f"the first {count} of imagenet_val1300",
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "seconds": round(seconds),
    }


def main() -> int:
    """Measure and store; exit code 2 without the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    data = find_data()
    if data is None:
        print("no real images: set XAICORE_DATA to their folder", file=sys.stderr)
        return 2
    began = time.perf_counter()
    records = real_records(data, options.images, options.batch)
    source = provenance(time.perf_counter() - began, records["image"].nunique())
    with replacing(REFERENCES / f"{NAME}.csv") as file:
        records.to_csv(file, index=False)
    with replacing(REFERENCES / f"{NAME}.provenance.json") as file:
        file.write_text(json.dumps(source, indent=2) + "\n")
    print(f"{len(records)} records in {source['seconds']} s: {REFERENCES / NAME}.csv")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
