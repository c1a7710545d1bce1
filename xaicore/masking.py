"""From a raw map to a masked image: upsample, normalise, remove pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

ROUNDING = 8
"""By how many steps of float32, or of float64, at its largest value a constant map may differ in
places: what upsampling adds is below half of that."""

BASELINES = ("black", "mean", "blur")
BLUR = 11, 5.0
"""Kernel size and sigma of the blurred baseline, in pixels of a 224-pixel image."""


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate maps ``(B, 1, h, w)`` bilinearly to ``size = (H, W)``.

    Pixel centres are aligned (``align_corners=False``), as in the papers' code.
    """
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def normalize(maps: Tensor) -> Tensor:
    r"""Bring each map to ``[0, 1]``: :math:`n(S) = (S - \min S) / (\max S - \min S)`.

    A constant map becomes zeros (the papers' :math:`n(\mathbf 0) = \mathbf 0`), never NaN; so does
    one that differs from a constant by rounding alone, as a constant does once it is upsampled.
    """
    low, high = (f(dim=(-2, -1), keepdim=True) for f in (maps.amin, maps.amax))
    varies = ~_constant(low, high)
    return torch.where(varies, (maps - low) / torch.where(varies, high - low, 1), 0)


def degenerate(maps: Tensor) -> Tensor:
    """Return whether each map ``(B, 1, h, w)`` is constant, so that it points nowhere, ``(B,)``.

    A map is constant whose values differ by no more than ``ROUNDING`` steps of the precision that
    torch computes in. Of saliency it is true where the raw map was constant: ``normalize`` makes
    zeros of it, and every other map reaches 1.
    """
    return _constant(maps.amin(dim=(-3, -2, -1)), maps.amax(dim=(-3, -2, -1)))


def _constant(low: Tensor, high: Tensor) -> Tensor:
    eps = torch.finfo(torch.promote_types(high.dtype, torch.float32)).eps
    return high - low <= ROUNDING * eps * torch.maximum(low.abs(), high.abs())


def removed(images: Tensor, baseline: str | Tensor, mean: Tensor) -> Tensor:
    """Return what stands where a mask removes pixels; broadcasts against ``images``.

    Args:
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        baseline: ``"black"`` (the papers), ``"mean"`` (the data set's mean colour), ``"blur"``
            (the image, blurred), or pixels that broadcast against ``images``.
        mean: the mean colour ``(1, channels, 1, 1)``.

    Raises:
        ValueError: the baseline is unknown or does not fit the images.
    """
    if isinstance(baseline, Tensor):
        try:
            torch.broadcast_to(baseline, images.shape)
        except RuntimeError as error:
            raise ValueError(
                f"baseline {tuple(baseline.shape)} does not broadcast to {tuple(images.shape)}"
            ) from error
        return baseline.to(images)
    if baseline == "black":
        return images.new_zeros(1)
    if baseline == "mean":
        return mean.to(images)
    if baseline == "blur":
        from torchvision.transforms.v2.functional import gaussian_blur

        scale = min(images.shape[-2:]) / 224
        kernel = 2 * max(1, round(scale * (BLUR[0] - 1) / 2)) + 1
        return gaussian_blur(images, [kernel, kernel], [max(BLUR[1] * scale, 0.5)])
    raise ValueError(
        f"baseline must be a tensor or one of {', '.join(BASELINES)}; got {baseline!r}"
    )


def mask(images: Tensor, saliency: Tensor, baseline: Tensor) -> Tensor:
    r"""Keep what the map shows: :math:`\mathbf x \odot S + \mathbf b \odot (1 - S)`.

    Args:
        images: pixels ``(B, channels, H, W)``.
        saliency: maps ``(B, 1, H, W)`` in ``[0, 1]``.
        baseline: the result of ``removed``.
    """
    return torch.lerp(baseline, images, saliency)
