"""Images of a data set, read in batches; what cannot be read is named, not raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.explainer import check_images
from xaicore.evaluation.batch import NO_LABEL, Shown, Truth


@dataclass(frozen=True)
class Item:
    """One image, or why there is none.

    Attributes:
        index: its place in the data set.
        image: pixels ``(3, H, W)`` in ``[0, 1]``; ``None`` if it cannot be used.
        label: its class; ``NO_LABEL`` for the predicted one.
        boxes: ``x0, y0, x1, y1`` in pixels, ``(n, 4)``, if they are known.
        mask: coverage ``(1, H, W)``, if it is known.
        name: what the data set calls it; empty if it has no names.
        failed: why it cannot be used; empty if it can.
    """

    index: int
    image: Tensor | None = None
    label: int = NO_LABEL
    boxes: Tensor | None = None
    mask: Tensor | None = None
    name: str = ""
    failed: str = ""


class Items(Dataset[Item]):
    """A data set whose every item can be had.

    Args:
        dataset: yields pixels and a class, or ``None`` for the predicted one; and, if it wishes, a
            third thing: a dictionary with ``boxes``, ``mask`` or both.
        truth: where the classes are, for a data set that does not say so itself.
    """

    def __init__(self, dataset: Dataset[Any], truth: Truth | None = None) -> None:
        self.dataset = dataset
        self.truth = truth or Truth()

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> Item:
        try:
            return self._item(place)
        except Exception as error:  # whatever the user's data set raises is a bad image
            return Item(place, name=self._name(place), failed=words(error))

    def _item(self, place: int) -> Item:
        given: Sequence[Any] = self.dataset[place]
        image, label = given[:2]
        known: Mapping[str, Tensor | None] = given[2] if len(given) > 2 else {}
        check_images(image[None] if isinstance(image, Tensor) else image)
        boxes, mask = known.get("boxes"), known.get("mask")
        if self.truth.boxes is not None:
            boxes = self.truth.boxes[place]
        if self.truth.masks is not None:
            mask = self.truth.masks[place]
        number = NO_LABEL if label is None else index(label)
        return Item(place, image, number, boxes, mask, self._name(place))

    def _name(self, place: int) -> str:
        names = getattr(self.dataset, "names", None)
        return "" if names is None else str(names[place])


def words(error: Exception) -> str:
    """Return an error as one line that is not empty."""
    return " ".join(str(error).split()) or type(error).__name__


def batches(items: Items, indices: Sequence[list[int]], workers: int = 0) -> Iterator[list[Item]]:
    """Yield the items of each batch.

    Args:
        items: the data set.
        indices: the places of the items, batch by batch.
        workers: processes that read ahead.
    """
    loader = DataLoader(items, batch_sampler=indices, collate_fn=list, num_workers=workers)
    yield from loader


def same_size(items: Sequence[Item]) -> list[list[Item]]:
    """Return the usable items, those of one size and type together, in the order of the first."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        if item.image is not None:
            groups.setdefault((item.image.shape, item.image.dtype), []).append(item)
    return list(groups.values())


def stack(items: Sequence[Item]) -> Shown:
    """Return items of one size as a batch."""
    return Shown(
        [item.index for item in items],
        torch.stack([item.image for item in items if item.image is not None]),
        torch.tensor([item.label for item in items]),
        [item.boxes for item in items],
        [item.mask for item in items],
    )
