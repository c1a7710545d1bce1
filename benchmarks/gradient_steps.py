"""The cost of a step that aligns gradients: ``python -m benchmarks.gradient_steps``.

Every contender takes steps in a fresh process, on one thread, on the same random images; they
take turns, and a ratio is taken within a round. Written are ``gradient_steps.md`` and its rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torchvision import models

from benchmarks.__main__ import commit, processor
from benchmarks.report import markdown
from xaibook.flowers.network import SmallResNet
from xaicore.models.stems import for_small_images
from xaicore.training.interpretable_gradients import InterpretableGradient
from xaicore.training.loop import Loss, cross_entropy
from xaicore.training.twice import CHEAP

FOLDER = Path(__file__).parent
BATCH, STEPS, ROUNDS = 32, 6, 3

NETWORKS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "the book's": (64, lambda: SmallResNet(9)),
    "ResNet-18, small stem": (32, lambda: for_small_images(models.resnet18(num_classes=10))),
    "MobileNet-V2, small stem": (
        32,
        lambda: for_small_images(models.mobilenet_v2(num_classes=10)),
    ),
}
"""Side of the images, and the network."""

OURS = InterpretableGradient(0.1)
PYTORCH_S = "with PyTorch's own layers"
CONTENDERS: dict[str, Loss] = {
    "a plain step": cross_entropy,
    "interpretable gradient": OURS,
    PYTORCH_S: OURS,
}
HEADER = ["network", "step", "CPU ms", "÷ plain", "peak MiB", "÷ plain"]


def steps(network: str, contender: str) -> dict[str, float]:
    """Return the median CPU seconds of a step, and the peak of the process's memory in MiB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if contender == PYTORCH_S:
        CHEAP.clear()
    side, make = NETWORKS[network]
    net = make().to(memory_format=torch.channels_last).train()
    images = torch.randn(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    targets, seconds = torch.arange(BATCH) % 9, []
    optimizer = torch.optim.SGD(net.parameters(), 1e-4)
    for _ in range(STEPS + 1):
        began = time.process_time()
        optimizer.zero_grad()
        CONTENDERS[contender](net, images, targets).backward()
        optimizer.step()
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": statistics.median(seconds[1:]), "peak_mib": peak}


def rounds(count: int) -> pd.DataFrame:
    """Let every contender take its turns, each in a process of its own."""
    rows = []
    for number in range(count):
        for network in NETWORKS:
            for contender in CONTENDERS:
                command = [sys.executable, "-m", "benchmarks.gradient_steps", "--one", network]
                done = subprocess.run([*command, contender], check=True, capture_output=True)
                found = json.loads(done.stdout)
                rows.append({"round": number, "network": network, "step": contender, **found})
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> list[list[str]]:
    """Return the lines of the table: medians over the rounds, and the extremes of the ratio."""
    lines = []
    for (network, step), mine in rows.groupby(["network", "step"], sort=False):
        plain = rows[(rows["network"] == network) & (rows["step"] == "a plain step")]
        ratios = mine["cpu_s"].to_numpy() / plain["cpu_s"].to_numpy()
        memory = mine["peak_mib"].median()
        lines.append(
            [
                str(network),
                str(step),
                f"{1000 * mine['cpu_s'].median():.0f}",
                f"{statistics.median(ratios):.2f} ({ratios.min():.2f}–{ratios.max():.2f})",
                f"{memory:.0f}",
                f"{memory / plain['peak_mib'].median():.2f}",
            ]
        )
    return lines


def main() -> None:
    """Measure all steps and write the table, or one step and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradient_steps")
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "STEP"), help="one turn, as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of what is written")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(steps(*chosen.one)))
        return
    rows = rounds(chosen.rounds)
    title = "# What a step with an interpretable gradient costs\n\n"
    facts = (
        f"A batch of {BATCH} images; CPU seconds of one thread, medians of {STEPS} steps and of "
        f"{chosen.rounds} rounds; in brackets the extremes of the ratio. Read the ratios: other "
        "work ran on the machine. The peak is the memory of the whole process, with PyTorch "
        f"loaded.\n\n- commit: {commit()}\n- torch {torch.__version__}, {processor()}\n\n"
    )
    text = title + facts + markdown(HEADER, summary(rows))
    (chosen.output / "gradient_steps.md").write_text(text, encoding="utf-8")
    rows.to_csv(chosen.output / "gradient_steps.csv", index=False, float_format="%.5g")
    print(text)


if __name__ == "__main__":
    main()
