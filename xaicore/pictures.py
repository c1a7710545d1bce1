"""Pictures on disk: one file read robustly; a folder with classes, boxes and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SHORTEST_SIDE = 2

CORNERS = ["x0", "y0", "x1", "y1"]
FRACTIONS = [f"{corner}_frac" for corner in CORNERS]

Item = tuple[Any, ...]


def load_image(path: str | Path) -> Image.Image:
    """Read a picture as RGB, turned upright as its camera recorded it; transparency becomes white.

    Args:
        path: A file in any format Pillow reads.

    Returns:
        The picture, at least 2x2 pixels, fully read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not a whole picture of at least 2x2 pixels.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the path of one picture")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty: it holds no picture")
    try:
        with Image.open(path) as image:
            picture = as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large a picture: make it smaller first") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete: {error}") from error
    if min(picture.size) < SHORTEST_SIDE:
        width, height = picture.size
        raise ValueError(f"{path} has {width}x{height} pixels: at least 2x2 are needed")
    return picture


def as_rgb(image: Image.Image) -> Image.Image:
    """Return a picture as RGB; transparency becomes white."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 257, "L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


@dataclass(frozen=True)
class Pictures(Dataset[Item]):
    """Pictures of a folder, each with what is known of it.

    Item i is an image as the network sees it, ``(3, H, W)`` in [0, 1], and its class, or None.
    Where boxes or masks were given there is a third thing, a dictionary of the image's ``boxes``
    ``(n, 4)`` in its pixels and its ``mask`` ``(1, H, W)``, None where there is none. An item that
    cannot be had raises an error that says why.

    Attributes:
        folder: where the pictures are.
        names: their paths inside it.
        labels: the class of each, or ``None``; or what is wrong with it, in words.
        classes: the names of the classes, where they are known.
        transform: maps an RGB picture to pixels; with boxes or masks a transform of torchvision's
            ``v2``, which takes them along.
        boxes: the boxes of pictures by name: corners, and whether they are fractions.
        masks: the mask of pictures by name.
    """

    folder: Path
    names: Sequence[str]
    labels: Sequence[int | str | None]
    transform: Callable[..., Tensor]
    classes: Sequence[str] | None = None
    boxes: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    fractions: bool = False

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(f"images: there is no picture in {self.folder}")
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
        picture = load_image(self.folder / name)
        if not self.boxes and not self.masks:
            return self.transform(picture), label
        boxes, mask = self._boxes(name, picture), self._mask(name, picture)
        image, boxes, mask = self.transform(picture, boxes, mask)
        return image, label, {"boxes": _visible(boxes), "mask": _coverage(mask)}

    def identity(self, place: int) -> Iterable[object]:
        """Yield what would be another if a picture or what is known of it changed, unread.

        That is its name, size and times, its class, its truth, and the transform.
        """
        name = self.names[place]
        yield from (repr(self.transform), name, self.labels[place])
        yield from (self.boxes.get(name), self.fractions)
        for file in (self.folder / name, self.masks.get(name)):
            stat = file.stat() if file is not None and file.exists() else None
            yield stat and (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    def _boxes(self, name: str, picture: Image.Image) -> tv_tensors.BoundingBoxes | None:
        if name not in self.boxes:
            return None
        width, height = picture.size
        corners = self.boxes[name]
        if not corners.isfinite().all():
            raise ValueError("boxes: a corner is not a number")
        if self.fractions:
            corners = corners * torch.tensor([width, height, width, height])
        return tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width))

    def _mask(self, name: str, picture: Image.Image) -> tv_tensors.Mask | None:
        if name not in self.masks:
            return None
        mask = load_image(self.masks[name]).convert("L")
        if mask.size != picture.size:
            raise ValueError(
                f"the mask has {mask.width}x{mask.height} pixels, the picture {picture.width}x"
                f"{picture.height}"
            )
        return tv_tensors.Mask(pil_to_tensor(mask))


def pictures(
    folder: str | Path,
    transform: Callable[..., Tensor],
    classes: Sequence[str] | None = None,
    labels: str | Path | None = None,
    boxes: str | Path | None = None,
    masks: str | Path | None = None,
    limit: int | None = None,
) -> Pictures:
    """Return the pictures of a folder.

    Args:
        folder: the pictures, or one folder of pictures for each class.
        transform: maps an RGB picture to pixels, for example ``Classifier.transform``.
        classes: the names of the network's classes. ``None``: the names of the folders.
        labels: a table with the columns ``file``, a path inside the folder, and ``label``, the
            number or the name of a class. ``None``: the class is the name of the folder, or its
            place among the sorted folders if there are as many as classes; pictures that lie in
            ``folder`` itself have none. What is hidden, ``.name``, is left aside.
        boxes: a table with the columns ``file`` and ``x0``, ``y0``, ``x1``, ``y1`` in pixels of
            the picture, or ``x0_frac``, … in fractions of it; a row for each box.
        masks: a folder that holds ``NAME.png`` for the picture ``NAME.jpg``: white is the class.
        limit: how many pictures at most, the first ones.

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
    if labels is not None:
        table = _table("labels", labels, ["file", "label"])
        names = table["file"].astype(str).tolist()
        found: list[int | str | None] = [_class(label, classes) for label in table["label"]]
        _check_some(
            "labels", labels, names, lambda name: (folder / name).exists(), f"is in {folder}"
        )
    else:
        names, found = _walk(folder, classes, masks)
        classes = classes or _folder_names(folder)
    table, columns = _box_table(boxes)
    if names:
        boxed = table["file"].astype(str)
        _check_some("boxes", boxes, boxed, set(names).__contains__, "is a picture")
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
        _mask_files(masks, names[:limit]),
        columns == FRACTIONS,
    )


def _walk(
    folder: Path, classes: Sequence[str] | None, masks: str | Path | None
) -> tuple[list[str], list[int | str | None]]:
    """The pictures of a folder without classes, or of one folder for each class."""
    folders = [entry for entry in _visible_entries(folder) if entry.is_dir()]
    here = _files(folder)
    for entry in folders:
        if here and _files(entry) and (masks is None or not entry.samefile(masks)):
            raise ValueError(
                f"images: {folder} holds pictures, {here[0].name} first, and folders of pictures, "
                f"{entry.name} first: keep one or the other, or list what you mean in a table of "
                "labels"
            )
    if not folders or here:
        return [file.name for file in here], [None] * len(here)
    numbers = _folder_classes([entry.name for entry in folders], classes)
    found = [
        (file, number)
        for entry, number in zip(folders, numbers, strict=True)
        for file in _files(entry)
    ]
    return [file.relative_to(folder).as_posix() for file, _ in found], [n for _, n in found]


def _folder_names(folder: Path) -> list[str] | None:
    """The names of the folders in a folder, unless they are numbers."""
    names = [entry.name for entry in _visible_entries(folder) if entry.is_dir()]
    return None if all(name.isdigit() for name in names) else names


def _files(folder: Path) -> list[Path]:
    return [file for file in _visible_entries(folder) if file.suffix.lower() in SUFFIXES]


def _visible_entries(folder: Path) -> list[Path]:
    """What is in a folder, but for what systems and editors hide there."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _folder_classes(names: Sequence[str], classes: Sequence[str] | None) -> list[int]:
    known = list(classes or ())
    if all(known.count(name) == 1 for name in names):
        return [known.index(name) for name in names]
    found = [_class(name, classes) for name in names]
    numbers = [number for number in found if isinstance(number, int)]
    if len(numbers) == len(names):
        return numbers
    count = len(names) if classes is None else len(classes)
    if count == len(names):
        return list(range(count))
    unknown = next(name for name, n in zip(names, found, strict=True) if isinstance(n, str))
    raise ValueError(
        f"images: the folder '{unknown}' is no class of the network: name folders as classes or by "
        f"their numbers, have one for each of the {count} classes, not {len(names)}, give "
        "the folder that the pictures lie in, or a table of labels"
    )


def _class(label: object, classes: Sequence[str] | None) -> int | str:
    """The number of a class; if it is none, why."""
    text = "" if pd.isna(label) else str(label).strip().removesuffix(".0")
    if not text:
        return "it has no label"
    if text.lstrip("-").isdigit():
        number = int(text)
        return number if number >= 0 else f"label {number} is no class: classes count from 0"
    places = [i for i, name in enumerate(classes or ()) if name.lower() == text.lower()]
    if len(places) == 1:
        return places[0]
    return f"label '{text}' is {'more than one' if places else 'no'} class of the network"


def _table(what: str, path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{what}: {path} is not a table of comma-separated values") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{what}: {path} lacks the column {' and '.join(missing)}; it has "
            f"{', '.join(map(str, table))}"
        )
    return table


def _check_some(
    what: str,
    path: str | Path | None,
    names: Iterable[str],
    known: Callable[[str], bool],
    words: str,
) -> None:
    """Refuse a table of which no file is known; one that lacks some is an error of its images."""
    first = next(iter(names), None)
    if first is not None and not any(map(known, names)):
        raise ValueError(f"{what}: no file of {path} {words}, the first is {first}")


def _box_table(path: str | Path | None) -> tuple[pd.DataFrame, list[str]]:
    if path is None:
        return pd.DataFrame(columns=["file", *CORNERS]), CORNERS
    table = _table("boxes", path, ["file"])
    columns = FRACTIONS if set(FRACTIONS) <= set(table) else CORNERS
    table = _table("boxes", path, ["file", *columns])
    for column in columns:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table, columns


def _mask_files(folder: str | Path | None, names: Sequence[str]) -> dict[str, Path]:
    if folder is None:
        return {}
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"masks: {folder} is not a folder")
    files = {name: (folder / name).with_suffix(".png") for name in names}
    found = {name: file for name, file in files.items() if file.is_file()}
    if files and not found:
        first = next(iter(files.values()))
        raise ValueError(f"masks: there is none for any picture; the first would be {first}")
    return found


def _visible(boxes: Tensor | None) -> Tensor | None:
    """The boxes of which the network sees something."""
    if boxes is None:
        return None
    corners = boxes.as_subclass(Tensor)
    kept = corners[(corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])]
    return kept if len(kept) else None


def _coverage(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.as_subclass(Tensor).float() / 255
