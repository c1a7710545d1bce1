"""Images of a data set and what is known of them, read in batches; what cannot be read says why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.explainer import check_images
from xaicore.evaluation.fingerprint import digest

MASKS = 4
"""The axes of masks: image, channel, row, column."""

NO_LABEL = -1
"""The class of an image that has none: the predicted class is explained."""


@dataclass(frozen=True)
class Truth:
    """Where the class is, for every image of a data set in its order; what is known of it.

    Attributes:
        boxes: ``x0, y0, x1, y1`` in pixels of the image, ``(n, 4)`` for each image, n at least 1.
        masks: the visible coverage of the class in ``[0, 1]``, ``(N, 1, H, W)``.
    """

    boxes: Sequence[Tensor] | None = None
    masks: Tensor | None = None

    def check(self, count: int) -> None:
        """Refuse the truth of another number of images, of another shape, or in fractions."""
        for name, some in vars(self).items():
            if some is not None and len(some) != count:
                raise ValueError(f"truth: {len(some)} {name} for {count} images")
        if self.masks is not None and self.masks.ndim != MASKS:
            raise ValueError(
                f"truth: masks must have shape (N, 1, H, W), not {tuple(self.masks.shape)}"
            )
        for boxes in self.boxes or ():
            check_boxes(boxes)
        corners = torch.cat([*self.boxes]) if self.boxes else torch.full((1, 4), torch.inf)
        if ((corners >= 0) & (corners <= 1)).all():
            raise ValueError(
                "truth: no corner of any box is above 1, so these are fractions, not pixels: "
                "multiply them by width and height"
            )


def check_boxes(boxes: Tensor) -> None:
    """Refuse boxes that are not ``(n, 4)``, n at least 1."""
    shape = tuple(boxes.shape) if isinstance(boxes, Tensor) else type(boxes).__name__
    if not isinstance(boxes, Tensor) or boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise ValueError(f"boxes must be tensors (n, 4) of x0, y0, x1, y1 in pixels, not {shape}")


@dataclass(frozen=True)
class Item:
    """One image, or why there is none.

    Attributes:
        index: its place in the data set.
        image: pixels ``(channels, H, W)`` in ``[0, 1]``; ``None`` if it cannot be used.
        label: its class; ``NO_LABEL`` for the predicted one.
        boxes: ``x0, y0, x1, y1`` in pixels, ``(n, 4)``, if they are known.
        mask: coverage ``(1, H, W)``, if it is known.
        name: what the data set calls it; empty if it has no names.
        failed: why it cannot be used; empty if it can.
        stamp: what tells without reading it that it did not change; empty if nothing does.
        content: a digest of all that is measured of it. Both where the data set is asked for them.
    """

    index: int
    image: Tensor | None = None
    label: int = NO_LABEL
    boxes: Tensor | None = None
    mask: Tensor | None = None
    name: str = ""
    failed: str = ""
    stamp: str = ""
    content: str = ""


class Items(Dataset[Item]):
    """A data set whose every item can be had.

    Args:
        dataset: yields pixels and a class, or ``None`` for the predicted one; and, if it wishes, a
            third thing: a dictionary with ``boxes``, ``mask`` or both. It may have ``names``, and
            ``identity(place)``, which yields what would be another if an item changed, found
            without reading it: the size and the times of a file.
        truth: where the classes are, for a data set that does not say so itself.
        marked: whether items have ``stamp`` and ``content``: the process that reads one makes them.
    """

    def __init__(
        self, dataset: Dataset[Any], truth: Truth | None = None, marked: bool = False
    ) -> None:
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise ValueError(
                f"dataset: a {type(dataset).__name__} cannot be indexed: give the data set of a "
                "loader, loader.dataset, or a list of (pixels, class)"
            )
        self.dataset = dataset
        self.truth = truth or Truth()
        self.truth.check(len(self))
        self.marked = marked

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Item:
        stamp = self.stamp(place) if self.marked else ""
        try:
            item = self._item(place)
        except Exception as error:  # whatever the user's data set raises is a bad image
            item = Item(place, name=self._name(place), failed=words(error))
        if not self.marked:
            return item
        content = digest([item.label, item.failed, item.image, item.boxes, item.mask])
        return replace(item, stamp=stamp, content=content)

    def stamp(self, place: int) -> str:
        """Return what tells without reading it that an item did not change; empty if nothing does.

        The same stamp means the same item; another one says nothing.
        """
        identity = getattr(self.dataset, "identity", None)
        if identity is None:
            return ""
        known = (self.truth.boxes, self.truth.masks)
        return digest([*identity(place), *(some[place] for some in known if some is not None)])

    def _item(self, place: int) -> Item:
        given: Sequence[Any] = self.dataset[place]
        known = given[2] if isinstance(given, tuple | list) and len(given) > 2 else {}
        if not isinstance(given, tuple | list) or len(given) < 2 or not isinstance(known, Mapping):
            raise ValueError(
                "an item of the data set must be (pixels, class), or (pixels, class, {boxes, "
                f"mask}}), not {_described(given)}"
            )
        image, label = given[:2]
        check_images(image[None] if isinstance(image, Tensor) else image)
        boxes, mask = known.get("boxes"), known.get("mask")
        if self.truth.boxes is not None:
            boxes = self.truth.boxes[place]
        if self.truth.masks is not None:
            mask = self.truth.masks[place]
        try:
            number = NO_LABEL if label is None else index(label)
        except TypeError as error:
            raise ValueError(
                f"a class must be a number, -1 or None for the predicted one, not {label!r:.60}"
            ) from error
        if boxes is not None:
            check_boxes(boxes)
        return Item(place, image, number, boxes, mask, self._name(place))

    def _name(self, place: int) -> str:
        names = getattr(self.dataset, "names", None)
        return "" if names is None else str(names[place])


def _described(given: object) -> str:
    count = f" of {len(given)}" if isinstance(given, tuple | list) else ""
    return f"a {type(given).__name__}{count}"


def words(error: Exception) -> str:
    """Return an error as one line that is not empty."""
    return " ".join(str(error).split()) or type(error).__name__


def batches(items: Items, indices: Sequence[list[int]], workers: int = 0) -> Iterator[list[Item]]:
    """Yield the items of each batch; a loader of its own would move the global random state.

    Args:
        items: the data set.
        indices: the places of the items, batch by batch.
        workers: processes that read ahead.
    """
    yield from DataLoader(
        items,
        batch_sampler=indices,
        collate_fn=list,
        num_workers=workers,
        generator=torch.Generator(),
    )


def same_size(items: Sequence[Item]) -> list[list[Item]]:
    """Return the usable items, those of one size and type together, in the order of the first."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        if item.image is not None:
            groups.setdefault((item.image.shape, item.image.dtype), []).append(item)
    return list(groups.values())
