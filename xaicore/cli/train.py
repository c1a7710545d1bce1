"""What is common to the commands that train: images with classes, some of them held out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, random_split

from xaicore.cli.subject import images_of
from xaicore.files import check_output
from xaicore.pictures import Pictures

Images = Dataset[tuple[Tensor, int]]

SHARE = 0.1
"""Part of the images that is held out to validate."""


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse files that could not be written, before anything is loaded."""
    for path in filter(None, (options.output, options.checkpoint)):
        check_output(path)


def taught(
    options: argparse.Namespace,
    transform: Callable[..., Tensor],
    classes: Sequence[str] | None,
) -> Dataset[Any]:
    """Return the data set that ``--images`` names, all of whose pictures have a class."""
    found = images_of(options.images, transform, classes, options.labels, options.limit)
    if isinstance(found, Pictures):
        _check_pictures(found)
    return found


def class_names(dataset: Dataset[Any]) -> Sequence[str] | None:
    """Return what a data set calls its classes, if it says so, as torchvision's do."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return getattr(dataset, "classes", None)


def class_count(dataset: Dataset[Any]) -> int:
    """Return how many classes a data set has, by their names or by its labels.

    Raises:
        ValueError: it says neither.
    """
    if names := class_names(dataset):
        return len(names)
    if isinstance(dataset, Pictures):
        return 1 + max(label for label in dataset.labels if isinstance(label, int))
    raise ValueError("images: the data set must name its classes: give it an attribute, classes")


def split(
    options: argparse.Namespace,
    dataset: Dataset[Any],
    transform: Callable[..., Tensor],
    classes: int,
) -> tuple[Images, Images]:
    """Return what is trained on, and what is held out: ``--validation``, or a part.

    Args:
        options: those of the command.
        dataset: what ``--images`` names.
        transform: maps a picture of a folder to pixels.
        classes: how many the network tells apart.
    """
    if options.validation is None:
        return _parts(Pairs(dataset, classes), options.seed)
    other = images_of(options.validation, transform, class_names(dataset))
    if isinstance(other, Pictures):
        _check_pictures(other)
    return Pairs(dataset, classes), Pairs(other, classes)


def _parts(images: Pairs, seed: int) -> tuple[Images, Images]:
    held_out = int(SHARE * len(images))
    if not held_out:
        raise ValueError(
            f"images: {len(images)} are too few to hold a tenth of them out: give --validation"
        )
    generator = torch.Generator().manual_seed(seed)
    training, validation = random_split(images, [len(images) - held_out, held_out], generator)
    return training, validation


class Pairs(Images):
    """The images of a data set and their classes, of which the network knows each."""

    def __init__(self, dataset: Dataset[Any], classes: int) -> None:
        self.dataset, self.classes = dataset, classes
        for label in dataset.labels if isinstance(dataset, Pictures) else ():
            self._check(label)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        image, label = self.dataset[place][:2]
        return image, self._check(label)

    def _check(self, label: Any) -> int:
        try:
            number = index(label)
        except TypeError as error:
            raise ValueError(f"images: a class must be a number, not {label!r}") from error
        if not 0 <= number < self.classes:
            raise ValueError(
                f"images: class {number} is out of range for the network, which has "
                f"{self.classes} classes"
            )
        return number


def _check_pictures(found: Pictures) -> None:
    """Refuse pictures that are not there or have no class."""
    for name, label in zip(found.names, found.labels, strict=True):
        if label is None:
            raise ValueError(
                f"images: {name} has no class: lay out a folder for each class, or give --labels"
            )
        if isinstance(label, str):
            raise ValueError(f"images: {name}: {label}")
    absent = [name for name in found.names if not (found.folder / name).is_file()]
    if absent:
        raise ValueError(f"images: {len(absent)} are not in {found.folder}, the first {absent[0]}")
