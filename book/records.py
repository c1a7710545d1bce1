"""Make the records of the runs that are too long for every build, and store them with provenance.

``python book/records.py`` explains 300 rendered flowers with three networks and 200 photographs
with two, by every method, scores every map, and writes
``xaicore/reference/benchmark.<set>.csv.gz``, which the chapters show. Photographs need the folder
that ``XAICORE_DATA`` names. Maps are kept in ``_build/records`` as they are made: a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2

from xaicore import attribution as methods
from xaicore.attribution import Explainer
from xaicore.classifier import Classifier, to_pixels
from xaicore.data.flowers import Flowers
from xaicore.data.folders import ImageTable, find_data
from xaicore.evaluation import Truth, measure
from xaicore.files import replacing
from xaicore.masking import normalize, upsample
from xaicore.metrics import (
    CausalProtocol,
    box_study,
    centre_maps,
    confidence,
    edge_maps,
    noise_maps,
)
from xaicore.models.flowers import flower_classifier
from xaicore.report import REFERENCES

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "_build" / "records"
SIDE = 224
NETWORKS = {
    "resnet18": "resnet18_pqf_small.pt",
    "squeezenet1_0": "squeezenet1_0_deepcompression.pt",
}
SEEDS = (0, 1, 2)
WIDE_BLUR = (51, 25.0)
"""Where insertion starts on flowers; the paper's blur, scaled to 64 pixels, hides nothing there."""

OPTI_CAM = "opti_cam.real"
"""The records of the Opti-CAM chapter: two baselines on photographs."""

BOXES = "benchmark.boxes"
"""The records of the box study."""

HALF = "bfloat16 inside methods of many passes and along the curves, float32 elsewhere"
Factory = Callable[[Classifier], Explainer]

CHEAP: dict[str, Factory] = {
    "fake-cam": methods.FakeCAM,
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
    "xgrad-cam": methods.XGradCAM,
    "layer-cam": methods.LayerCAM,
    "hires-cam": methods.HiResCAM,
    "ablation-cam": methods.AblationCAM,
    "saliency": methods.Saliency,
    "input-x-gradient": methods.InputXGradient,
    "guided-backprop": methods.GuidedBackprop,
}
"""Methods that take a few passes; always in single precision."""

FLOWERS: dict[str, Factory] = {
    "score-cam": methods.ScoreCAM,
    "opti-cam": methods.OptiCAM,
    "rise": partial(methods.RISE, masks=300),
    "occlusion": methods.Occlusion,
    "integrated-gradients": partial(methods.IntegratedGradients, steps=16),
    "smoothgrad": partial(methods.SmoothGrad, samples=16),
    "gradient-shap": partial(methods.GradientShap, samples=16),
}

LEARNED: dict[str, Factory] = {
    "extremal-perturbation": partial(methods.ExtremalPerturbation, iterations=100)
}
"""So slow that one network on flowers is all that it explains here."""

PHOTOGRAPHS: dict[str, Factory] = {
    "score-cam": methods.ScoreCAM,
    "opti-cam": partial(methods.OptiCAM, iterations=50),
    "rise": partial(methods.RISE, masks=128),
    "occlusion": partial(methods.Occlusion, stride=32),
    "integrated-gradients": partial(methods.IntegratedGradients, steps=8),
    "smoothgrad": partial(methods.SmoothGrad, samples=8),
    "gradient-shap": partial(methods.GradientShap, samples=8),
}


@dataclass(frozen=True)
class Benchmark:
    """One network on one set of images.

    Attributes:
        name: of the files that are written.
        network: what is explained, in words.
        images: what is shown to it, in words.
        classifier: the network.
        dataset: the images and their true classes.
        truth: where the classes are.
        heavy: the methods that take many passes, with their settings.
        curves: the protocol of insertion and deletion.
        half: whether the many passes are made in bfloat16; each map is scored in float32 anyway.
    """

    name: str
    network: str
    images: str
    classifier: Classifier
    dataset: Dataset[tuple[Tensor, int]]
    truth: Truth
    heavy: Mapping[str, Factory]
    curves: CausalProtocol
    half: bool

    def maps(self, method: str, make: Factory) -> dict[str, Any]:
        """Return the raw maps of a method and the seconds of each; kept on disk."""
        file = KEPT / f"{self.name}.{method}.pt"
        count = len(self.dataset)  # type: ignore[arg-type]
        settings = str(getattr(make, "keywords", {}))
        if file.is_file():
            kept = torch.load(file, weights_only=True)
            if len(kept["maps"]) == count and kept.get("settings") == settings:
                return kept
        explain = make(self.classifier)
        half = self.half and method in self.heavy
        parts, seconds = [], []
        for images, targets in DataLoader(self.dataset, batch_size=8):
            began = time.perf_counter()
            with torch.autocast(self.classifier.mean.device.type, torch.bfloat16, enabled=half):
                parts.append(explain.raw(images, targets).float().cpu())
            seconds += [(time.perf_counter() - began) / len(images)] * len(images)
            _say(f"{self.name}: {method} {len(seconds)}/{count}")
        made = {
            "maps": torch.cat(parts),
            "seconds": torch.tensor(seconds),
            "settings": settings,
        }
        KEPT.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            torch.save(made, temporary)
        return made

    def floors(self) -> dict[str, Tensor]:
        """Return the maps that know nothing of the network."""
        images = torch.stack([image for image, _ in self.dataset])  # type: ignore[attr-defined]
        noise = [noise_maps(image[None], seed) for seed, image in enumerate(images)]
        return {
            "noise": torch.cat(noise),
            "centre": centre_maps(images),
            "edges": edge_maps(images),
        }

    def explain(self, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the maps of every method that is defined for the network, or of one."""
        return {
            method: self.maps(method, make)
            for method, make in {**CHEAP, **self.heavy}.items()
            if only in (None, method) and not self._refuses(method, make)
        }

    def records(self) -> pd.DataFrame:
        """Return the table of ``evaluation.measure`` for every method."""
        made = self.explain()
        table = self._measure({name: kept["maps"] for name, kept in made.items()}, self.floors())
        seconds = torch.cat([kept["seconds"] for kept in made.values()])
        table["seconds"] = [*seconds.tolist(), *[0.0] * (len(table) - len(seconds))]
        return table

    def facts(self) -> dict[str, object]:
        """Return what is to be said of the records."""
        return {
            "network": self.network,
            "images": self.images,
            "settings": {
                name: make.keywords
                for name, make in self.heavy.items()
                if isinstance(make, partial)
            },
            "curves": f"{self.curves.steps} steps, blur {self.curves.blur}, removed: "
            f"{self.curves.removed}",
            "precision": HALF if self.half else "float32",
        }

    def _refuses(self, method: str, make: Factory) -> bool:
        """Whether the method is not defined for the network."""
        try:
            make(self.classifier)
        except ValueError as error:
            _say(f"{self.name}: no {method}: {error}")
            return True
        return False

    def _measure(self, maps: Mapping[str, Tensor], floors: Mapping[str, Tensor]) -> pd.DataFrame:
        """Score maps; where passes are dear, the floors have no curves."""
        run = partial(measure, self.classifier, self.dataset, batch_size=8)
        table = run({**maps, **floors}, truth=self.truth)
        _say(f"{self.name}: masked and placed")
        with torch.autocast(self.classifier.mean.device.type, torch.bfloat16, enabled=self.half):
            followed = maps if self.half else {**maps, **floors}
            curves = run(followed, curves=self.curves)
        columns = ["method", "image", "insertion", "deletion"]
        joined = table.merge(curves[columns], how="left", validate="one_to_one")
        order = {name: place for place, name in enumerate([*maps, *floors])}
        return joined.sort_values("method", key=lambda names: names.map(order), kind="stable")


def flower_benchmark(seed: int, count: int) -> Benchmark:
    """Rendered flowers and the book's own network; the truth is the head of the flower."""
    dataset = Flowers("species", "test", n=count)
    head = (dataset.masks["petal"] + dataset.masks["centre"]).clamp(max=1)
    return Benchmark(
        name=f"flowers-seed{seed}",
        network=f"the book's own, seed {seed}",
        images=f"the first {count} test flowers",
        classifier=flower_classifier("species", seed),
        dataset=dataset,
        truth=Truth(masks=head),
        heavy=FLOWERS | LEARNED if seed == SEEDS[0] else FLOWERS,
        curves=CausalProtocol(steps=10, blur=WIDE_BLUR),
        half=False,
    )


def photograph_benchmark(network: str, data: Path, count: int) -> Benchmark:
    """ImageNet validation images and a network with compressed ImageNet weights."""
    classifier = Classifier.from_torchvision(network, data / "weights" / NETWORKS[network])
    if torch.cuda.is_available():
        classifier.cuda()
    dataset, boxes = photographs(data, count)
    return Benchmark(
        name=network,
        network=f"{network} ({NETWORKS[network]})",
        images=f"the first {len(dataset)} of imagenet_val1300",
        classifier=classifier,
        dataset=dataset,
        truth=Truth(boxes=boxes),
        heavy=PHOTOGRAPHS,
        curves=CausalProtocol(steps=5),
        half=True,
    )


def photographs(data: Path, count: int) -> tuple[Subset[tuple[Tensor, int]], list[Tensor]]:
    """Return the first ImageNet validation images of the folder, 224 x 224, and their boxes."""
    folder = data / "imagenet_val1300"
    square = to_pixels(v2.Resize((SIDE, SIDE)))
    table = ImageTable(folder / "images", folder / "labels.csv", square)
    chosen = range(min(count, len(table)))
    corners = ["x0_frac", "y0_frac", "x1_frac", "y1_frac"]
    boxes = pd.read_csv(folder / "boxes.csv").groupby("file")[corners]
    found = [torch.tensor(boxes.get_group(table.table["file"][i]).to_numpy()) for i in chosen]
    return Subset(table, chosen), [SIDE * box for box in found]


def opti_cam_records(data: Path, count: int) -> pd.DataFrame:
    """Measure three methods on photographs against two baselines, in float32 throughout."""
    benchmark = photograph_benchmark("resnet18", data, count)
    tables = []
    for baseline in ("black", "mean"):
        explainers = {
            "fake-cam": methods.FakeCAM(benchmark.classifier),
            "grad-cam": methods.GradCAM(benchmark.classifier),
            "opti-cam": methods.OptiCAM(benchmark.classifier, baseline=baseline),
        }
        table = measure(benchmark.classifier, benchmark.dataset, explainers, baseline, 8)
        tables.append(table.assign(baseline=baseline))
    return pd.concat(tables, ignore_index=True)


def box_records(data: Path, count: int) -> pd.DataFrame:
    """Measure maps, their parts inside and outside the boxes, and the boxes, on photographs."""
    benchmark = photograph_benchmark("resnet18", data, count)
    chosen = ("grad-cam", "score-cam", "opti-cam")
    raw = {name: benchmark.explain(name)[name]["maps"] for name in chosen}
    boxes = benchmark.truth.boxes or []
    rows = []
    for first, (images, targets) in enumerate(DataLoader(benchmark.dataset, batch_size=8)):
        part = slice(8 * first, 8 * first + len(images))
        maps = {n: normalize(upsample(m[part], images.shape[-2:])) for n, m in raw.items()}
        maps["fake-cam"] = methods.FakeCAM(benchmark.classifier)(images, targets)
        studied = {name: box_study(m, boxes[part]) for name, m in maps.items()}
        for name, variants in studied.items():
            for variant, masks in variants.items():
                if variant in ("B", "I∖B") and name != "fake-cam":
                    continue  # the same boxes for every method
                p, o = confidence(benchmark.classifier, images, masks, targets)
                identity = {"image": range(part.start, part.stop), "method": name}
                rows.append(pd.DataFrame({**identity, "part": variant, "p": p, "o": o}))
    return pd.concat(rows, ignore_index=True)


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
    _say(f"{len(table)} rows in {facts['seconds']} s: {name}{suffix}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and store; exit code 2 without the data that was asked for."""
    flowers = {f"flowers-seed{seed}": seed for seed in SEEDS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--set", default="all", choices=["all", *flowers, *NETWORKS, OPTI_CAM, BOXES]
    )
    parser.add_argument("--method", help="make and keep the maps of one method only")
    parser.add_argument("--images", type=int, help="how many (300 flowers, 200 photographs)")
    options = parser.parse_args()
    data = find_data()
    benchmarks: dict[str, Callable[[], Benchmark]] = {
        name: partial(flower_benchmark, seed, options.images or 300)
        for name, seed in flowers.items()
    }
    photographs = options.images or 200
    if data is not None:
        benchmarks |= {n: partial(photograph_benchmark, n, data, photographs) for n in NETWORKS}
    elif options.set not in flowers:
        print("no real images: set XAICORE_DATA to their folder", file=sys.stderr)
        return 2
    for name, make in benchmarks.items():
        if options.set in ("all", name):
            benchmark = make()
            if options.method is not None:
                benchmark.explain(options.method)
            else:
                store(f"benchmark.{name}", ".csv.gz", benchmark.records, benchmark.facts())
    studies = {OPTI_CAM: opti_cam_records, BOXES: box_records}
    for name, study in studies.items():
        if data is not None and options.set in ("all", name) and options.method is None:
            facts = benchmarks["resnet18"]().facts()
            told = {key: facts[key] for key in ("network", "images")}
            store(name, ".csv", partial(study, data, photographs), told)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
