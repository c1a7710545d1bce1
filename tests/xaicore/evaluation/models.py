"""Networks of a user, for ``--model tests.xaicore.evaluation.models:…``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset
from torchvision.transforms import v2

from tests.networks import classifier, pictures, pooled_network
from xaicore.classifier import Classifier, to_pixels

MARK = "XAICORE_TEST_MARK"
"""Names the file that the dying network leaves when it dies, and then never again."""


def small() -> Classifier:
    """The small network, on pictures of 16 pixels."""
    return classifier(transform=to_pixels(v2.Resize((16, 16))))


PATIENCE = 300.0
"""Seconds after which the first process no longer waits for the death of the second."""


def doubled() -> Classifier:
    """The small network in float64."""
    return small().double()


class Dying(nn.Module):
    """A network that kills the second of two processes, once; the first one waits for that, but
    for its first two calls: by them the command asks for the classes and tries the network.

    Else the first, where the second is slow to start, would do everything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = pooled_network()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        mark, rank = Path(os.environ[MARK]), os.environ.get("RANK")
        if rank == "1" and self.calls > 9 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        given_up = time.monotonic() + PATIENCE
        while rank == "0" and self.calls > 2 and not mark.exists() and time.monotonic() < given_up:
            time.sleep(0.05)
        return self.net(images)


def dying() -> Classifier:
    """The small network in one that dies."""
    return Classifier(Dying().eval(), layer="net.5", transform=to_pixels(v2.Resize((16, 16))))


def plain() -> nn.Module:
    """A network without what a classifier knows."""
    return pooled_network()


class Broken(nn.Module):
    """A network whose logits are not numbers; for bright images only, if it is half broken."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.net = pooled_network()
        self.limit = limit

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        return logits / (images.mean((1, 2, 3)) < self.limit)[:, None]


def nan() -> Classifier:
    """The small network, but NaN and infinity come out."""
    return Classifier(Broken(-9).eval(), layer="net.5", transform=to_pixels(v2.Resize((16, 16))))


def half_nan() -> Classifier:
    """The small network, but for bright images NaN and infinity come out."""
    return Classifier(Broken(0.2).eval(), layer="net.5", transform=to_pixels(v2.Resize((16, 16))))


def gallery() -> Dataset[tuple[Tensor, ...]]:
    """Images of a user, with classes."""
    return TensorDataset(pictures(4, 16, 16), torch.arange(4))


def failing() -> Classifier:
    """What a user's function may do."""
    raise KeyError("no such checkpoint")


def nothing() -> None:
    """What a user's function may forget to return."""
