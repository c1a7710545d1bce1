"""Where the class is: boxes from a table, masks from files; none is taken at face value."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from xaicore.pictures.file import Picture, opened, size_of
from xaicore.pictures.tables import numbers, read_table

CORNERS = ["x0", "y0", "x1", "y1"]
FRACTIONS = [f"{corner}_frac" for corner in CORNERS]

LARGEST_FRACTION = 2.0
"""A corner that is so many pictures away is no fraction of this one."""


BEYOND = 1.0
"""Pixels by which a box may reach beyond its picture without a word: some count from 1."""


def box_table(path: str | Path | None) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of boxes and its columns of corners, in pixels or in fractions.

    Raises:
        ValueError: it lacks columns, or pixels are called fractions, or fractions pixels.
    """
    if path is None:
        return pd.DataFrame(columns=["file", *CORNERS]), CORNERS
    table = read_table("boxes", path, ["file"])
    columns = FRACTIONS if set(FRACTIONS) <= set(table) else CORNERS
    table = read_table("boxes", path, ["file", *columns])
    for column in columns:
        table[column] = numbers(table[column])
    corners = table[columns].to_numpy(dtype=float)
    known = corners[np.isfinite(corners)]
    if columns == CORNERS and known.size and _are_fractions(known):
        raise ValueError(
            f"boxes: no corner of {path} is above {known.max():g}, so these are fractions, not "
            f"pixels: call the columns {', '.join(FRACTIONS)}"
        )
    if columns == FRACTIONS and (known > LARGEST_FRACTION).any():
        raise ValueError(
            f"boxes: {path} has {known.max():g} where fractions of the picture are told: call the "
            f"columns {', '.join(CORNERS)} if they are pixels"
        )
    return table, columns


def _are_fractions(corners: np.ndarray) -> bool:
    """Whether corners that are told in pixels are surely fractions, a little beyond 1 too."""
    whole = (corners == corners.round()).all()
    return bool((corners >= 0).all() and (corners <= (1 if whole else LARGEST_FRACTION)).all())


def box_notes(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return what is doubtful in a table of boxes, in words."""
    x0, y0, x1, y1 = (table[column] for column in columns)
    found = []
    turned = int(((x1 < x0) | (y1 < y0)).sum())
    if turned:
        found.append(
            f"{turned} of {len(table)} boxes are turned, {columns[2]} below {columns[0]} or "
            f"{columns[3]} below {columns[1]}: are these widths and heights? Their pictures fail"
        )
    tiny = int(((x1 <= LARGEST_FRACTION) & (y1 <= LARGEST_FRACTION)).sum())
    if tiny and columns == CORNERS:
        found.append(
            f"{tiny} of {len(table)} boxes end within {LARGEST_FRACTION:g} pixels of the corner of "
            "their picture: are these fractions?"
        )
    return found


def boxes_on(corners: Tensor, picture: Picture, fractions: bool) -> tv_tensors.BoundingBoxes:
    """Return the boxes of a picture in its pixels.

    Raises:
        ValueError: a corner is no number, or a box is turned, empty or beside the picture.
    """
    width, height = size_of(picture)
    if not corners.isfinite().all():
        raise ValueError("boxes: a corner is not a number")
    for box in corners.tolist():
        if box[2] == box[0] or box[3] == box[1]:
            raise ValueError(f"boxes: {_written(box)} is empty")
        if box[2] < box[0] or box[3] < box[1]:
            raise ValueError(
                f"boxes: {_written(box)} is turned: give the corners x0, y0, x1, y1, x0 below x1 "
                "and y0 below y1, no widths"
            )
    if fractions:
        corners = corners * torch.tensor([width, height, width, height])
    for box in corners.tolist():
        if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
            raise ValueError(
                f"boxes: {_written(box)} lies outside the picture of {width}x{height} pixels"
            )
        if min(box[:2]) < -BEYOND or box[2] > width + BEYOND or box[3] > height + BEYOND:
            warnings.warn(
                "boxes reach beyond their pictures, and are cut there: are they of another size, "
                "or x and y swapped?",
                stacklevel=2,
            )
    return tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width))


def mask_files(folder: str | Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Return the file of each picture's mask, where there is one."""
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


def mask_on(path: Path, picture: Picture, value: int | None) -> tv_tensors.Mask:
    """Return the mask of a picture ``(1, H, W)``, 255 where the class is.

    Args:
        path: its file.
        picture: the picture.
        value: the number that is the class in the file; ``None``: it is black and white.

    Raises:
        ValueError: it has another size, or other values than black and white and none is told.
    """
    mask, _ = opened(path)
    width, height = size_of(picture)
    if mask.size != (width, height):
        raise ValueError(
            f"the mask has {mask.width}x{mask.height} pixels, the picture {width}x{height}"
        )
    if value is not None:
        there = _one_band(mask, path) == value
    else:
        there = _white(_one_band(mask.convert("RGB") if mask.mode == "P" else mask, path), path)
    return tv_tensors.Mask(torch.from_numpy(there.astype(np.uint8) * 255)[None])


def _white(values: np.ndarray, path: Path) -> np.ndarray:
    """Where a mask is white, if it is black and white."""
    if values.dtype == bool:
        return values
    white = 65535 if values.max() > 255 else 255
    found = np.unique(values)
    if not set(found.tolist()) <= {0, white}:
        some = ", ".join(map(str, found[:4].tolist())) + ", …" * (len(found) > 4)
        raise ValueError(
            f"the mask {path.name} has the values {some}, not 0 and {white} alone: say which value "
            "is the class, mask_value=… or --mask-value"
        )
    return values == white


def _one_band(mask: Image.Image, path: Path) -> np.ndarray:
    """The numbers of a mask, of which all bands are the same."""
    values = np.asarray(mask)
    if values.ndim == 2:
        return values
    colours = values[..., :-1] if mask.mode in {"RGBA", "LA"} else values
    if (colours != colours[..., :1]).any() or (
        mask.mode in {"RGBA", "LA"} and values[..., -1].min() < 255
    ):
        raise ValueError(f"the mask {path.name} is coloured or transparent: save it in one channel")
    return colours[..., 0]


def visible(boxes: Tensor | None) -> Tensor | None:
    """Return the boxes of which the network sees something."""
    if boxes is None:
        return None
    corners = boxes.as_subclass(Tensor)
    kept = corners[(corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])]
    return kept if len(kept) else None


def coverage(mask: Tensor | None) -> Tensor | None:
    """Return a mask in ``[0, 1]``."""
    return None if mask is None else mask.as_subclass(Tensor).float() / 255


def _written(box: Sequence[float]) -> str:
    return f"the box ({', '.join(f'{corner:g}' for corner in box)})"
