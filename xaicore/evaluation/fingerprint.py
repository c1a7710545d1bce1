"""What makes two runs the same: digests of networks, data and methods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor
from torch.utils.data import Dataset

from xaicore.attribution import Explainer
from xaicore.classifier import Classifier
from xaicore.evaluation.batch import Method, Settings, Truth
from xaicore.evaluation.loading import Items

SAMPLED = 3
"""Images whose pixels take part in the digest of a data set that lists no files."""


def digest(parts: Iterable[object]) -> str:
    """Return a short digest of texts, numbers and tensors."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            values = part.detach().cpu().contiguous()
            sha.update(f"{values.dtype}{tuple(values.shape)}".encode())
            sha.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            sha.update(f"{part}\0".encode())
    return sha.hexdigest()[:16]


def model(classifier: Classifier) -> dict[str, object]:
    """Return what identifies a classifier: its structure, its weights, the layer it shows."""
    state = classifier.net.state_dict()
    numbers = [part for name, value in state.items() for part in (name, value)]
    return {
        "network": type(classifier.net).__name__,
        "structure": digest([repr(classifier.net)]),
        "weights": digest([*numbers, classifier.mean, classifier.std]),
        "layer": classifier.layer_name,
    }


def data(dataset: Dataset[Any], truth: Truth | None = None) -> dict[str, object]:
    """Return what identifies a data set.

    It is what the data set says of itself in ``identity``, for example names, labels and sizes of
    files; else the pixels and classes of the first, a middle and the last image.
    """
    items = Items(dataset)
    parts: list[object] = [len(items)]
    identity = getattr(dataset, "identity", None)
    if identity is not None:
        parts += identity()
    else:
        last = len(items) - 1
        for place in sorted({round(step * last / (SAMPLED - 1)) for step in range(SAMPLED)}):
            item = items[place]
            parts += [item.label, item.failed if item.image is None else item.image]
    known = truth or Truth()
    parts += list(known.boxes or []) + ([] if known.masks is None else [known.masks])
    return {"images": len(items), "content": digest(parts)}


def method(explainer: Method) -> dict[str, object]:
    """Return what identifies a method: its class and its settings; or maps made elsewhere."""
    if not isinstance(explainer, Explainer):
        return {"maps": digest([explainer])}
    settings = {key: value for key, value in vars(explainer).items() if key != "classifier"}
    return {"class": type(explainer).__name__} | {k: _plain(v) for k, v in settings.items()}


def measured(settings: Settings) -> dict[str, object]:
    """Return what identifies what is measured."""
    return {
        "metrics": list(settings.metrics),
        "baseline": _plain(settings.baseline),
        "curves": _plain(settings.curves),
    }


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    from xaicore import __version__  # noqa: PLC0415 - it is set when everything is imported

    return {
        "xaicore": __version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


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


def _plain(value: object) -> object:
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
