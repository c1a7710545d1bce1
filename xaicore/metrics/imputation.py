r"""Fill removed pixels from those around them: the noisy linear imputation of ROAD.

Black or a mean colour draws the outline of what was removed into the image. Here every removed
pixel becomes the weighted mean of its eight neighbours, removed ones included, so that colours run
smoothly into the hole. With weights :math:`w_{ij}` of 1/6 to the side and 1/12 at a corner, and
:math:`\Omega` the removed pixels, it is the one solution of

.. math:: x_i \sum_j w_{ij} = \sum_j w_{ij}\, x_j, \qquad i \in \Omega,

where sums are over neighbours inside the image. Rong et al., A Consistent and Efficient Evaluation
Strategy for Attribution Methods, ICML 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["impute"]

TOLERANCE = 1e-4
"""Residual of the worst pixel at which an image is solved: a fortieth of a step of 8 bits."""

MOST = 20
"""Iterations at most, for each pixel of the longer side; a tenth is usual."""


@torch.no_grad()
def impute(
    images: Tensor, shown: Tensor, start: Tensor | float = 0.5, noise: float = 0.01, seed: int = 0
) -> Tensor:
    r"""Return images whose hidden pixels are filled from their neighbours.

    The system is symmetric and positive definite and is solved by conjugate gradients, an image at
    its own pace. Cost: some three iterations for each pixel of the width of the widest hole, each a
    3x3 convolution of the images; no pass of a network.

    Args:
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        shown: which pixels stay, ``(B, 1, H, W)``, bool.
        start: where the search starts; it is what an image becomes of which nothing is shown.
        noise: the standard deviation of the noise on filled pixels, the same for every image.
        seed: the seed of the noise.

    Returns:
        Pixels in ``[0, 1]``; those that are shown are as they were.

    Raises:
        ValueError: ``shown`` does not fit the images, or the noise is negative.

    Example:
        >>> holes = torch.ones(2, 1, 16, 16, dtype=torch.bool)
        >>> holes[..., 4:8, 4:8] = False
        >>> plain = xc.metrics.impute(torch.full((2, 3, 16, 16), 0.25), holes, noise=0)
        >>> (plain - 0.25).abs().max().item() < 1e-3
        True
    """
    expected = (len(images), 1, *images.shape[-2:])
    if shown.shape != expected or shown.dtype != torch.bool:
        raise ValueError(
            f"shown must be bool and of shape {expected} to fit the images, not {shown.dtype} "
            f"{tuple(shown.shape)}"
        )
    if noise < 0:
        raise ValueError(f"noise must not be negative, not {noise}")
    hidden = ~shown
    begun = torch.where(hidden, torch.as_tensor(start).to(images), images)
    filled = _solve(begun, hidden.to(images))
    if noise:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(1, *images.shape[1:], generator=generator)
        filled = filled + noise * drawn.to(images)
    return torch.where(hidden, filled.clamp(0, 1), images)


def _solve(x: Tensor, hidden: Tensor) -> Tensor:
    """Conjugate gradients on the hidden pixels, from what stands there."""
    degree = _around(torch.ones_like(x[:1, :1]))
    residual = hidden * (_around(x) - degree * x)
    step, size = residual, _product(residual, residual)
    for _ in range(MOST * max(x.shape[-2:])):
        unsolved = residual.abs().amax((1, 2, 3), keepdim=True) > TOLERANCE
        if not unsolved.any():
            break
        bent = hidden * (degree * step - _around(step))
        rate = torch.where(unsolved, size / _product(step, bent), 0)
        x, residual = x + rate * step, residual - rate * bent
        before, size = size, _product(residual, residual)
        step = residual + torch.where(unsolved, size / before, 0) * step
    return x


def _around(x: Tensor) -> Tensor:
    """The weighted sum of the neighbours inside the image."""
    padded = F.pad(x, (1, 1, 1, 1))
    rows = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    both = rows[..., :-2, :] + 2 * rows[..., 1:-1, :] + rows[..., 2:, :]
    return (both - 4 * x) / 12


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2, 3), keepdim=True)
