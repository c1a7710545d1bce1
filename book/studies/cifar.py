"""CIFAR-10 and a residual network of twenty layers, as others trained it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset, Subset

from studies.subjects import Subject
from xaibook.cifar.dataset import read_cifar10
from xaibook.cifar.network import resnet20
from xaicore.evaluation.dataset import Truth

ARCHIVE = Path("small") / "cifar10_jpeg.tar.xz"
WEIGHTS = Path("weights") / "cifar10_resnet20-12fca82f.th"
TRAINING = 2000
"""Images of the training set that follow the test images."""

TAPS = ("relu", "layer1", "layer2", "layer3")
HEAD = "linear"


def cifar10(data: Path, count: int) -> Subject:
    """The first test images of every class in turn; behind them, training images."""
    dataset: Dataset[Any] = read_cifar10(data / ARCHIVE, {"test": count, "train": TRAINING})
    return Subject(
        name="cifar10",
        network=f"a CIFAR ResNet-20 ({WEIGHTS.name})",
        images=f"{count} test images of CIFAR-10 (JPEG)",
        classifier=resnet20(data / WEIGHTS),
        dataset=Subset(dataset, range(count)),
        truth=Truth(),
        batch_size=64,
    )
