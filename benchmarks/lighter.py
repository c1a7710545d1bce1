"""What folding and bfloat16 save and what they change: ``python -m benchmarks.lighter``.

Four ways to run a network take turns on the same random images, on one thread; a ratio is taken
within a round. The same four score insertion and deletion of flowers of the validation split, three
networks, after the same maps, made in float32. Written are ``lighter.md`` and its rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision import models

import xaicore as xc
from benchmarks.__main__ import commit, processor
from benchmarks.report import markdown
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution import Explainer
from xaicore.attribution.capture import frozen
from xaicore.attribution.opticam import has_bfloat16
from xaicore.classifier import Classifier
from xaicore.metrics import CausalProtocol

FOLDER = Path(__file__).parent
ROUNDS, STEPS, BATCH = 4, 10, 32
SEEDS = range(3)

NETWORKS: dict[str, tuple[int, int, Callable[[], nn.Module]]] = {
    "MobileNet-V2": (224, 8, models.mobilenet_v2),
    "ResNet-18": (224, 8, models.resnet18),
    "the book's": (64, 32, lambda: SmallResNet(9)),
}
"""Side of the images, how many at once, and the network, of random weights."""

METHODS: dict[str, Callable[[Classifier], Explainer]] = {
    "grad-cam": xc.GradCAM,
    "layer-cam": xc.LayerCAM,
    "opti-cam": partial(xc.OptiCAM, preset="cone"),
    "saliency": xc.Saliency,
}

WAYS = {
    "as it is": (False, "float32"),
    "folded": (True, "float32"),
    "bfloat16": (False, "bfloat16"),
    "folded, bfloat16": (True, "bfloat16"),
}
"""Whether a network is folded, and the precision it computes in."""


def race(rounds: int) -> Iterator[dict[str, object]]:
    """Yield the CPU seconds of each pass of each way, in turns."""
    for name, (side, count, build) in NETWORKS.items():
        torch.manual_seed(0)
        images = torch.rand(count, 3, side, side).contiguous(memory_format=torch.channels_last)
        plain = Classifier(build().eval())
        light = xc.folded(plain, images[:2])
        for turn in range(rounds + 1):
            for way, (fold, precision) in WAYS.items():
                for passes, seconds in timed(light if fold else plain, images, precision).items():
                    row = {"network": name, "way": way, "passes": passes, "cpu_s": seconds / count}
                    if turn:  # the first is for warmth
                        yield {**row, "round": turn}


def timed(model: Classifier, images: Tensor, precision: str) -> dict[str, float]:
    """Return the CPU seconds of a forward, and of one with a backward to the images."""
    lower = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
    seen = images.clone().requires_grad_()
    with lower:
        network = frozen(model, torch.channels_last)
        began = time.process_time()
        with torch.no_grad():
            network(images)
        forward = time.process_time()
        torch.autograd.grad(network(seen).float().sum(), seen)
    return {"forward": forward - began, "and backward": time.process_time() - forward}


def scored(count: int) -> pd.DataFrame:
    """Return insertion and deletion of four methods' maps, run in each of the ways."""
    flowers = Flowers("species", "validation", n=count)
    dataset = TensorDataset(flowers.images, flowers.targets)
    parts = []
    for seed in SEEDS:
        plain = flower_classifier("species", seed)
        light = xc.folded(plain, flowers.images[:8])
        maps = {name: explained(make(plain), flowers) for name, make in METHODS.items()}
        for way, (fold, precision) in WAYS.items():
            began = time.process_time()
            found = xc.evaluate(
                light if fold else plain,
                dataset,
                maps,
                ["insertion", "deletion"],
                curves=CausalProtocol(STEPS),
                batch_size=BATCH,
                precision=precision,
                strict=True,
            )
            spent = (time.process_time() - began) / count
            parts.append(found.assign(way=way, network=seed, cpu_s=spent))
    kept = ["way", "network", "image", "method", "metric", "value", "cpu_s"]
    return pd.concat(parts, ignore_index=True)[kept]


def explained(explain: Explainer, flowers: Flowers) -> Tensor:
    """Return the maps of all flowers."""
    parts = zip(flowers.images.split(BATCH), flowers.targets.split(BATCH), strict=True)
    return torch.cat([explain(*part) for part in parts])


def speed(rows: pd.DataFrame) -> list[list[str]]:
    """Return a line for each network and way: milliseconds, and how many times as fast."""
    lines = []
    for (network, way), mine in rows.groupby(["network", "way"], sort=False):
        line = [str(network), str(way)]
        for passes in ("forward", "and backward"):
            own, plain = (
                table[table["passes"] == passes].set_index("round")["cpu_s"]
                for table in (mine, rows.query("network == @network and way == 'as it is'"))
            )
            ratios = plain / own
            line.append(f"{1000 * own.median():.1f}")
            line.append(f"{ratios.median():.2f} ({ratios.min():.2f}–{ratios.max():.2f})")
        lines.append(line)
    return lines


def changes(rows: pd.DataFrame) -> list[list[str]]:
    """Return a line for each way and measure: what its values and orders differ by."""
    lines = []
    keys = ["network", "image", "method"]
    for metric, of_metric in rows.groupby("metric", sort=False):
        first = of_metric.query("way == 'as it is'").set_index(keys)["value"]
        for way, mine in of_metric.groupby("way", sort=False):
            value = mine.set_index(keys)["value"]
            gap = (value - first).abs()
            orders = [one.unstack().rank(axis=1) for one in (value, first)]
            means = [one.groupby("method").mean() for one in (value, first)]
            lines.append(
                [
                    str(metric),
                    str(way),
                    f"{gap.mean():.5f}",
                    f"{gap.max():.5f}",
                    f"{(means[0] - means[1]).abs().max():.5f}",
                    f"{100 * (orders[0] == orders[1]).all(axis=1).mean():.1f}",
                    "yes" if (means[0].rank() == means[1].rank()).all() else "no",
                    f"{mine['cpu_s'].mean():.3f}",
                ]
            )
    return lines


FAST = ["network", "way", "forward, ms", "times as fast", "and backward, ms", "times as fast"]
TRUE = [
    "measure",
    "way",
    "mean change of a value",
    "largest",
    "largest change of a method's mean",
    "pictures whose order of methods stays, %",
    "order of means stays",
    "CPU s per picture",
]


def main() -> None:
    """Measure both and write the tables and the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lighter")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--flowers", type=int, default=100, help="how many")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of what is written")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    raced, values = pd.DataFrame(race(chosen.rounds)), scored(chosen.flowers)
    native = "computes" if has_bfloat16(torch.device("cpu")) else "does not compute"
    text = (
        "# Lighter passes: folded filters and bfloat16\n\n"
        f"- commit: {commit()}\n- torch {torch.__version__}, {processor()}, one thread; the "
        f"processor {native} in bfloat16 itself\n\n## What they save\n\nMilliseconds of CPU per "
        f"image, medians of {chosen.rounds} rounds; ratios within a round, with their extremes. "
        "Read the ratios: other work ran on the machine.\n\n"
        f"{markdown(FAST, speed(raced))}\n\n## What they change\n\nInsertion and deletion in "
        f"{STEPS} steps of {chosen.flowers} flowers, three networks, after four methods' maps.\n\n"
        f"{markdown(TRUE, changes(values))}\n"
    )
    (chosen.output / "lighter.md").write_text(text, encoding="utf-8")
    raced.to_csv(chosen.output / "lighter_speed.csv", index=False, float_format="%.5g")
    values.to_csv(chosen.output / "lighter_values.csv.gz", index=False, float_format="%.7g")
    print(text)


if __name__ == "__main__":
    main()
