"""Pictures of any number of bands: arrays of NumPy, and TIFF files that Pillow does not read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

ARRAYS = frozenset({".npy", ".npz"})
"""Suffixes of files that hold an array."""

TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
"""What TIFF files begin with, the last two large ones."""

DEEPEST = 16
"""The most bits of a number whose black and white are known, its least and largest value."""

Range = tuple[float, float]


def read_array(path: Path) -> np.ndarray:
    """Return the one array of a file of NumPy.

    Raises:
        ValueError: the file is damaged, or holds no array of numbers, or several; this message and
            the others here go on after the name of a file.
    """
    try:
        found: Any = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = list(found)
            if len(names) == 1:
                return found[names[0]]
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"is damaged, or holds no array of numbers: {error}") from error
    raise ValueError(f"holds {len(names)} arrays, {', '.join(names[:5])}: save one in a file")


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF, by what it begins with."""
    with path.open("rb") as file:
        return file.read(4) in TIFF


def read_tiff(path: Path, why: str) -> np.ndarray:
    """Return a TIFF as an array, with all its bands and bits.

    Args:
        path: the file.
        why: what Pillow says of it.

    Raises:
        ValueError: it is damaged, or tifffile is not installed, which reads what Pillow does not.
    """
    try:
        import tifffile  # noqa: PLC0415 - only some files need it
    except ImportError as error:
        raise ValueError(f"is a TIFF that needs tifffile ({why}): pip install tifffile") from error
    try:
        return np.asarray(tifffile.imread(path))
    except Exception as error:  # of many kinds
        raise ValueError(f"is damaged or incomplete: {error}") from error


def as_bands(values: np.ndarray, channels: int, scale: Range | None) -> Tensor:
    """Return an array as pixels in ``[0, 1]``, ``(channels, H, W)``.

    Args:
        values: numbers ``(channels, H, W)`` or ``(H, W, channels)``, ``(H, W)`` for one channel.
        channels: how many the network takes.
        scale: the values that become 0 and 1. ``None``: the least and the largest number of 8 or 16
            bits; others have no usual range.

    Raises:
        ValueError: it has another shape, or values outside the range, or none is known.
    """
    if values.dtype.kind not in "uif":
        raise ValueError(f"holds {values.dtype}, no numbers of pixels")
    placed = _channels_first(values, channels)
    if min(placed.shape[1:]) < 2:
        raise ValueError(f"has the shape {values.shape}: at least 2x2 pixels are needed")
    return tv_tensors.Image(torch.from_numpy(scaled(placed, scale).astype(np.float32)))


def scaled(values: np.ndarray, scale: Range | None) -> np.ndarray:
    """Return numbers as shares of a range, in float64.

    Raises:
        ValueError: they are not finite, none is known, or some are outside.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or infinity: replace them first")
    held = f"values from {values.min():g} to {values.max():g}"
    bits = values.dtype.itemsize * 8
    if scale is None and values.dtype.kind == "u" and bits <= DEEPEST:
        scale = 0.0, 2.0**bits - 1
    if scale is None:
        raise ValueError(
            f"holds {bits}-bit {held}, whose black and white nobody knows: declare the range, "
            "range=(low, high) or --range LOW,HIGH"
        )
    low, high = scale
    if values.min() < low or values.max() > high:
        raise ValueError(
            f"holds {held}, outside the range {low:g} to {high:g}: declare a wider one, "
            "range=(low, high) or --range LOW,HIGH"
        )
    return (values.astype(np.float64) - low) / (high - low)


def _channels_first(values: np.ndarray, channels: int) -> np.ndarray:
    shape: Sequence[int] = values.shape
    if values.ndim == 2 and channels == 1:
        return values[None]
    ends = [axis for axis in (0, -1) if values.ndim == 3 and shape[axis] == channels]
    if len(ends) == 2:
        raise ValueError(
            f"has the shape {shape}, of which either end may be the {channels} channels: "
            "save it larger than it has channels"
        )
    if not ends:
        raise ValueError(
            f"has the shape {shape}, neither ({channels}, H, W) nor (H, W, {channels}): "
            f"the network takes {channels} channel{'s' * (channels > 1)}"
        )
    return np.ascontiguousarray(np.moveaxis(values, ends[0], 0))
