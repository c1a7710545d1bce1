"""A classifier by name: of torchvision, of timm, the book's own, or of a user's function."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from xaibook.flowers.trained import flower_classifier
from xaicore.classifier import Classifier, load_weights
from xaicore.models.timm import from_timm

FLOWERS = "flowers"
"""The name under which the book's own network is a model of the command line."""

TIMM = "timm/"
"""What stands before the name of a network of timm."""


def named_classifier(
    name: str, weights: Path | None = None, layer: str | None = None
) -> Classifier:
    """Return a classifier in evaluation mode.

    Args:
        name: a network of torchvision; ``timm/NAME`` for one of timm; ``flowers`` for the book's
            own; ``package.module:function`` for a function that returns a ``Classifier``, or a
            network that expects ImageNet's normalisation and pictures of the size they have.
        weights: a state dict, read with ``weights_only``. ``None``: those the network comes with.
        layer: the layer a CAM looks at. ``None``: the one the classifier knows.

    Raises:
        ValueError: there is no such network, function, layer, or the weights do not fit.
        OSError: weights cannot be read or downloaded.
    """
    if name == FLOWERS or ":" in name:
        classifier = flower_classifier() if name == FLOWERS else _from_function(name)
        if weights is not None:
            load_weights(classifier.net, weights)
    else:
        build = from_timm if name.startswith(TIMM) else Classifier.from_torchvision
        classifier = build(name.removeprefix(TIMM), "DEFAULT" if weights is None else weights)
    return classifier.eval() if layer is None else _looking_at(classifier, layer).eval()


def on_device(
    classifier: Classifier, device: str | None, environment: Mapping[str, str] = os.environ
) -> Classifier:
    """Return a classifier on a device.

    Args:
        classifier: the classifier; it is moved.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, …; ``None``: a GPU, each process of a machine its
            own, or the CPU where there is none.
        environment: where ``torchrun`` says which process of the machine this is.

    Raises:
        ValueError: there is no such device, or nothing can be computed on it.
    """
    if device is None and torch.cuda.is_available():
        place = int(environment.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
        device = f"cuda:{place}"
    try:
        moved = classifier.to(device or "cpu")
        moved.mean.cpu()  # of some devices nothing comes back
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: '{device}' cannot be used here; cpu always can") from error
    return moved


def _from_function(name: str) -> Classifier:
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, as with python -m
    try:
        make = getattr(importlib.import_module(module), function)
        made = make()
    except Exception as error:  # of the user's code
        raise ValueError(f"model: {name} cannot be called: {error}") from error
    if isinstance(made, Classifier):
        return made
    if isinstance(made, nn.Module):
        return Classifier(made)
    raise ValueError(
        f"model: {name} returns {type(made).__name__}, neither a Classifier nor a torch network"
    )


def _looking_at(classifier: Classifier, layer: str) -> Classifier:
    return Classifier(
        classifier.net,
        classifier.mean.flatten().tolist(),
        classifier.std.flatten().tolist(),
        layer,
        classifier.classes,
        classifier.transform,
    )
