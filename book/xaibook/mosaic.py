"""A picture laid out in patches of another: the shape of the one, the texture of the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

PATCH = 8
DRAWN = 4000
"""Patches of the texture that are looked through for the best."""


def mosaic(
    shape: Image.Image, texture: Image.Image, patch: int = PATCH, seed: int = 0
) -> Image.Image:
    """Return a picture whose patches are those of another that are as bright in the same places.

    The idea is the transfer of texture of Efros and Freeman (SIGGRAPH 2001), without seams.

    Args:
        shape: the picture that is laid out; its sides are multiples of ``patch``.
        texture: the picture that the patches come from, at least as large as one.
        patch: width and height of a patch in pixels.
        seed: of the patches that are looked through.

    Raises:
        ValueError: the sides of ``shape`` are no multiples of ``patch``.
    """
    if shape.width % patch or shape.height % patch:
        raise ValueError(
            f"shape: {shape.width}x{shape.height} pixels cannot be laid out in patches of {patch}"
        )
    tiles = _tiles(np.asarray(shape.convert("RGB"), np.float32), patch)
    stones = _drawn(np.asarray(texture.convert("RGB"), np.float32), patch, seed)
    wanted, had = (_ranks(part.mean(3).reshape(len(part), -1)) for part in (tiles, stones))
    distance = (had**2).sum(1)[None] - 2 * wanted @ had.T
    chosen = stones[distance.argmin(1)]
    rows, columns = shape.height // patch, shape.width // patch
    grid = chosen.reshape(rows, columns, patch, patch, 3).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(grid.reshape(shape.height, shape.width, 3).astype(np.uint8))


def _tiles(image: npt.NDArray[np.float32], patch: int) -> npt.NDArray[np.float32]:
    """The patches of a picture, row by row, ``(n, patch, patch, 3)``."""
    height, width, _ = image.shape
    cut = image.reshape(height // patch, patch, width // patch, patch, 3)
    return cut.transpose(0, 2, 1, 3, 4).reshape(-1, patch, patch, 3)


def _drawn(image: npt.NDArray[np.float32], patch: int, seed: int) -> npt.NDArray[np.float32]:
    """Patches from anywhere in a picture, ``(DRAWN, patch, patch, 3)``."""
    rng = np.random.default_rng(seed)
    tops = rng.integers(0, image.shape[0] - patch + 1, DRAWN)
    lefts = rng.integers(0, image.shape[1] - patch + 1, DRAWN)
    pairs = zip(tops, lefts, strict=True)
    return np.stack([image[top : top + patch, left : left + patch] for top, left in pairs])


def _ranks(brightness: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The brightness as its place among all of the picture, in [0, 1]: darkest to brightest."""
    order = np.sort(brightness, axis=None)
    return (np.searchsorted(order, brightness) / order.size).astype(np.float32)
