"""The residual network of twenty layers for CIFAR-10, and weights that others trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaibook.cifar.dataset import CLASSES
from xaicore.classifier import Classifier


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


def resnet20(weights: Path | None = None) -> Classifier:
    """Return the network as a classifier of pixels ``(B, 3, 32, 32)``, explained at its last stage.

    Args:
        weights: a file of Idelbayev's *Proper ResNet implementation for CIFAR10*, whose entry
            ``state_dict`` names each tensor behind ``module.``; ``None`` leaves them random.

    Raises:
        ValueError: the file holds other weights.
    """
    net = ResNet20()
    if weights is not None:
        kept = torch.load(weights, map_location="cpu", weights_only=True)
        state = kept.get("state_dict", {})
        state = {name.removeprefix("module."): value for name, value in state.items()}
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"weights: {weights} are not those of a ResNet-20: {error}") from error
    return classifier(net)


def classifier(net: nn.Module) -> Classifier:
    """Return a ResNet-20 as a classifier of pixels, in evaluation mode."""
    return Classifier(net.eval(), layer="layer3", classes=CLASSES)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, Block(outputs, outputs, 1), Block(outputs, outputs, 1))
