"""The study behind Opti-CAM's other presets: ``python -m benchmarks.opti_cam_study``.

Every candidate explains the same images: flowers of the validation split, and, where
``XAICORE_DATA`` names real pictures, the last ImageNet validation images of the folder. None of
them is used for a table elsewhere. The objective is taken of the maps returned, in float32, with
the true class; a candidate's fraction is its mean over the paper's, and its gain the same after
the objective of equal weights is taken from both. Rows that are stored are not measured again;
``--afresh`` measures all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.__main__ import commit, processor
from benchmarks.report import markdown
from xaibook.data import find_data
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution import OptiCAM
from xaicore.attribution.cone import Cone
from xaicore.attribution.opticam import CONE, FAST, PAPER, Network, Preset, Rows
from xaicore.classifier import Classifier, to_pixels
from xaicore.metrics.faithfulness import average_drop, average_gain, average_increase, confidence
from xaicore.pictures import pictures

FOLDER = Path(__file__).parent
BATCH = 8
SIDE = 224
STANDARD_ERRORS = 1.96
NETWORKS = {
    "photographs": ("resnet18", "resnet18_pqf_small.pt"),
    "MobileNet-V2": ("mobilenet_v2", "mobilenet_v2_quant.pt"),
}
"""Who explains photographs."""

SHARE = 0.99
"""What share of the paper's objective an image should reach."""

PLAIN = replace(PAPER, tolerance=0, half=True)
DAMPING = 3


def preset(settings: Preset | Cone) -> Callable[[Classifier], OptiCAM]:
    """Return what makes the method with some settings."""
    return partial(OptiCAM, preset=settings)


class Preconditioned(OptiCAM):
    """Takes out of the natural gradient what channels that look alike have in common."""

    def _objective(self, network: Network, rows: Rows, natural: bool) -> tuple[Tensor, Tensor]:
        value, direction = super()._objective(network, rows, natural)
        maps, weights = rows.features.flatten(2), rows.u.softmax(1)
        gram = maps @ maps.transpose(1, 2) * weights[:, None]
        size = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] / maps.shape[2]
        damped = gram / size + DAMPING * torch.eye(gram.shape[1])
        direction = torch.linalg.solve(damped, direction[..., None])[..., 0]
        return value, direction / (weights * direction.square()).sum(1, keepdim=True).sqrt()


Make = Callable[[Classifier], OptiCAM]

CANDIDATES: dict[str, Make] = {
    "paper": preset(PAPER),
    "fast": preset(FAST),
    "fast, 25 iterations": preset(replace(FAST, iterations=25)),
    "fast, plain gradient": preset(replace(FAST, natural=False)),
    "fast, Adam as published": preset(replace(FAST, ahead=False)),
    "Adam 0.2, (0.8, 0.99), 50 iterations, bfloat16": preset(
        replace(PLAIN, iterations=50, learning_rate=0.2, betas=(0.8, 0.99))
    ),
    "fast, preconditioned": partial(Preconditioned, preset=FAST),
    "cone": preset(CONE),
    "cone, 12 iterations": preset(replace(CONE, iterations=12)),
    "cone, 18 iterations": preset(replace(CONE, iterations=18)),
    "cone, 30 iterations": preset(replace(CONE, iterations=30)),
    "cone, float32": preset(replace(CONE, half=False)),
    "cone, 15 rounds": preset(replace(CONE, rounds=15)),
    "cone, 300 rounds": preset(replace(CONE, rounds=300)),
    "cone, rate 0.1": preset(replace(CONE, learning_rate=0.1)),
    "cone, rate 0.2": preset(replace(CONE, learning_rate=0.2)),
    "cone, betas (0.8, 0.99)": preset(replace(CONE, betas=(0.8, 0.99))),
    "paper, 50 iterations": preset(replace(PAPER, iterations=50)),
    "fast, 20 iterations": preset(replace(FAST, iterations=20)),
    "fast, 35 iterations": preset(replace(FAST, iterations=35)),
    "fast, 50 iterations": preset(replace(FAST, iterations=50)),
    "fast, float32": preset(replace(FAST, half=False)),
    "fast, rate 0.3": preset(replace(FAST, learning_rate=0.3)),
    "fast, rate 0.5": preset(replace(FAST, learning_rate=0.5)),
    "fast, rate 0.7": preset(replace(FAST, learning_rate=0.7)),
    "fast, betas (0.9, 0.999)": preset(replace(FAST, betas=(0.9, 0.999))),
    "Adam 0.35, (0.8, 0.99), 30 iterations, bfloat16": preset(
        replace(PLAIN, iterations=30, learning_rate=0.35, betas=(0.8, 0.99))
    ),
}
"""What is compared on flowers, the paper's preset first."""

DEAR = {
    "photographs": (*[*CANDIDATES][:7], "cone"),
    "MobileNet-V2": ("paper", "fast", "cone", "cone, 30 iterations"),
}
"""What is compared on photographs, by the name of the case."""

Case = tuple[str, Classifier, Tensor, Tensor]


INTRODUCTION = """Written by `python -m benchmarks.opti_cam_study`, whose first lines say on which
images. *Gain* is the objective above that of equal weights, and an image is *reached* with at
least 99 % of the paper preset's own objective. AG, AD and AI are in per cent, with
95 % intervals; a difference of AG is taken image by image. Seconds depend
on what else the machine does.
"""


def cases(flowers: int, photographs: int) -> Iterator[Case]:
    """Yield a name, a classifier, images and their true classes."""
    known = Flowers("species", "validation", n=flowers)
    yield "flowers", flower_classifier("species"), known.images, known.targets
    data = find_data()
    if data is None or not photographs:
        return
    folder = data / "imagenet_val1300"
    square = to_pixels(v2.Resize((SIDE, SIDE)))
    table = pictures(folder / "images", square, labels=folder / "labels.csv")
    for name, (network, weights) in NETWORKS.items():
        model = Classifier.from_torchvision(network, data / "weights" / weights)
        items = [table[i] for i in range(len(table) - photographs, len(table))]
        targets = torch.tensor([target for _, target in items])
        yield name, model, torch.stack([image for image, _ in items]), targets


def measure(make: Make, case: Case) -> pd.DataFrame:
    """Return one row for each image: objective, AD, AG, AI, and CPU seconds."""
    _, model, images, targets = case
    explain = make(model)
    began = time.process_time()
    maps = torch.cat([explain(*part) for part in batches(images, targets)])
    seconds = (time.process_time() - began) / len(images)
    p, o = confidence(model, images, maps, targets)
    return pd.DataFrame(
        {
            "image": range(len(images)),
            "objective": logits(model, images * maps, targets),
            "AD": 100 * average_drop(p, o),
            "AG": 100 * average_gain(p, o),
            "AI": 100 * average_increase(p, o),
            "cpu_s": seconds,
            "commit": commit(),
        }
    )


def batches(images: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut images and classes into batches."""
    return zip(images.split(BATCH), targets.split(BATCH), strict=True)


@torch.no_grad()
def logits(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Return the logit of each image's class."""
    parts = [
        model(some).gather(1, classes[:, None])[:, 0] for some, classes in batches(images, targets)
    ]
    return torch.cat(parts)


def summary(records: pd.DataFrame) -> list[list[str]]:
    """Return a row for each candidate, compared with the first, image by image."""
    first = records[records["candidate"] == records["candidate"].iloc[0]].set_index("image")
    start = first["uniform"].mean()
    rows = []
    for candidate, group in records.groupby("candidate", sort=False):
        found = group.set_index("image")
        reached, best = found["objective"].mean(), first["objective"].mean()
        rows.append(
            [
                str(candidate),
                f"{reached:.2f}",
                f"{100 * reached / best:.1f}",
                f"{100 * (reached - start) / (best - start):.1f}",
                interval(found["AG"]),
                interval(found["AG"] - first["AG"]),
                f"{found['AD'].mean():.2f}",
                f"{found['AI'].mean():.0f}",
                f"{100 * (found['objective'] >= SHARE * first['objective']).mean():.0f}",
                f"{found['cpu_s'].mean():.3f}",
            ]
        )
    return rows


def interval(values: pd.Series[float]) -> str:
    """Return a mean and the half-width of its 95 % interval."""
    return f"{values.mean():.1f} ± {STANDARD_ERRORS * values.sem():.1f}"


HEADER = (
    "settings",
    "objective",
    "% of the paper's",
    "gain, % of the paper's",
    "AG",
    "AG − the paper's",
    "AD",
    "AI",
    "reached, %",
    "CPU s per image",
)


def main() -> None:
    """Measure every candidate on every set of images; write the table and the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opti_cam_study")
    parser.add_argument("--flowers", type=int, default=96, help="how many flowers")
    parser.add_argument("--photographs", type=int, default=20, help="how many; 0 for none")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of what is written")
    parser.add_argument("--afresh", action="store_true", help="measure what is stored again")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    stored = chosen.output / "opti_cam_study.csv.gz"
    known = pd.DataFrame({"images": [], "candidate": []})
    if stored.is_file() and not chosen.afresh:
        known = pd.read_csv(stored)
    parts: list[pd.DataFrame] = []
    for case in cases(chosen.flowers, chosen.photographs):
        found = study(case, known[known["images"] == case[0]])
        parts.append(found.assign(images=case[0]))
        later = known[~known["images"].isin([part["images"].iloc[0] for part in parts])]
        write(pd.concat([*parts, later], ignore_index=True), chosen.output)


def write(records: pd.DataFrame, folder: Path) -> None:
    """Write the records and the page of their tables."""
    records.to_csv(folder / "opti_cam_study.csv.gz", index=False, float_format="%.5g")
    tables = [
        f"## {str(name)[:1].upper()}{str(name)[1:]}, n = {found['image'].nunique()}\n\n"
        f"{markdown(HEADER, summary(found))}"
        for name, found in records.groupby("images", sort=False)
    ]
    title = f"# How Opti-CAM's other presets were chosen\n\n{INTRODUCTION}\n- commit: {commit()}\n"
    facts = f"- torch {torch.__version__}, {processor()}, one thread\n"
    facts += f"- fast: {FAST}\n- cone: {CONE}\n\n"
    text = title + facts + "\n".join(tables)
    (folder / "opti_cam_study.md").write_text(text, encoding="utf-8")


def study(case: Case, known: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every candidate on one set of images; those known are not measured."""
    _, model, images, targets = case
    equal = OptiCAM(model, iterations=0)
    maps = torch.cat([equal(*part) for part in batches(images, targets)])
    uniform = logits(model, images * maps, targets)
    parts = []
    for candidate in DEAR.get(case[0], CANDIDATES):
        found = known[known["candidate"] == candidate]
        if len(found) != len(images):
            found = measure(CANDIDATES[candidate], case).assign(uniform=uniform)
        parts.append(found.assign(candidate=candidate))
        print(f"{case[0]}, {candidate}: {found['objective'].mean():.2f}", flush=True)
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    main()
