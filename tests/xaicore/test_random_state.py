"""No call moves the random state of torch, numpy or Python: what a user draws next stays his."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import models

import xaicore as xc
from tests.networks import ATTENTION, QUICK, classifier, pictures
from tests.xaicore.evaluation.subject import run
from xaicore.attribution import METHODS
from xaicore.interpretation import identify, responses
from xaicore.training.ca_stream import Looks, train_stream
from xaicore.training.interpretable_gradients import InterpretableGradient
from xaicore.training.loop import InMemory, Recipe, augment, fit, train


def state() -> list[object]:
    """What the next draws depend on."""
    kind, keys, *rest = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), kind, keys.tolist(), rest]


def transformer() -> xc.Classifier:
    net = models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(net.heads.head.weight)
    return xc.Classifier(net)


def calm(call: Callable[[], object]) -> None:
    """Demand that a call leaves the random states alone."""
    before = state()
    call()
    assert state() == before


@pytest.mark.parametrize("method", METHODS)
def test_explaining_draws_nothing(method: str) -> None:
    model = transformer() if method in ATTENTION else classifier()
    images = pictures(2, 32, 32)
    calm(lambda: METHODS[method](model, **QUICK.get(method, {}))(images))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kept", [True, False])
def test_evaluating_draws_nothing(workers: int, kept: bool, tmp_path: Path) -> None:
    out = tmp_path / "run" if kept else None
    model = classifier()
    for _ in range(2):  # the second time it goes on
        calm(lambda: run(out, 4, metrics=["AD", "MS"], workers=workers, model=model))


def measured() -> dict[str, Callable[[], object]]:
    model, images = classifier(), pictures(3)
    explain, targets = xc.GradCAM(model), torch.tensor([0, 1, 2])
    maps, boxes = explain(images, targets), [torch.tensor([[2.0, 2, 9, 9]])] * 3
    metrics = xc.metrics
    return {
        "confidence": lambda: xc.confidence(model, images, maps, targets),
        "curves": lambda: metrics.insertion_deletion(model, images, maps),
        "aopc": lambda: metrics.aopc(model, images, maps, patch=4),
        "saliency metric": lambda: metrics.saliency_metric(model, images, maps, targets),
        "boxes": lambda: metrics.box_accuracy(maps, boxes),
        "sensitivity": lambda: metrics.max_sensitivity(explain, images, targets, samples=2),
        "adcc": lambda: metrics.adcc(explain, images, targets),
        "randomized": lambda: list(metrics.randomized(model)),
        "spearman": lambda: metrics.spearman(maps, maps),
    }


@pytest.mark.parametrize("name", measured())
def test_measuring_draws_nothing(name: str) -> None:
    calm(measured()[name])


PLACES = {"taps": ["2", "5"], "head": "8"}
"""Where a stream taps the small network."""


def trained() -> dict[str, Callable[[], object]]:
    data = TensorDataset(pictures(8), torch.arange(8) % 5)
    recipe = Recipe(epochs=1, learning_rate=0.01, batch_size=4, weight_decay=0.0)
    model, (images, targets) = classifier(), data.tensors
    loss = InterpretableGradient()
    return {
        "a stream": lambda: train_stream(xc.CAStream(model, **PLACES), data, recipe),
        "a stream that is not cached": lambda: train_stream(
            xc.CAStream(model, **PLACES), data, recipe, cached=False, workers=1
        ),
        "looks": lambda: Looks(xc.CAStream(model, **PLACES), data),
        "interpretable gradients": lambda: train(
            model.net, InMemory(images, targets, torch.device("cpu"), augment), recipe, loss=loss
        ),
        "responses": lambda: list(responses(model, data)),
        "features": lambda: identify(responses(model, data)),
        "a network": lambda: fit(model.net, images, targets, epochs=1, batch_size=4),
    }


@pytest.mark.parametrize("name", trained())
def test_learning_draws_nothing(name: str) -> None:
    calm(trained()[name])
