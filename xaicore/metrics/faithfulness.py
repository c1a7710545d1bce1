r"""Does the class survive when only what the map shows is kept? AD, AI and AG, per image.

With :math:`p` the probability of the class on the image and :math:`o` on the masked image:

.. math:: \mathrm{AD} = \frac{[p - o]_+}{p}, \qquad \mathrm{AI} = \mathbb 1[o > p], \qquad
    \mathrm{AG} = \frac{[o - p]_+}{1 - p}

Each function returns one value per image, in ``[0, 1]``; the papers print 100 times the mean.
AD and AI: Chattopadhay et al., WACV 2018. AG: Zhang et al., CVIU 248 (2024), eqs 13-15.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xaicore.attribution.explainer import check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import mask, removed

__all__ = [
    "average_drop",
    "average_gain",
    "average_increase",
    "confidence",
]


@torch.no_grad()
def confidence(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None,
    baseline: str | Tensor = "black",
) -> tuple[Tensor, Tensor]:
    """Return the class probability before and after masking.

    Logits are taken to float64 before the softmax, so that ``1 - p`` keeps its digits down to about
    ``1e-12`` where float32 would already say ``p = 1``. Cost: two forwards.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. The papers use the true classes.
            ``None``: the predicted ones.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.

    Returns:
        ``(p, o)``, float64, each ``(B,)``, on the CPU: not every device has float64.

    Raises:
        ValueError: images, maps or targets cannot be used; the message says why.

    Example:
        >>> p, o = xc.confidence(model, images, torch.ones(2, 1, 16, 16), targets)
        >>> torch.equal(p, o)  # a map of ones keeps the whole image
        True
    """
    checked = check_inputs(classifier, images, targets)
    check_maps(maps, images)
    logits = classifier(images)
    classes = resolve_targets(checked, logits)
    absent = removed(images, baseline, classifier.mean)
    masked = classifier(mask(images, maps.to(images), absent))
    return classifier.probability(logits, classes), classifier.probability(masked, classes)


def average_drop(p: Tensor, o: Tensor) -> Tensor:
    """Return the share of the confidence that masking loses, ``[p - o]+ / p``; lower is better.

    Example:
        >>> p, o = torch.tensor([0.8, 0.8]), torch.tensor([0.2, 0.9])
        >>> xc.average_drop(p, o).round(decimals=3)
        tensor([0.7500, 0.0000], dtype=torch.float64)
    """
    p, o = check_probabilities(p, o)
    return ratio((p - o).clamp_min(0), p)


def average_increase(p: Tensor, o: Tensor) -> Tensor:
    """Return 1 where masking raises the confidence, ``o > p``, else 0; higher is better.

    Example:
        >>> xc.average_increase(torch.tensor([0.8, 0.8]), torch.tensor([0.2, 0.9]))
        tensor([0., 1.], dtype=torch.float64)
    """
    p, o = check_probabilities(p, o)
    return (o > p).double()


def average_gain(p: Tensor, o: Tensor) -> Tensor:
    """Return the share of the possible gain that masking reaches, ``[o - p]+ / (1 - p)``.

    Higher is better. Where ``p = 1`` nothing can be gained: the value is 0.

    Example:
        >>> p, o = torch.tensor([0.8, 0.8]), torch.tensor([0.2, 0.9])
        >>> xc.average_gain(p, o).round(decimals=3)
        tensor([0.0000, 0.5000], dtype=torch.float64)
    """
    p, o = check_probabilities(p, o)
    return ratio((o - p).clamp_min(0), 1 - p)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return ``part / whole``, and 0 where the whole, which is not negative, is 0."""
    return torch.where(whole > 0, part / whole.where(whole > 0, 1), 0)


def check_probabilities(p: Tensor, o: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities as float64 tensors of one shape; refuse anything else."""
    p, o = (torch.as_tensor(value, dtype=torch.float64) for value in (p, o))
    if p.shape != o.shape:
        raise ValueError(f"p and o must have one shape, not {tuple(p.shape)} and {tuple(o.shape)}")
    for name, value in (("p", p), ("o", o)):
        if not ((value >= 0) & (value <= 1 + 1e-12)).all():
            raise ValueError(f"{name} must be probabilities in [0, 1]")
    return p.clamp_max(1), o.clamp_max(1)


def check_maps(maps: Tensor, images: Tensor) -> None:
    """Refuse anything but saliency ``(B, 1, H, W)`` in ``[0, 1]`` that fits the images."""
    if not isinstance(maps, Tensor):
        raise TypeError(
            f"maps must be a torch tensor, not {type(maps).__name__}: torch.as_tensor(maps)"
        )
    expected = (len(images), 1, *images.shape[-2:])
    if maps.shape != expected:
        raise ValueError(
            f"maps must have shape {expected} to fit the images, not {tuple(maps.shape)}: "
            "upsample and normalize raw maps first"
        )
    if maps.numel() and not ((maps >= 0) & (maps <= 1)).all():
        raise ValueError("maps must be finite saliency in [0, 1]: normalize them first")


def logits_of(classifier: Classifier, images: Tensor, batch_size: int) -> Tensor:
    """Return the logits of images ``(B, C)``, ``batch_size`` of them in one forward."""
    return torch.cat([classifier(part) for part in images.split(batch_size)])
