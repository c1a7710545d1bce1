"""What makes two runs the same: digests of networks, images and methods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier


def digest(parts: Iterable[object]) -> str:
    """Return a short digest of texts, numbers and tensors."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            values = part.detach().cpu().contiguous()
            sha.update(f"{values.dtype}{tuple(values.shape)}".encode())
            sha.update(values.reshape(-1).view(torch.uint8).numpy().data)
        else:
            sha.update(f"{part}\0".encode())
    return sha.hexdigest()[:16]


def model(classifier: Classifier) -> dict[str, object]:
    """Return what identifies a classifier: its structure, its weights, the layer it shows."""
    state = classifier.net.state_dict()
    numbers = [part for name, value in state.items() for part in (name, value)]
    known: dict[str, object] = {
        "network": type(classifier.net).__name__,
        "structure": digest([repr(classifier.net)]),
        "weights": digest([*numbers, classifier.mean, classifier.std]),
        "layer": classifier.layer_name,
    }
    if classifier.activation != "softmax":
        known["activation"] = classifier.activation
    if classifier.folded:
        known["folded"] = True
    return known


def method(explainer: Explainer | Tensor) -> dict[str, object]:
    """Return what identifies a method: its class and its settings; or maps made elsewhere."""
    if not isinstance(explainer, Explainer):
        return {"maps": digest([explainer])}
    settings = {key: value for key, value in vars(explainer).items() if key != "classifier"}
    return {"class": type(explainer).__name__} | {k: plain(v) for k, v in settings.items()}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return what two descriptions do not share, in words."""
    found = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += [f"{key} {words}" for words in differences(old, new)]
        elif old != new:
            found.append(f"{key}: {_short(old)} there, {_short(new)} here")
    return found


def plain(value: object) -> object:
    """A value that a manifest can hold and that compares by what it is."""
    if isinstance(value, Tensor):
        return digest([value])
    return value if isinstance(value, int | float | str | None) else repr(value)


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "nothing" if value is None else str(value)
