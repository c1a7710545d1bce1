"""Tokens as feature maps: from a transformer's layout to ``(B, K, h, w)`` and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, isqrt

import torch
from torch import Tensor

MOST_PREFIX_TOKENS = 8
"""More tokens than these before the patches (class, distillation, registers) are a misreading."""


def token_grid(tokens: int, size: Sequence[int]) -> tuple[int, int, int]:
    r"""Return how tokens lie on the image: prefix tokens first, then patches row by row.

    The grid is the largest with the aspect of the image, :math:`h / w = H / W`; what is left are
    the prefix tokens: class, distillation, registers.

    Args:
        tokens: the number of tokens N, prefix included.
        size: the size of the image, ``(H, W)``.

    Returns:
        ``(prefix, h, w)`` with ``prefix + h * w == tokens``.

    Raises:
        ValueError: no grid of this aspect leaves 0 to 8 prefix tokens.
    """
    divisor = gcd(*size)
    height, width = (side // divisor for side in size)
    scale = isqrt(tokens // (height * width))
    prefix = tokens - scale**2 * height * width
    if scale == 0 or prefix > MOST_PREFIX_TOKENS:
        raise ValueError(
            f"{tokens} tokens are no grid of patches with the aspect of images {size[0]}×{size[1]} "
            f"after 0 to {MOST_PREFIX_TOKENS} prefix tokens: give images whose sides are multiples "
            "of the patch size, or choose another layer"
        )
    return prefix, scale * height, scale * width


def to_grid(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Return a layer's output as a feature map ``(B, K, h, w)``; prefix tokens are left out.

    Args:
        tensor: tokens ``(B, N, K)``, or a feature map with channels last ``(B, h, w, K)`` or first
            ``(B, K, h, w)``. The last two are told apart by the image: the axes that halving it
            again and again gives are the grid. If both or neither are, channels are first, unless
            the aspect of these axes cannot be the image's, or that of the other two is, exactly.
        size: the size of the image, ``(H, W)``.

    Raises:
        ValueError: the tensor has another number of axes, or its tokens are no grid.
    """
    if tensor.ndim == 3:
        prefix, height, width = token_grid(tensor.shape[1], size)
        return tensor[:, prefix:].transpose(1, 2).unflatten(2, (height, width))
    if tensor.ndim != 4:
        raise ValueError(
            "a feature map has shape (B, K, h, w), (B, h, w, K) or (B, N, K), "
            f"not {tuple(tensor.shape)}: choose a spatial layer"
        )
    grids = [tensor.shape[i : i + 2] for i in (2, 1)]
    first, last = (_distortion(grid, size) for grid in grids)
    halved_first, halved_last = (_halved(grid, size) for grid in grids)
    channels_last = last < first and (last == 0 or first > 1)
    if halved_first != halved_last:
        channels_last = halved_last
    return tensor.permute(0, 3, 1, 2) if channels_last else tensor


def from_grid(grid: Tensor, original: Tensor) -> Tensor:
    """Return a feature map in the layout of the layer it came from: the inverse of ``to_grid``.

    Args:
        grid: the feature map ``(B, K, h, w)``, of the shape that ``to_grid(original, size)`` has.
        original: the layer's output; its prefix tokens, if any, are kept.

    Raises:
        ValueError: the two shapes do not belong together.
    """
    if original.shape == grid.shape:
        return grid
    last = grid.permute(0, 2, 3, 1)
    if original.shape == last.shape:
        return last
    patches = last.flatten(1, 2)
    if original.ndim == 3 and original.shape[1] >= patches.shape[1]:
        prefix = original[:, : original.shape[1] - patches.shape[1]]
        if prefix.shape[::2] == patches.shape[::2]:
            return torch.cat([prefix, patches], dim=1)
    raise ValueError(
        f"a grid {tuple(grid.shape)} does not come from a tensor {tuple(original.shape)}"
    )


def _halved(grid: Sequence[int], size: Sequence[int]) -> bool:
    """Return whether strides of two make a grid of the image, each side rounded up or down."""
    strides = (2**i for i in range(max(size).bit_length()))
    return any(
        all(side // s <= cells <= -(-side // s) for cells, side in zip(grid, size, strict=True))
        for s in strides
    )


def _distortion(grid: Sequence[int], size: Sequence[int]) -> float:
    """Return how far the aspect of a grid is from that of the image.

    It is 0 if they are equal, and up to 1 if each side is at most one cell away from that: what
    strides and borders make of it.
    """
    return abs(grid[0] * size[1] - grid[1] * size[0]) / (size[0] + size[1])
