"""Does a map stay when its image hardly changes? Max-Sensitivity and ADCC, per image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from xaicore.attribution.explainer import Explainer, check_inputs, resolve_targets
from xaicore.masking import mask, removed
from xaicore.metrics.faithfulness import average_drop, check_maps, ratio

__all__ = [
    "ADCC",
    "adcc",
    "coherency",
    "complexity",
    "max_sensitivity",
]


def max_sensitivity(
    explainer: Explainer,
    images: Tensor,
    targets: Tensor | int | None = None,
    radius: float = 0.2,
    samples: int = 10,
    seed: int = 0,
) -> Tensor:
    r"""Return how far the map moves at most under noise on the image; lower is better.

    .. math:: \max_{\|\delta\|_\infty \le r}
        \frac{\|S(\mathbf x + \delta) - S(\mathbf x)\|_F}{\|S(\mathbf x)\|_F}

    The maximum is over ``samples`` draws, uniform in ``[-r, r]`` and the same for every image;
    pixels are cut to ``[0, 1]``. Yeh et al., NeurIPS 2019, do not divide by the norm of the map;
    captum does, and so do we, except where the map is zero. The defaults are what the Opti-CAM
    paper gives to Quantus, which adds the noise to the normalised image; we add it to pixels.
    Cost: 1 + ``samples`` explanations, and 1 forward without targets.

    Args:
        explainer: the method to judge.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: those predicted on the images
            without noise.
        radius: the largest noise r, in pixels of ``[0, 1]``.
        samples: the number of draws.
        seed: the seed of the draws.

    Returns:
        One value per image, at least 0, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> xc.metrics.max_sensitivity(xc.GradCAM(model), images, targets, radius=0)
        tensor([0., 0.], dtype=torch.float64)
    """
    if radius < 0 or samples < 1:
        raise ValueError(f"radius must be at least 0 and samples 1, not {radius} and {samples}")
    classes = check_inputs(explainer.classifier, images, targets)
    if classes is None:
        with torch.no_grad():
            classes = explainer.classifier(images).argmax(1)
    still = _maps(explainer, images, classes)
    norm = still.norm(dim=1)
    generator = torch.Generator().manual_seed(seed)
    worst = torch.zeros_like(norm)
    for _ in range(samples):
        noise = torch.rand(1, *images.shape[1:], generator=generator) * 2 - 1
        moved = (images.detach() + radius * noise.to(images)).clamp(0, 1)
        difference = (_maps(explainer, moved, classes) - still).norm(dim=1)
        worst = torch.maximum(worst, difference / torch.where(norm > 0, norm, 1))
    return worst


class ADCC(NamedTuple):
    """ADCC and its three parts, float64 ``(B,)`` each, in ``[0, 1]``, on the CPU."""

    adcc: Tensor
    coherency: Tensor
    complexity: Tensor
    drop: Tensor


def adcc(
    explainer: Explainer,
    images: Tensor,
    targets: Tensor | int | None = None,
    maps: Tensor | None = None,
    baseline: str | Tensor = "black",
) -> ADCC:
    r"""Return the harmonic mean of coherency, simplicity and kept confidence; higher is better.

    .. math:: \mathrm{ADCC} = 3 \Big/ \Big(\frac{1}{\mathrm{Coh}} + \frac{1}{1 - \mathrm{Com}}
        + \frac{1}{1 - \mathrm{AD}}\Big)

    Coherency is the correlation of the map with the map of the masked image, complexity the mean
    saliency, AD the average drop. Where a part is 0, so is ADCC. Poppi et al., CVPR-W 2021; the
    Opti-CAM paper prints it with a down arrow, but higher is better. Their code takes the predicted
    class and masks the normalised image; here ``baseline`` fills pixels. Cost: 2 explanations, 1
    with ``maps``, and 2 forwards.

    Args:
        explainer: the method to judge.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones.
        maps: the explainer's maps of these images and targets, if they are there already.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> xc.metrics.adcc(xc.GradCAM(model), images, targets).adcc.shape
        torch.Size([2])
    """
    checked = check_inputs(explainer.classifier, images, targets)
    with torch.no_grad():
        logits = explainer.classifier(images)
    classes = resolve_targets(checked, logits)
    if maps is None:
        maps = explainer(images, classes)
    check_maps(maps, images)
    absent = removed(images, baseline, explainer.classifier.mean)
    masked = mask(images, maps.to(images), absent).detach().clamp(0, 1)
    with torch.no_grad():
        o = explainer.classifier.probability(explainer.classifier(masked), classes)
    drop = average_drop(explainer.classifier.probability(logits, classes), o)
    coherent = coherency(maps, explainer(masked, classes))
    return ADCC(
        harmonic(coherent, 1 - complexity(maps), 1 - drop), coherent, complexity(maps), drop
    )


def coherency(maps: Tensor, masked_maps: Tensor) -> Tensor:
    """Return Pearson's correlation of the maps of an image and of the masked image, in ``[0, 1]``.

    ``(r + 1) / 2``, and 0 where one of the maps is constant. float64 ``(B,)``, on the CPU.

    Example:
        >>> xc.metrics.coherency(left, 1 - left)
        tensor([0., 0.], dtype=torch.float64)
    """
    a, b = (_centred(t) for t in (maps, masked_maps))
    norm = a.norm(dim=1) * b.norm(dim=1)
    r = ratio((a * b).sum(1), norm)
    return torch.where(norm > 0, (r.clamp(-1, 1) + 1) / 2, 0)


def complexity(maps: Tensor) -> Tensor:
    """Return the mean saliency of each map, in ``[0, 1]``; float64 ``(B,)``, on the CPU.

    Example:
        >>> xc.metrics.complexity(left)
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    return maps.detach().cpu().double().flatten(1).mean(1)


def harmonic(*parts: Tensor) -> Tensor:
    """Return the harmonic mean of parts ``(B,)`` that are not negative; 0 where one is 0."""
    stacked = torch.stack(parts)
    return torch.where((stacked > 0).all(0), len(parts) / (1 / stacked).sum(0), 0)


def _maps(explainer: Explainer, images: Tensor, classes: Tensor) -> Tensor:
    return explainer(images, classes).cpu().double().flatten(1)


def _centred(maps: Tensor) -> Tensor:
    """The pixels of each map minus their mean; exactly zero if they are all equal."""
    flat = maps.detach().cpu().double().flatten(1)
    constant = (flat == flat[:, :1]).all(1, keepdim=True)
    return torch.where(constant, 0, flat - flat.mean(1, keepdim=True))
