"""Which part of a photograph a network sees, where its transform resizes and crops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the photograph."""

NEUTRAL = {
    "ConvertImageDtype",
    "Grayscale",
    "Identity",
    "PILToTensor",
    "RGB",
    "ToDtype",
    "ToImage",
    "ToTensor",
}
"""Transforms of torchvision, by name, that leave every pixel where it is."""


def framed(transform: Callable[..., Any], width: int, height: int) -> Box | None:
    """Return the part of a photograph that a transform keeps, or None if it cannot be told.

    It can for torchvision's ``Resize`` and ``CenterCrop``, of either version, in any order and
    among transforms that leave every pixel where it is. Where ``CenterCrop`` adds a margin, the
    part is larger than the photograph.

    Args:
        transform: what makes pixels of a photograph.
        width: of the photograph, in pixels.
        height: of the photograph, in pixels.
    """
    box: Box = (0.0, 0.0, float(width), float(height))
    size = height, width
    for step in getattr(transform, "transforms", [transform]):
        kind = type(step).__name__
        if kind == "Resize" and getattr(step, "max_size", None) is None:
            size = _resized(step.size, *size)
        elif kind == "CenterCrop":
            wanted = _pair(step.size)
            box = _cut(box, size, wanted)
            size = wanted
        elif kind not in NEUTRAL:
            return None
    return box


def _resized(wanted: int | Sequence[int], height: int, width: int) -> tuple[int, int]:
    if isinstance(wanted, Sequence) and len(wanted) == 2:
        return wanted[0], wanted[1]
    short = wanted[0] if isinstance(wanted, Sequence) else wanted
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    if not isinstance(size, Sequence):
        return size, size
    return size[0], size[-1]


def _cut(box: Box, size: tuple[int, int], wanted: tuple[int, int]) -> Box:
    """The middle of what a box holds, which is drawn in a size, of a wanted size."""
    left, top, right, bottom = box
    y0, x0 = (_start(have, want) for have, want in zip(size, wanted, strict=True))
    across, down = (right - left) / size[1], (bottom - top) / size[0]
    start_x, start_y = left + x0 * across, top + y0 * down
    return start_x, start_y, start_x + wanted[1] * across, start_y + wanted[0] * down


def _start(have: int, want: int) -> int:
    """Where the middle begins; before the first pixel where a margin is added."""
    return round((have - want) / 2) if have >= want else -((want - have) // 2)
