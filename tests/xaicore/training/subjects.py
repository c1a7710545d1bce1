"""What a user teaches, for ``--model`` and ``--images`` of the commands that train."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from xaibook.flowers.dataset import Flowers


def flowers() -> Flowers:
    """A few flowers to learn from."""
    return Flowers("species", "train", 160)


def others() -> Flowers:
    """A few to validate on."""
    return Flowers("species", "validation", 16)


def nameless() -> Dataset[tuple[Tensor, ...]]:
    """Images of a class that no network of flowers knows, in a set without names of classes."""
    return TensorDataset(torch.rand(40, 3, 16, 16), torch.full((40,), 9))


def unclassed() -> list[tuple[Tensor, None]]:
    """Images without classes."""
    return [(torch.rand(3, 16, 16), None)] * 40


def nothing() -> list[tuple[Tensor, int]]:
    """No image."""
    return []


def unnormalised() -> nn.Module:
    """A network without batch statistics, which depend on how a batch is shared."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 9)
    )
