r"""Does the saliency of removed pixels add up to what the class loses? Infidelity, sensitivity-n.

Random sets :math:`\mathcal S_k` of pixels are removed. With :math:`a_k = \sum_{j \in \mathcal S_k}
S_j` the saliency that goes and :math:`b_k = p(\mathbf x) - p(\mathbf x_{\setminus \mathcal S_k})`
the probability that goes with it, a map that says how much each pixel counts has the same
proportion of the two for every set. Infidelity: Yeh et al., NeurIPS 2019. Sensitivity-n: Ancona et
al., ICLR 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.explainer import check_batch_size, check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import removed
from xaicore.metrics.faithfulness import check_maps, logits_of, ratio

__all__ = ["infidelity", "sensitivity_n"]

CELLS = 8
"""Cells along the shorter side from which sets are drawn: one pixel alone changes nothing."""

ROUNDING = 1e-12
"""Differences, relative to the largest value, that are none."""


def infidelity(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None = None,
    samples: int = 50,
    cells: int = CELLS,
    baseline: str | Tensor = "black",
    seed: int = 0,
    batch_size: int = 16,
) -> Tensor:
    r"""Return how far lost saliency is from lost probability, squared; lower is better.

    .. math:: \frac1M \sum_{k=1}^M (\beta a_k - b_k)^2, \qquad
        \beta = \frac{\sum_k a_k b_k}{\sum_k a_k^2}

    A map in ``[0, 1]`` has no unit, so each is given the best factor :math:`\beta`, as the
    authors' appendix and captum's ``normalize`` do. Sets are of cells, each drawn with probability
    one half, and the same for every image and map. Cost: 1 + ``samples`` forwards.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones.
        samples: the number of sets M.
        cells: square cells along the shorter side.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        seed: the seed of the sets.
        batch_size: masked images in one forward.

    Returns:
        One value per image, in ``[0, 1]``, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> xc.metrics.infidelity(model, images, left, targets, samples=8).shape
        torch.Size([2])
    """
    a, b = _lost(classifier, images, maps, targets, samples, cells, baseline, seed, batch_size)
    factor = ratio((a * b).sum(1), a.square().sum(1))
    return (factor[:, None] * a - b).square().mean(1)


def sensitivity_n(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None = None,
    share: float = 0.25,
    samples: int = 50,
    cells: int = CELLS,
    baseline: str | Tensor = "black",
    seed: int = 0,
    batch_size: int = 16,
) -> Tensor:
    r"""Return how lost saliency and lost probability correlate, in ``[-1, 1]``; higher is better.

    Pearson's correlation of :math:`a_k` and :math:`b_k` over sets of n cells each; 0 where one of
    them does not vary. Sets are the same for every image and map. Cost: 1 + ``samples`` forwards.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones.
        share: n, as a share of the cells.
        samples: the number of sets.
        cells: square cells along the shorter side.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        seed: the seed of the sets.
        batch_size: masked images in one forward.

    Returns:
        One value per image, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> xc.metrics.sensitivity_n(model, images, left, targets, samples=8).shape
        torch.Size([2])
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, not {share}")
    a, b = _lost(
        classifier, images, maps, targets, samples, cells, baseline, seed, batch_size, share
    )
    a, b = (_centred(part) for part in (a, b))
    return ratio((a * b).sum(1), a.norm(dim=1) * b.norm(dim=1)).clamp(-1, 1)


@torch.no_grad()
def _lost(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None,
    samples: int,
    cells: int,
    baseline: str | Tensor,
    seed: int,
    batch_size: int,
    share: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The mean saliency and the probability that go with each set, float64 ``(B, samples)``."""
    checked = check_inputs(classifier, images, targets)
    check_maps(maps, images)
    check_batch_size(batch_size)
    if samples < 2:
        raise ValueError(f"samples must be at least 2, not {samples}")
    gone = _sets(images.shape[-2:], cells, samples, share, seed).to(images.device)
    a = torch.einsum("bchw,schw->bs", maps.cpu().double(), gone.cpu().double()) / gone[0].numel()
    logits = logits_of(classifier, images, batch_size)
    classes = resolve_targets(checked, logits)
    p = classifier.probability(logits, classes)
    absent = removed(images, baseline, classifier.mean).expand_as(images)
    job = torch.arange(len(images) * samples, device=images.device)
    left = torch.empty(len(job), dtype=torch.float64)
    for part in job.split(batch_size):
        b, s = part // samples, part % samples
        masked = classifier(torch.where(gone[s], absent[b], images[b]))
        left[part.cpu()] = classifier.probability(masked, classes[b])
    return a, p[:, None] - left.reshape(len(images), samples)


def _centred(values: Tensor) -> Tensor:
    """Values ``(B, samples)`` minus their mean; zero where they differ by rounding alone."""
    away = values - values.mean(1, keepdim=True)
    same = away.abs().amax(1) <= ROUNDING * values.abs().amax(1)
    return torch.where(same[:, None], 0, away)


def _sets(size: torch.Size, cells: int, samples: int, share: float | None, seed: int) -> Tensor:
    """Random sets of pixels, ``(samples, 1, H, W)``: of a share of the cells, or half of them."""
    if not 2 <= cells <= min(size):
        raise ValueError(f"cells must be from 2 to the {min(size)} pixels of a side, not {cells}")
    side = min(size) / cells
    rows, columns = (max(2, round(length / side)) for length in size)
    drawn = torch.rand(samples, rows * columns, generator=torch.Generator().manual_seed(seed))
    if share is None:
        chosen = drawn < 0.5
    else:
        chosen = drawn.argsort(1).argsort(1) < max(1, round(share * rows * columns))
    grid = chosen.view(samples, 1, rows, columns).float()
    return F.interpolate(grid, size=tuple(size), mode="nearest") > 0.5
