"""What a contender works on, and the count of the network's passes while it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from benchmarks.workloads import Workload

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
STEPS = 28
"""Steps of insertion and of deletion."""


@dataclass(frozen=True)
class Case:
    """The same for every contender of a workload.

    Attributes:
        net: the network, random weights, evaluation mode.
        layer: the name of the layer that a CAM looks at.
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        inputs: the images, normalised as the network expects them.
        targets: the predicted classes ``(B,)``.
        maps: a smooth random map per image, without equal values, ``(B, 1, H, W)`` in ``[0, 1]``.
        channels: how many channels a slow contender ablates; ``None`` for all.
    """

    net: nn.Module
    layer: str
    images: Tensor
    inputs: Tensor
    targets: Tensor
    maps: Tensor
    channels: int | None


@torch.no_grad()
def make_case(workload: Workload) -> Case:
    """Return the case of a workload, the same in every process."""
    torch.manual_seed(0)
    net = models.get_model(workload.network, weights=None).eval()
    B, side = workload.batch, workload.side
    images = torch.rand(B, 3, side, side)
    inputs = (images - MEAN) / STD
    smooth = F.interpolate(torch.rand(B, 1, 7, 7), size=(side, side), mode="bicubic")
    ranks = smooth.flatten(1).argsort(1).argsort(1).view_as(smooth)
    maps = ranks / (side * side - 1)
    return Case(net, workload.layer, images, inputs, net(inputs).argmax(1), maps, workload.channels)


@dataclass(frozen=True)
class Part:
    """A part of the work: its seconds and passes are multiplied by ``scale``."""

    run: Callable[[], np.ndarray | None]
    scale: float

    def __call__(self) -> np.ndarray | None:
        """Do the part."""
        return self.run()


class Passes:
    """Counts images, not calls, as they pass the ends of a network.

    ``counts`` has ``forwards`` (images through the first convolution), ``heads`` (images through
    the last linear layer), ``backwards`` (gradients that start at the logits) and ``whole``
    (gradients that come down to the first convolution).
    """

    KINDS = ("forwards", "heads", "backwards", "whole")

    def __init__(self, net: nn.Module) -> None:
        self.counts: Counter[str] = Counter()
        first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
        last = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
        self._watch(first, "forwards", "whole")
        self._watch(last, "heads", "backwards")

    def _watch(self, module: nn.Module, forward: str, backward: str) -> None:
        def count(gradient: Tensor) -> None:
            self.counts[backward] += len(gradient)

        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self.counts[forward] += len(output)
            if output.requires_grad:
                output.register_hook(count)

        module.register_forward_hook(hook)
