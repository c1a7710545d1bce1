"""A classifier by name: of torchvision, of timm, or of a user's function."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xaicore.attribution.capture import hooked
from xaicore.classifier import Classifier
from xaicore.models.efficientnet_lite import NAME as DEFAULT
from xaicore.models.efficientnet_lite import default_classifier
from xaicore.models.timm import from_timm
from xaicore.weights import load_weights

TIMM = "timm/"
"""What stands before the name of a network of timm."""

PROPOSED = 3
"""How many layers are proposed, at most."""


def named_classifier(
    name: str,
    weights: Path | None = None,
    layer: str | None = None,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    activation: str | None = None,
) -> Classifier:
    """Return a classifier in evaluation mode.

    Args:
        name: a network of torchvision; ``efficientnet_lite0``, which needs no download;
            ``timm/NAME`` for one of timm; ``package.module:function``
            for a function that returns a ``Classifier``, or a network that expects ImageNet's
            normalisation, unless ``mean`` and ``std`` are given, and pictures of the size they
            have.
        weights: a state dict, read with ``weights_only``. ``None``: those the network comes with.
        layer: the layer a CAM looks at. ``None``: the one the classifier knows.
        mean: mean of each channel, in pixels of ``[0, 1]``. ``None``: the classifier's own.
        std: standard deviation of each channel.
        activation: ``"softmax"`` or ``"sigmoid"``. ``None``: the classifier's own.

    Raises:
        ValueError: there is no such network, function, layer, or the weights do not fit.
        OSError: weights cannot be read or downloaded.
        ImportError: the network needs a package that is not installed.
    """
    if (mean is None) != (std is None):
        raise ValueError("mean and std belong together: give both, one number for each channel")
    if name == DEFAULT or is_function(name):
        own = name == DEFAULT
        classifier = default_classifier() if own else made_classifier(name, made("model", name))
        if weights is not None:
            load_weights(classifier.net, weights)
    else:
        build = from_timm if name.startswith(TIMM) else Classifier.from_torchvision
        classifier = build(name.removeprefix(TIMM), "DEFAULT" if weights is None else weights)
    asked = {"layer": layer, "mean": mean, "std": std, "activation": activation}
    given = {key: value for key, value in asked.items() if value is not None}
    return (_with(classifier, given) if given else classifier).eval()


def is_function(name: str) -> bool:
    """Return whether a name is that of a function, ``package.module:function``."""
    return re.fullmatch(r"[\w.]+:\w+", name) is not None


def made(argument: str, name: str, *given: object) -> Any:
    """Return what a function makes that is called ``package.module:function``.

    Args:
        argument: what the function is for; errors begin with it.
        name: the function; its module is also looked for in the current folder.
        given: what the function takes.

    Raises:
        ValueError: there is no such function, or it fails.
    """
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the current folder, as with python -m
    try:
        return getattr(importlib.import_module(module), function)(*given)
    except Exception as error:  # of the user's code
        raise ValueError(f"{argument}: {name} cannot be called: {error}") from error


def made_classifier(name: str, found: object, **settings: Any) -> Classifier:
    """Return what a user's function made as a classifier.

    Args:
        name: the function.
        found: a classifier, or a network.
        settings: what a network is made a ``Classifier`` with.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(found, Classifier):
        return found
    if isinstance(found, nn.Module):
        return Classifier(found, **settings)
    raise ValueError(
        f"model: {name} returns {type(found).__name__}, neither a Classifier nor a torch network"
    )


def spatial_layers(classifier: Classifier, images: Tensor) -> list[str]:
    """Return names of layers that a CAM may look at, the best first: the last feature maps.

    They are the last modules that give maps of more than one position, of the last such size, none
    inside another. Cost: one forward.

    Args:
        classifier: the classifier.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
    """
    names = {module: name for name, module in classifier.net.named_modules() if name}
    maps: dict[str, torch.Size] = {}

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            maps.pop(names[module], None)
            maps[names[module]] = output.shape[2:]

    with torch.no_grad(), hooked(names, keep):
        classifier(images)
    found: list[str] = []
    for name, size in reversed(maps.items()):
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if not inside and size == next(reversed(maps.values())):
            found.append(name)
    return found[:PROPOSED]


def _with(classifier: Classifier, given: dict[str, Any]) -> Classifier:
    """The same network with other settings."""
    own: dict[str, Any] = {
        "mean": classifier.mean.flatten().tolist(),
        "std": classifier.std.flatten().tolist(),
        "layer": classifier.layer_name,
        "classes": classifier.classes,
        "transform": classifier.transform,
        "activation": classifier.activation,
    }
    return Classifier(classifier.net, **(own | given))
