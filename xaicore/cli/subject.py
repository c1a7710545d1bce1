"""What several commands need: the network, the pictures and the methods that options name."""

from __future__ import annotations

import argparse
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from xaicore.attribution import METHODS, Explainer
from xaicore.classifier import Classifier, UnknownLayerError, hint
from xaicore.models.named import is_function, made, named_classifier, spatial_layers
from xaicore.pictures import pictures
from xaicore.processes import device_named

SETTINGS = ("layer", "mean", "std", "activation")
"""Options that say of a network what it does not say itself; not every command has them."""


def classifier_of(options: argparse.Namespace) -> Classifier:
    """Return the classifier that ``--model`` names, on its device."""
    settings = {name: getattr(options, name, None) for name in SETTINGS}
    classifier = named_classifier(options.model, options.weights, **settings)
    return classifier.to(device_named(options.device))


def images_of(
    place: str,
    transform: Callable[..., Tensor],
    classes: Sequence[str] | None,
    labels: Path | None = None,
    limit: int | None = None,
    truth: Mapping[str, Path | None] | None = None,
    **reading: Any,
) -> Dataset[Any]:
    """Return the data set that ``--images`` names, a folder or a function.

    Args:
        place: the folder, or ``package.module:function``.
        transform: maps a picture of a folder to pixels.
        classes: what the network calls its classes.
        labels: the table of a folder's classes.
        limit: how many images at most.
        truth: ``boxes`` and ``masks`` of a folder.
        reading: how its pictures and masks are read, and what asks the network; see ``pictures``.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    if not is_function(place):
        known = {**(truth or {}), **reading}
        return pictures(place, transform, classes, labels, limit=limit, **known)
    given = {"labels": labels, **(truth or {})}
    if any(given.values()):
        unused = next(name for name, value in given.items() if value)
        raise ValueError(f"--{unused} belongs to a folder of pictures: let {place} return it")
    found = made("images", place)
    if isinstance(found, nn.Module) or not hasattr(found, "__getitem__"):
        raise ValueError(f"images: {place} returns {type(found).__name__}, not a data set")
    if not len(found):
        raise ValueError(f"images: {place} returns no image")
    return found if limit is None else Subset(found, range(min(limit, len(found))))


def range_of(text: str | None) -> tuple[float, float] | None:
    """Return the two numbers of a range, as ``0,4095``.

    Raises:
        ValueError: the text is no range.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise ValueError(f"range: '{text}' is not LOW,HIGH, as 0,4095 is") from error
    return low, high


def words(text: str) -> list[str]:
    """The words of a list with commas, each once, with or without spaces."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def settings_of(names: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return the settings of each method, checked against what it knows.

    Args:
        names: what the methods are called.
        given: ``METHOD.SETTING=VALUE``, each.

    Raises:
        ValueError: a method or a setting is unknown.
    """
    for name in names:
        if name not in METHODS:
            near = hint(name, METHODS) or f": use some of {', '.join(METHODS)}"
            raise ValueError(f"no method is called '{name}'{near}")
    found: dict[str, dict[str, object]] = {name: {} for name in names}
    for text in given:
        place, equals, value = text.partition("=")
        name, _, setting = place.rpartition(".")
        if not (equals and name):
            raise ValueError(f"--set {text}: write METHOD.SETTING=VALUE")
        if name not in names:
            raise ValueError(f"--set {text}: '{name}' is none of the methods {', '.join(names)}")
        _check_setting(METHODS[name], name, setting)
        found[name][setting] = _value(value)
    return found


def method_of(name: str, classifier: Classifier, settings: Mapping[str, object]) -> Explainer:
    """Return a method; its settings are words of a user, of any type.

    Raises:
        ValueError: a setting is of another type, or out of range.
    """
    try:
        return METHODS[name](classifier, **settings)
    except TypeError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        raise ValueError(f"--set: {name} cannot be made with {given}: {error}") from error


@contextmanager
def layer_proposed(classifier: Classifier, seen: Callable[[], Tensor]) -> Iterator[None]:
    """Propose layers, inside, where a class activation map does not know where to look.

    Args:
        classifier: the classifier.
        seen: returns an image that it can see, ``(1, channels, H, W)``.
    """
    try:
        yield
    except UnknownLayerError as error:
        kind, proposed = type(classifier.net).__name__, " or ".join(_proposed(classifier, seen))
        choice = f"give --layer, for example {proposed}" if proposed else "name one by --layer"
        raise ValueError(f"no CAM layer is known for {kind}: {choice}") from error


def _proposed(classifier: Classifier, seen: Callable[[], Tensor]) -> list[str]:
    try:
        return spatial_layers(classifier, seen())
    except (ValueError, OSError, RuntimeError):  # what is wrong with them is said another time
        return []


def _check_setting(method: type[Explainer], name: str, setting: str) -> None:
    known = [key for key in signature(method).parameters if key != "classifier"]
    if setting not in known:
        raise ValueError(f"{name} has no setting '{setting}': it has {', '.join(known) or 'none'}")


def _value(text: str) -> object:
    """A number, a truth value or a tuple, if the text reads as one; else the text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text
