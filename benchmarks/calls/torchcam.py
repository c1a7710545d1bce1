"""Calls of torchcam."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcam.methods import GradCAM, ScoreCAM
from torchcam.metrics import DeletionInsertionMetric

from benchmarks.case import STEPS, Case


def grad_cam(case: Case) -> Callable[[], np.ndarray]:
    """Grad-CAM, brought to the size of the images."""
    method = GradCAM(case.net, case.layer)
    classes = case.targets.tolist()

    def run() -> np.ndarray:
        (maps,) = method(classes, case.net(case.inputs))
        return _resize(maps, case)

    return run


def score_cam(case: Case) -> Callable[[], np.ndarray]:
    """Score-CAM in its own chunks of 32, brought to the size of the images."""
    method = ScoreCAM(case.net, case.layer)
    classes = case.targets.tolist()

    @torch.no_grad()
    def run() -> np.ndarray:
        case.net(case.inputs)
        (maps,) = method(classes)
        return _resize(maps, case)

    return run


def insertion_deletion(case: Case) -> Callable[[], np.ndarray]:
    """Both curves of a given map, in its own chunks of 32; pixels become the mean colour."""
    softmax = partial(torch.softmax, dim=-1)

    @torch.no_grad()
    def run() -> np.ndarray:
        metric = DeletionInsertionMetric(Given(case.net, case.maps[:, 0]), softmax, steps=STEPS)
        metric.update(case.inputs, case.targets.tolist())
        found = metric.summary()
        return np.array([found["deletion_auc"], found["insertion_auc"]])

    return run


class Given:
    """What torchcam's metrics take for a method: the maps are there, so only they are timed."""

    def __init__(self, model: nn.Module, maps: Tensor) -> None:
        self.model = model
        self.maps = maps

    def __call__(self, *_: Any, **__: Any) -> list[Tensor]:
        """Return the maps, whatever is asked."""
        return [self.maps]

    def fuse_cams(self, maps: list[Tensor]) -> Tensor:
        """Return the one map."""
        return maps[0]

    @contextmanager
    def _hooks_off(self) -> Iterator[None]:
        yield


def _resize(maps: Tensor, case: Case) -> np.ndarray:
    size = case.inputs.shape[-2:]
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0].numpy()
