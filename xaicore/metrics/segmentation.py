r"""Does a map find the pixels that a mask marks? IoU over thresholds, RMA, RRA, per image.

A mask is the visible coverage :math:`M \in [0, 1]` of each pixel, or yes and no; a mask without any
pixel is refused, as nothing can be found there. Overlap with a soft mask is
:math:`\mathrm{IoU} = \sum \min(H, M) / \sum \max(H, M)`, which for yes and no is the usual one.

RMA and RRA: Arras et al., Information Fusion 81 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xaicore.metrics.faithfulness import check_maps, ratio

__all__ = [
    "best_threshold",
    "iou_curve",
    "mask_iou",
    "mask_pointing_game",
    "paired_contrast",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
]

IOU_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def iou_curve(maps: Tensor, masks: Tensor, thresholds: Sequence[float] = IOU_THRESHOLDS) -> Tensor:
    """Return the IoU of the mask with the map binarised at each threshold, ``S >= t``.

    Its mean, ``iou_curve(...).mean(1)``, is the IoU-AUC. It depends on the values of the map, not
    on their order alone: peaky maps lose. Never rank methods on it alone.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``, normalised.
        masks: coverage ``(B, 1, H, W)`` in ``[0, 1]``, or booleans.
        thresholds: the T thresholds, in ``(0, 1]``: a map of zeros scores 0.

    Returns:
        float64 ``(B, T)`` in ``[0, 1]``, on the CPU.

    Raises:
        ValueError: maps, masks or thresholds cannot be used; the message says why.

    Example:
        >>> xc.metrics.iou_curve(left, left / 2, thresholds=[0.5, 1.0])
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]], dtype=torch.float64)
    """
    values, coverage = _flat(maps, masks)
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise ValueError(f"thresholds must lie in (0, 1], not {tuple(thresholds)}")
    curve = torch.empty(len(values), len(thresholds), dtype=torch.float64)
    for i, t in enumerate(thresholds):
        binary = (values >= t).double()
        union = torch.maximum(binary, coverage).sum(1)
        curve[:, i] = torch.minimum(binary, coverage).sum(1) / union
    return curve


def best_threshold(curves: Tensor, thresholds: Sequence[float] = IOU_THRESHOLDS) -> float:
    """Return the threshold of highest mean IoU; of equals the lowest.

    Choose it on a validation set, apply it to the test set with ``mask_iou``.

    Args:
        curves: the rows of ``iou_curve`` for the validation images, ``(N, T)``.
        thresholds: the thresholds of the curves.

    Raises:
        ValueError: the curves have no image, or do not fit the thresholds.

    Example:
        >>> xc.metrics.best_threshold(torch.tensor([[0.2, 0.6], [0.4, 0.6]]), [0.3, 0.7])
        0.7
    """
    if curves.ndim != 2 or not len(curves) or curves.shape[1] != len(thresholds):
        raise ValueError(
            f"curves must have shape (N, {len(thresholds)}) with N > 0, not {tuple(curves.shape)}"
        )
    means = curves.double().mean(0)
    return thresholds[int((means == means.max()).nonzero()[0])]


def mask_iou(maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """Return the IoU at one threshold, float64 ``(B,)``; arguments are those of ``iou_curve``.

    Example:
        >>> xc.metrics.mask_iou(left, torch.ones_like(left), threshold=0.5)
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    return iou_curve(maps, masks, (threshold,))[:, 0]


def relevance_mass_accuracy(maps: Tensor, masks: Tensor) -> Tensor:
    r"""Return RMA, the share of saliency in the mask; higher is better.

    .. math:: \mathrm{RMA} = \sum_p S_p M_p \Big/ \sum_p S_p

    A map of zeros scores 0.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        masks: coverage ``(B, 1, H, W)`` in ``[0, 1]``, or booleans.

    Returns:
        One value per image in ``[0, 1]``, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: maps or masks cannot be used; the message says why.

    Example:
        >>> constant = torch.ones_like(left)
        >>> xc.metrics.relevance_mass_accuracy(constant, left)  # the area of the mask
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    values, coverage = _flat(maps, masks)
    return ratio((values * coverage).sum(1), values.sum(1))


def relevance_rank_accuracy(maps: Tensor, masks: Tensor) -> Tensor:
    r"""Return RRA, the share of the N most salient pixels in the mask; higher is better.

    .. math:: \mathrm{RRA} = \frac{|\mathrm{top}_N(S) \cap M|}{N}, \qquad N = |M|

    It depends on the order of the saliency alone. Where the N-th pixel ties with others, it is the
    mean over all choices among them: a constant map scores as a random one. With a soft mask N
    is the rounded coverage, at least 1, and the score is the coverage of the N most salient
    pixels over that of the N most covered ones: the mask itself, as a map, scores 1.

    Arguments, result and errors are those of ``relevance_mass_accuracy``.

    Example:
        >>> xc.metrics.relevance_rank_accuracy(left, left)
        tensor([1., 1.], dtype=torch.float64)
    """
    values, coverage = _flat(maps, masks)
    if not len(values):
        return values.new_zeros(0)
    N = coverage.sum(1).round().clamp_min(1)
    last = values.sort(1, descending=True).values.gather(1, N.long()[:, None] - 1)
    above, tied = (values > last).double(), (values == last).double()
    share = (N - above.sum(1)) / tied.sum(1)
    found = (coverage * (above + share[:, None] * tied)).sum(1)
    most = coverage.sort(1, descending=True).values.cumsum(1).gather(1, N.long()[:, None] - 1)
    return found / most[:, 0]


def mask_pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Return whether the most salient pixel lies in the mask; higher is better.

    Where several pixels are most salient it is the mean over them, and the coverage where a pixel
    is marked in part: the chance that one drawn at random hits. Arguments, result and errors are
    those of ``relevance_mass_accuracy``.

    Example:
        >>> xc.metrics.mask_pointing_game(left, left)
        tensor([1., 1.], dtype=torch.float64)
    """
    values, coverage = _flat(maps, masks)
    maximal = (values == values.amax(1, keepdim=True)).double()
    return (maximal * coverage).sum(1) / maximal.sum(1)


def paired_contrast(maps: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    r"""Return how far two maps of one picture follow the two questions that were asked of it.

    .. math:: \mathrm{PC} = \tfrac12 \Big[
        \mathrm{RMA}(S_1, M_1) - \mathrm{RMA}(S_2, M_1) +
        \mathrm{RMA}(S_2, M_2) - \mathrm{RMA}(S_1, M_2) \Big]

    :math:`S_t` explains the network of task t, and :math:`M_t` marks the pixels that decide that
    task. A map that does not depend on the network scores exactly 0, whatever it shows; masks of
    yes and no, taken for maps, score 1. After the model contrast score of Yang and Kim, 2019, in
    one number for both questions.

    Args:
        maps: saliency of both tasks for the same pictures, ``(B, 1, H, W)`` in ``[0, 1]`` each.
        masks: the pixels that decide each task, ``(B, 1, H, W)`` in ``[0, 1]`` each.

    Returns:
        One value per picture in ``[-1, 1]``, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: there are not two of each, or they cannot be used; the message says why.

    Example:
        >>> masks = [left, 1 - left]
        >>> xc.metrics.paired_contrast(masks, masks)
        tensor([1., 1.], dtype=torch.float64)
        >>> xc.metrics.paired_contrast([left, left], masks)  # one map for both questions
        tensor([0., 0.], dtype=torch.float64)
    """
    if len(maps) != 2 or len(masks) != 2:
        raise ValueError(f"two maps and two masks are compared, not {len(maps)} and {len(masks)}")
    own, other = (
        [relevance_mass_accuracy(maps[(t + shift) % 2], masks[t]) for t in range(2)]
        for shift in range(2)
    )
    return ((own[0] - other[0]) + (own[1] - other[1])) / 2


def check_masks(masks: Tensor, maps: Tensor) -> None:
    """Refuse anything but masks ``(B, 1, H, W)`` in ``[0, 1]`` that fit the maps, none empty."""
    if masks.shape != maps.shape:
        raise ValueError(
            f"masks must have the maps' shape {tuple(maps.shape)}, not {tuple(masks.shape)}"
        )
    if masks.numel() and not ((masks >= 0) & (masks <= 1)).all():
        raise ValueError("masks must be booleans or coverage in [0, 1]")
    empty = (~(masks > 0).flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"masks {empty} mark no pixel: leave these images out")


def _flat(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    check_maps(maps, maps)
    check_masks(masks, maps)
    values, coverage = (t.detach().cpu().double().flatten(1) for t in (maps, masks))
    return values, coverage
