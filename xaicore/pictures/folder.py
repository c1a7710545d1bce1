"""A folder of pictures as a data set: each with its class, and where it is in the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from xaicore.pictures.bands import Range
from xaicore.pictures.classes import folder_classes, label_classes
from xaicore.pictures.file import check_range, load_image, suffixes, transformed
from xaicore.pictures.layout import Layout, laid_out
from xaicore.pictures.tables import read_table
from xaicore.pictures.truth import (
    FRACTIONS,
    box_notes,
    box_table,
    boxes_on,
    coverage,
    mask_files,
    mask_on,
    visible,
)

Item = tuple[Any, ...]

Labels = list[int | str | None]

TRIED = 8
"""How many pictures are tried for one that can be shown to the network."""


@dataclass(frozen=True)
class Pictures(Dataset[Item]):
    """Pictures of a folder, each with what is known of it.

    Item i is an image as the network sees it, ``(channels, H, W)`` in [0, 1], and its class, or
    None.
    Where boxes or masks were given there is a third thing, a dictionary of the image's ``boxes``
    ``(n, 4)`` in its pixels and its ``mask`` ``(1, H, W)``, None where there is none. An item that
    cannot be had raises an error that says why.

    Attributes:
        folder: where the pictures are.
        names: their paths inside it.
        labels: the class of each, or ``None``; or what is wrong with it, in words.
        classes: the names of the classes, where they are known.
        transform: maps a picture to pixels; with boxes or masks a transform of torchvision's
            ``v2``, which takes them along.
        boxes: the boxes of pictures by name: corners, and whether they are fractions.
        masks: the mask of pictures by name.
        fractions: whether boxes are fractions of the picture.
        mask_value: the number that is the class in masks; ``None``: they are black and white.
        channels: how many the network takes: grey for 1, RGB for 3.
        scale: what becomes black and white in pictures of more than 8 bits.
        notes: what is worth saying of the folder: where the classes come from, what is left aside,
            missing or doubtful; a line each.
    """

    folder: Path
    names: Sequence[str]
    labels: Sequence[int | str | None]
    transform: Callable[..., Tensor]
    classes: Sequence[str] | None = None
    boxes: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    fractions: bool = False
    mask_value: int | None = None
    channels: int = 3
    scale: Range | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(f"images: there is no picture in {self.folder}")
        check_range(self.scale)
        known = self.boxes or self.masks
        if known and not isinstance(self.transform, v2.Transform):
            raise ValueError(
                "boxes and masks must be cut as the pictures are: give the classifier a transform "
                "of torchvision.transforms.v2"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int) -> Item:
        name, label = self.names[place], self.labels[place]
        if isinstance(label, str):
            raise ValueError(label)
        picture = load_image(self.folder / name, self.channels, self.scale)
        if not self.boxes and not self.masks:
            return transformed(self.transform, picture), label
        boxes = mask = None
        if name in self.boxes:
            boxes = boxes_on(self.boxes[name], picture, self.fractions)
        if name in self.masks:
            mask = mask_on(self.masks[name], picture, self.mask_value)
        image, boxes, mask = transformed(self.transform, picture, boxes, mask)
        return image, label, {"boxes": visible(boxes), "mask": coverage(mask)}

    def identity(self, place: int) -> Iterable[object]:
        """Yield what would be another if a picture or what is known of it changed, unread.

        That is its name, size and times, its class, its truth, and the transform.
        """
        name = self.names[place]
        yield from (repr(self.transform), name, self.labels[place])
        yield from (self.boxes.get(name), self.fractions, self.mask_value)
        yield from (self.channels, self.scale)
        for file in (self.folder / name, self.masks.get(name)):
            stat = file.stat() if file is not None and file.exists() else None
            yield stat and (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def pictures(
    folder: str | Path,
    transform: Callable[..., Tensor],
    classes: Sequence[str] | None = None,
    labels: str | Path | None = None,
    boxes: str | Path | None = None,
    masks: str | Path | None = None,
    limit: int | None = None,
    *,
    channels: int = 3,
    scale: Range | None = None,
    mask_value: int | None = None,
    network: Callable[[Tensor], Tensor] | None = None,
) -> Pictures:
    """Return the pictures of a folder.

    Args:
        folder: the pictures, or one folder of pictures for each class, however deep they lie there.
            What is hidden, ``.name``, and folders called ``masks`` are left aside. Where there is
            no picture, arrays are taken, ``.npy`` and ``.npz``.
        transform: maps a picture to pixels, for example ``Classifier.transform``.
        classes: the names of the network's classes. ``None``: the names of the folders.
        labels: a table with the columns ``file``, a path inside the folder, and ``label``, the
            name or the number of a class. ``None``: the class is the one that the folder is called,
            by its name or its number; where no folder is, and there are as many as the network has
            classes, the folder's place among them; pictures that lie in ``folder`` itself have
            none.
        boxes: a table with the columns ``file`` and ``x0``, ``y0``, ``x1``, ``y1`` in pixels of
            the picture, or ``x0_frac``, … in fractions of it; a row for each box.
        masks: a folder that holds ``NAME.png`` for the picture ``NAME.jpg``: white is the class.
        limit: how many pictures at most, the first ones.
        channels: how many the network takes: grey for 1, RGB for 3; pictures of so many bands as
            they are.
        scale: what becomes black and white in pictures of more than 8 bits. ``None``: 0 and 65535
            for 16 bits; pictures of 32 bits are then refused.
        mask_value: the number that is the class in masks. ``None``: they are black and white.
        network: maps images to logits; asked once how many classes it has, where it matters.

    Raises:
        FileNotFoundError: a folder or a table does not exist.
        ValueError: a table lacks a column or names no picture that is there, folders are no
            classes or lie beside pictures, or there is no picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"images: {folder} is not a folder: give the folder of the pictures"
        )
    check_range(scale)
    if labels is not None:
        names, found, notes = _listed(folder, labels, classes)
    else:
        layout = laid_out(folder, None if masks is None else Path(masks))
        if network is None:
            classes = classes or _called(layout)

        def logits() -> int | None:
            if network is None:
                return len(classes) if classes else None
            return _logits(layout, transform, channels, scale, network)

        names, found, notes = _walked(layout, classes, logits)
        classes = classes or _called(layout)
        notes += layout.notes([Path(boxes)] if boxes is not None else [])
    table, columns = box_table(boxes)
    if names and boxes is not None:
        table["file"] = [_name(folder, name) for name in table["file"]]
        _check_some("boxes", boxes, table["file"], set(names).__contains__, "is a picture")
        notes += box_notes(table, columns)
    corners = {
        str(name): torch.tensor(rows[columns].to_numpy(dtype="float64"))
        for name, rows in table.groupby("file", sort=False)
    }
    return Pictures(
        folder,
        names[:limit],
        found[:limit],
        transform,
        classes,
        corners,
        mask_files(masks, names[:limit]),
        columns == FRACTIONS,
        mask_value,
        channels,
        scale,
        notes,
    )


def _listed(
    folder: Path, path: str | Path, classes: Sequence[str] | None
) -> tuple[list[str], Labels, list[str]]:
    """The pictures of a table, their classes, and what there is to say of them."""
    table = read_table("labels", path, ["file", "label"])
    names = [_name(folder, name) for name in table["file"]]
    absent = [name for name in names if not (folder / name).exists()]
    if names and len(absent) == len(names):
        raise ValueError(f"labels: no file of {path} is in {folder}, the first is {names[0]}")
    found, kinds = label_classes(table["label"].tolist(), classes)
    notes = [f"classes: the {kinds} in {path}"]
    if absent:
        notes.append(f"{len(absent)} of {len(names)} files are missing, the first {absent[0]}")
    twice = table["file"].duplicated()
    if twice.any():
        again = names[int(twice.to_numpy().argmax())]
        notes.append(f"{twice.sum()} of {len(names)} rows list a file again, the first {again}")
    wrong = [label for label in found if isinstance(label, str)]
    if wrong:
        notes.append(f"{len(wrong)} of {len(names)} labels cannot be used, the first: {wrong[0]}")
    return names, [*found], notes + _unlisted(folder, names)


def _unlisted(folder: Path, names: Sequence[str]) -> list[str]:
    """What there is to say of pictures that lie beside those of a table, but are not in it."""
    kinds, listed = suffixes(), set(names)
    beside = [
        path.relative_to(folder).as_posix()
        for place in sorted({(folder / name).parent for name in names})
        if place.is_dir()
        for path in sorted(place.iterdir())
        if path.suffix.lower() in kinds
    ]
    left = [name for name in beside if name not in listed]
    if not left:
        return []
    pictures = "picture is" if len(left) == 1 else "pictures are"
    return [f"{len(left)} other {pictures} not in the table, the first {left[0]}"]


def _walked(
    layout: Layout, classes: Sequence[str] | None, logits: Callable[[], int | None]
) -> tuple[list[str], Labels, list[str]]:
    """The pictures of a folder, their classes, and where these come from."""
    if layout.here or not layout.classes:
        told = "classes: none are given, so the predicted ones are explained"
        return layout.here, [None] * len(layout.here), [told]
    numbers, told = folder_classes([*layout.classes], classes, logits)
    pairs = zip(layout.classes.values(), numbers, strict=True)
    found = [(name, number) for names, number in pairs for name in names]
    return [name for name, _ in found], [number for _, number in found], [told]


def _called(layout: Layout) -> list[str] | None:
    """The names of the folders in a folder, unless they are numbers."""
    names = [*layout.classes]
    return None if all(name.isdecimal() for name in names) else names


def _logits(
    layout: Layout,
    transform: Callable[..., Tensor],
    channels: int,
    scale: Range | None,
    network: Callable[[Tensor], Tensor],
) -> int | None:
    """How many classes a network has, by one of the pictures that can be read."""
    for name in [name for names in layout.classes.values() for name in names][:TRIED]:
        try:
            picture = load_image(layout.folder / name, channels, scale)
            image = transformed(transform, picture)
        except (OSError, ValueError):  # what is wrong with it is said of it
            continue
        with torch.no_grad():
            return network(image[None]).shape[1]
    return None


def _name(folder: Path, name: str) -> str:
    """The path of a picture as it is on this system: tables may have blanks and backslashes."""
    usual = name.strip().replace("\\", "/")
    found = next((n for n in (name, name.strip()) if (folder / n).exists()), usual)
    return Path(found).as_posix()


def _check_some(
    what: str, path: str | Path, names: Iterable[str], known: Callable[[str], bool], words: str
) -> None:
    """Refuse a table of which no file is known; one that lacks some is an error of its images."""
    first = next(iter(names), None)
    if first is not None and not any(map(known, names)):
        raise ValueError(f"{what}: no file of {path} {words}, the first is {first}")
