"""CIFAR-10 and a residual network of twenty layers, as others trained it."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset, TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor

from studies.subjects import Subject
from xaicore.classifier import Classifier
from xaicore.evaluation import Truth

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
ARCHIVE = Path("small") / "cifar10_jpeg.tar.xz"
WEIGHTS = Path("weights") / "cifar10_resnet20-12fca82f.th"
TRAINING = 2000
"""Images of the training set that follow the test images."""


class Block(nn.Module):
    """Two convolutions beside a shortcut that drops pixels and adds empty channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        kept = x[..., :: self.stride, :: self.stride]
        return F.relu(inner + F.pad(kept, (0, 0, 0, 0, self.added, self.added)))


class ResNet20(nn.Module):
    """The residual network of He et al. (2016) for CIFAR-10: three stages of three blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16, 16, 1)
        self.layer2 = _stage(16, 32, 2)
        self.layer3 = _stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, 10)``."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


TAPS = ("relu", "layer1", "layer2", "layer3")
HEAD = "linear"


def pretrained(data: Path) -> Classifier:
    """Return the network with its published weights."""
    state = torch.load(data / WEIGHTS, map_location="cpu", weights_only=True)["state_dict"]
    net = ResNet20()
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()})
    return classifier(net)


def classifier(net: nn.Module) -> Classifier:
    """Return a network as a classifier of pixels."""
    return Classifier(net.eval(), layer="layer3", classes=CLASSES)


def cifar10(data: Path, count: int) -> Subject:
    """The first test images of every class in turn; behind them, training images."""
    dataset: Dataset[Any] = pictures(data, {"test": count, "train": TRAINING})
    return Subject(
        name="cifar10",
        network=f"a CIFAR ResNet-20 ({WEIGHTS.name})",
        images=f"{count} test images of CIFAR-10 (JPEG)",
        classifier=pretrained(data),
        dataset=Subset(dataset, range(count)),
        truth=Truth(),
        batch_size=64,
    )


def pictures(data: Path, counts: Mapping[str, int]) -> TensorDataset:
    """Return so many images of each split, class by class in turn, one split after the other."""
    wanted = {split: count // len(CLASSES) for split, count in counts.items()}
    found: dict[tuple[str, int], list[Tensor]] = {}
    with tarfile.open(data / ARCHIVE) as files:
        for member in files:
            split, name = Path(member.name).parts[-3:-1] if member.isfile() else ("", "")
            if split not in wanted or name not in CLASSES:
                continue
            of_class = found.setdefault((split, CLASSES.index(name)), [])
            if len(of_class) < wanted[split]:
                of_class.append(_pixels(files, member))
    order = [
        (found[split, label][place], label)
        for split, each in wanted.items()
        for place in range(each)
        for label in range(len(CLASSES))
    ]
    images, labels = zip(*order, strict=True)
    return TensorDataset(torch.stack(images), torch.tensor(labels))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, Block(outputs, outputs, 1), Block(outputs, outputs, 1))


def _pixels(files: tarfile.TarFile, member: tarfile.TarInfo) -> Tensor:
    content = files.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} cannot be read")
    return pil_to_tensor(Image.open(BytesIO(content.read())).convert("RGB")).float() / 255
