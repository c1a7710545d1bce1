r"""The terms of the three steps, as functions of pictures, codes and scores.

The talk of which this is built names them: a VAE for each domain, GAN losses, a cycle loss, a
similarity loss. Their forms are ours, close to those of UNIT (Liu et al., NeurIPS 2017), whose
generative and discriminative losses are least squares, too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xaicore.classifier import check_name

SIGMA = 0.05
"""Standard deviation of a pixel around its decoded value."""

BETA = 0.05
"""Weight of the prior; at 1 petals are blurred away."""

SIMILARITIES = ("pixels", "averages", "palette")
DIRECTIONS = 8
"""Axes of colour on which palettes are compared."""


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return :math:`KL(N(\mu, s^2) \| N(0, 1))` of each code, ``(B,)``, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def negative_elbo(images: Tensor, decoded: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return :math:`|x - \hat x|^2 / 2 \sigma^2 + \beta KL`, the mean over pictures, in nats."""
    error = ((images - decoded) ** 2).flatten(1).sum(1) / (2 * SIGMA**2)
    return (error + BETA * kl(mean, log_variance)).mean()


def per_pixel(images: Tensor) -> float:
    """Return what turns the nats of ``negative_elbo`` into a mean squared error of pixels."""
    return 2 * SIGMA**2 / images[0].numel()


def fooling(into_a: Tensor, into_b: Tensor) -> Tensor:
    """Return the GAN loss: how far translations, ``(B, 2)`` scores, are from looking real."""
    return ((into_a[:, 0] - 1) ** 2).mean() + ((into_b[:, 1] - 1) ** 2).mean()


def discerning(a: Tensor, b: Tensor, into_a: Tensor, into_b: Tensor) -> Tensor:
    """Return the loss of the discriminator; 1 at chance, where every score is a half.

    Each head takes the other domain's real pictures for wrong as well as what was translated: so it
    looks at the shape, not at the blur.

    Args:
        a: scores ``(B, 2)`` of real pictures of the first domain.
        b: of the second.
        into_a: scores of pictures translated into the first domain.
        into_b: into the second.
    """
    real = ((a[:, 0] - 1) ** 2).mean() + ((b[:, 1] - 1) ** 2).mean()
    other = (a[:, 1] ** 2).mean() + (b[:, 0] ** 2).mean()
    translated = (into_a[:, 0] ** 2).mean() + (into_b[:, 1] ** 2).mean()
    return real + (other + translated) / 2


def similarity(kind: str, images: Tensor, translated: Tensor) -> Tensor:
    """Return how far a translation is from its source: 0 for the source itself.

    Args:
        kind: ``"pixels"``: the mean absolute difference; ``"averages"``: the same of the means of
            8x8 pixels; ``"palette"``: that of the sorted brightnesses along axes of colour,
            wherever in the picture they are.
        images: pixels ``(B, 3, H, W)``.
        translated: the same shape.

    Raises:
        ValueError: the kind is unknown.
    """
    check_name("kind", kind, SIMILARITIES)
    if kind == "averages":
        images, translated = F.avg_pool2d(images, 8), F.avg_pool2d(translated, 8)
    elif kind == "palette":
        images, translated = _sorted_colours(images), _sorted_colours(translated)
    return (images - translated).abs().mean()


def _sorted_colours(images: Tensor) -> Tensor:
    """The sorted brightness of each picture along fixed axes of colour, ``(B, 8, H * W)``."""
    generator = torch.Generator().manual_seed(0)
    axes = F.normalize(torch.randn(3, DIRECTIONS, generator=generator), dim=0).to(images)
    return torch.einsum("bchw,ck->bkhw", images, axes).flatten(2).sort(2).values
