r"""Does a map find the object that boxes mark? OM, LE, F1, BoxAcc, pointing games, SM, per image.

Boxes are a sequence of one tensor ``(n, 4)`` per image: ``x0, y0, x1, y1`` in pixels, where the
image covers ``[0, W] x [0, H]``; what lies outside the image is cut off. A pixel belongs to a box
if its centre does, and :math:`U` is the union of an image's boxes.

The *predicted box* is the bounding box of the largest connected component of the pixels above the
map's mean. Pixels are connected over edges and corners; of equally large components the first in
reading order counts. A constant map shows nothing: its box is empty and its IoU is 0.

Zhang et al., CVIU 248 (2024), appendix B. A box says where an object is, not what a network uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.explainer import check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.metrics.faithfulness import check_maps, ratio

__all__ = [
    "best_iou",
    "box_accuracy",
    "box_f1",
    "box_masks",
    "energy_pointing_game",
    "localization_error",
    "max_box_accuracy",
    "official_metric",
    "predicted_boxes",
    "saliency_metric",
    "standard_pointing_game",
]

BOX_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(100))
BOX_DELTAS = (0.3, 0.5, 0.7)
SMALLEST_AREA = 0.05
"""Below this share of the image, SM rewards no smaller box."""


def predicted_boxes(maps: Tensor) -> Tensor:
    """Return the predicted box of each map, float64 ``(B, 4)``, on the CPU; zeros if it is empty.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: the maps cannot be used; the message says why.

    Example:
        >>> xc.metrics.predicted_boxes(left)  # x0, y0, x1, y1
        tensor([[ 0.,  0.,  8., 16.],
                [ 0.,  0.,  8., 16.]], dtype=torch.float64)
    """
    check_maps(maps, maps)
    values = maps.detach().cpu().double()[:, 0]
    # The rounded mean of a constant map may lie below it; nothing lies above its minimum.
    low, mean = values.amin((1, 2), keepdim=True), values.mean((1, 2), keepdim=True)
    found, boxes, sizes = _components((values > mean) & (values > low))
    chosen = torch.zeros(len(maps), 4, dtype=torch.float64)
    largest = _largest(found, sizes)
    chosen[found[largest]] = boxes[largest]
    return chosen


def best_iou(maps: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    r"""Return how well the predicted box fits, :math:`\max_B \mathrm{IoU}(B, B_p)`.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        boxes: the boxes of each image, ``(n, 4)``, at least one.

    Returns:
        One value per image in ``[0, 1]``, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: maps or boxes cannot be used; the message says why.

    Example:
        >>> whole = [torch.tensor([[0, 0, 16, 16]])] * 2
        >>> xc.metrics.best_iou(left, whole)
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    from torchvision.ops import box_iou

    predicted = predicted_boxes(maps)
    truth = check_boxes(boxes, maps)
    ious = [box_iou(p[None], b).amax() for p, b in zip(predicted, truth, strict=True)]
    return torch.stack(ious) if ious else predicted.new_zeros(0)


def localization_error(iou: Tensor, threshold: float = 0.5) -> Tensor:
    """Return LE: 0 where the predicted box fits, ``iou > threshold``, else 1; lower is better.

    The paper writes ``1 - iou`` (B.2); its code, as ILSVRC, asks for ``iou > 0.5``. So do we.

    Args:
        iou: the result of ``best_iou``, ``(B,)``.
        threshold: the IoU that must be exceeded.

    Example:
        >>> xc.metrics.localization_error(torch.tensor([0.4, 0.6]))
        tensor([1., 0.], dtype=torch.float64)
    """
    return (iou <= threshold).double()


def official_metric(iou: Tensor, correct: Tensor, threshold: float = 0.5) -> Tensor:
    """Return OM: 0 where the predicted box fits *and* the class is right, else 1; lower is better.

    Equation B.1 with ``iou > threshold`` for the IoU, as in ``localization_error``.

    Args:
        iou: the result of ``best_iou``, ``(B,)``.
        correct: whether the predicted class is the true one, ``(B,)``.
        threshold: the IoU that must be exceeded.

    Example:
        >>> iou, correct = torch.tensor([0.6, 0.6]), torch.tensor([True, False])
        >>> xc.metrics.official_metric(iou, correct)
        tensor([0., 1.], dtype=torch.float64)
    """
    return 1 - (iou > threshold).double() * correct.cpu().double()


def energy_pointing_game(maps: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    r"""Return EP, the share of saliency in the boxes (B.3); higher is better.

    .. math:: P = \sum_{p \in U} S_p \Big/ \sum_p S_p

    A map of zeros scores 0. Wang et al., Score-CAM, CVPR-W 2020.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        boxes: the boxes of each image, ``(n, 4)``, at least one.

    Returns:
        One value per image in ``[0, 1]``, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: maps or boxes cannot be used; the message says why.

    Example:
        >>> top = [torch.tensor([[0, 0, 16, 4]])] * 2
        >>> xc.metrics.energy_pointing_game(left, top)
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """
    values, union = _saliency_and_union(maps, boxes)
    return ratio((values * union).sum((1, 2)), values.sum((1, 2)))


def box_f1(maps: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    r"""Return F1, the harmonic mean of precision (B.3) and recall (B.4); higher is better.

    .. math:: P = \sum_{p \in U} S_p \Big/ \sum_p S_p, \qquad R = \sum_{p \in U} S_p \Big/ |U|

    Against the union of the boxes as in the paper; its code takes the best box. A map of zeros
    scores 0. Arguments, result and errors are those of ``energy_pointing_game``.

    Example:
        >>> top = [torch.tensor([[0, 0, 16, 4]])] * 2
        >>> xc.metrics.box_f1(left, top).round(decimals=4)
        tensor([0.3333, 0.3333], dtype=torch.float64)
    """
    values, union = _saliency_and_union(maps, boxes)
    inside = (values * union).sum((1, 2))
    precision, recall = ratio(inside, values.sum((1, 2))), ratio(inside, union.sum((1, 2)))
    return ratio(2 * precision * recall, precision + recall)


def standard_pointing_game(maps: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """Return SP, whether the most salient pixel lies in a box (B.6); higher is better.

    Where several pixels are most salient it is the share of them in the boxes: the chance that one
    drawn at random hits. So a constant map scores the area of the boxes and not, as in the paper's
    code, always 1. Arguments, result and errors are those of ``energy_pointing_game``.

    Example:
        >>> top = [torch.tensor([[0, 0, 16, 4]])] * 2
        >>> xc.metrics.standard_pointing_game(left, top)
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """
    values, union = _saliency_and_union(maps, boxes)
    maximal = (values == values.amax((1, 2), keepdim=True)).double()
    return ratio((maximal * union).sum((1, 2)), maximal.sum((1, 2)))


def box_accuracy(
    maps: Tensor,
    boxes: Sequence[Tensor],
    thresholds: Sequence[float] = BOX_THRESHOLDS,
    deltas: Sequence[float] = BOX_DELTAS,
    every_component: bool = True,
) -> Tensor:
    r"""Return for each map threshold and each IoU whether a box is found (B.5).

    The pixels above :math:`\eta \max S` give boxes; one of them must overlap a true box with an IoU
    of at least :math:`\delta`. ``max_box_accuracy`` makes MaxBoxAccV2 of the table, over a data
    set. Choe et al., CVPR 2020, and TPAMI 2022 for V2.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        boxes: the boxes of each image, ``(n, 4)``, at least one.
        thresholds: the T values of eta, in ``[0, 1)``; the authors' code tries 1000 on maps of 256
            levels.
        deltas: the D values of delta.
        every_component: every connected component gives a box, as in MaxBoxAccV2. False: only the
            largest, as in MaxBoxAcc and in equation B.5.

    Returns:
        Zeros and ones, float64 ``(B, T, D)``, on the CPU.

    Raises:
        ValueError: maps or boxes cannot be used; the message says why.

    Example:
        >>> true = [torch.tensor([[0, 0, 8, 16]])] * 2
        >>> xc.metrics.box_accuracy(left, true, thresholds=[0.5], deltas=[0.3, 0.9])
        tensor([[[1., 1.]],
        <BLANKLINE>
                [[1., 1.]]], dtype=torch.float64)
    """
    check_maps(maps, maps)
    truth = check_boxes(boxes, maps)
    eta = torch.tensor(tuple(thresholds), dtype=torch.float64)[:, None, None]
    delta = torch.tensor(tuple(deltas), dtype=torch.float64)
    table = torch.zeros(len(maps), len(eta), len(delta), dtype=torch.float64)
    for i, (values, true) in enumerate(zip(maps.detach().cpu().double(), truth, strict=True)):
        above = values > eta * values.max()
        table[i] = (_best_overlap(above, true, every_component)[:, None] >= delta).double()
    return table


def max_box_accuracy(table: Tensor) -> float:
    """Return MaxBoxAccV2 of a data set: mean over images, best threshold, mean over delta.

    Args:
        table: the rows of ``box_accuracy`` for all images, ``(N, T, D)``.

    Raises:
        ValueError: the table has no image or not three dimensions.

    Example:
        >>> true = [torch.tensor([[0, 0, 8, 16]])] * 2
        >>> xc.metrics.max_box_accuracy(xc.metrics.box_accuracy(left, true))
        1.0
    """
    if table.ndim != 3 or not len(table):
        raise ValueError(f"table must have shape (N, T, D) with N > 0, not {tuple(table.shape)}")
    return table.double().mean(0).amax(0).mean().item()


@torch.no_grad()
def saliency_metric(
    classifier: Classifier, images: Tensor, maps: Tensor, targets: Tensor | int | None
) -> Tensor:
    r"""Return SM, the area of the predicted box against what it shows the network (B.7).

    .. math:: \mathrm{SM} = \log \max(0.05, |B_p| / hw) - \log p^c

    Lower is better. As in the code, :math:`p^c` is taken on the *image* cut to the box and
    resized (bicubic) to its full size; an empty box shows black. Dabkowski & Gal, NeurIPS 2017.
    Cost: 1 forward, 2 without targets.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. The paper uses the true classes. ``None``:
            the predicted ones.

    Returns:
        One value per image, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: images, maps or targets cannot be used; the message says why.

    Example:
        >>> xc.metrics.saliency_metric(model, images, left, targets).shape
        torch.Size([2])
    """
    checked = check_inputs(classifier, images, targets)
    check_maps(maps, images)
    predicted = predicted_boxes(maps)
    crops = [_crop(image, box) for image, box in zip(images, predicted.int().tolist(), strict=True)]
    logits = classifier(torch.stack(crops) if crops else images)
    classes = resolve_targets(checked, logits if checked is not None else classifier(images))
    log_p = classifier.log_probability(logits, classes)
    sides = predicted[:, 2:] - predicted[:, :2]
    area = sides.prod(1) / (images.shape[-2] * images.shape[-1])
    return area.clamp_min(SMALLEST_AREA).log() - log_p


def box_masks(boxes: Sequence[Tensor], maps: Tensor) -> Tensor:
    """Return the union of each image's boxes as a mask of the shape of ``maps``, on its device.

    Args:
        boxes: the boxes of each image, ``(n, 4)``, at least one.
        maps: saliency ``(B, 1, H, W)``; only its shape, type and device matter.

    Raises:
        ValueError: the boxes cannot be used; the message says why.

    Example:
        >>> xc.metrics.box_masks([torch.tensor([[0, 0, 16, 4]])] * 2, left).mean().item()
        0.25
    """
    H, W = maps.shape[-2:]
    union = torch.zeros(len(maps), 1, H, W, dtype=torch.bool)
    x, y = (torch.arange(size, dtype=torch.float64) + 0.5 for size in (W, H))
    for i, box in enumerate(check_boxes(boxes, maps)):
        x0, y0, x1, y1 = box.T[..., None]
        columns, rows = (x0 <= x) & (x < x1), (y0 <= y) & (y < y1)
        union[i, 0] = (rows[:, :, None] & columns[:, None, :]).any(0)
    return union.to(maps)


def check_boxes(boxes: Sequence[Tensor], maps: Tensor) -> list[Tensor]:
    """Return boxes as float64 on the CPU, cut to the image; refuse what are no boxes."""
    if len(boxes) != len(maps):
        raise ValueError(
            f"boxes must have one tensor for each of the {len(maps)} images, not {len(boxes)}"
        )
    H, W = maps.shape[-2:]
    size = torch.tensor([W, H, W, H], dtype=torch.float64)
    cut = []
    for i, given in enumerate(boxes):
        box = torch.as_tensor(given).detach().cpu().double()
        if box.ndim != 2 or box.shape[1] != 4:
            raise ValueError(f"boxes[{i}] must have shape (n, 4), not {tuple(box.shape)}")
        if not len(box):
            raise ValueError(f"boxes[{i}] is empty: leave images without a box out")
        inside = box.clamp_min(0).minimum(size)
        if not (inside[:, 2:] > inside[:, :2]).all():  # also true for NaN
            raise ValueError(
                f"boxes[{i}] must be x0, y0, x1, y1 in pixels with x0 < x1 and y0 < y1, and "
                f"overlap the image of {H}x{W}"
            )
        cut.append(inside)
    return cut


def _components(binary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The components of images ``(B, H, W)``: their image, box and size, in reading order."""
    from scipy.ndimage import find_objects, label

    within = np.zeros((3, 3, 3), dtype=int)
    within[1] = 1  # neighbours of the same image only
    labels, count = label(binary.numpy(), structure=within)
    objects = find_objects(labels) if count else []
    places = [(i.start, x.start, y.start, x.stop, y.stop) for i, y, x in objects]
    table = torch.tensor(places, dtype=torch.float64).reshape(-1, 5)
    sizes = torch.from_numpy(np.bincount(labels.ravel(), minlength=count + 1)[1:])
    return table[:, 0].long(), table[:, 1:], sizes


def _best_overlap(binary: Tensor, true: Tensor, every_component: bool) -> Tensor:
    """The best IoU of a component of each binary image ``(T, H, W)`` with a true box, ``(T,)``."""
    from torchvision.ops import box_iou

    found, boxes, sizes = _components(binary)
    best = torch.zeros(len(binary), dtype=torch.float64)
    if not len(found):
        return best
    iou = box_iou(boxes, true).amax(1)
    if every_component:
        return best.scatter_reduce(0, found, iou, "amax")
    largest = _largest(found, sizes)
    best[found[largest]] = iou[largest]
    return best


def _largest(found: Tensor, sizes: Tensor) -> Tensor:
    """The component to choose in each image that has one: the largest, the first of equals."""
    order = np.lexsort((-sizes.numpy(), found.numpy()))  # stable
    _, first = np.unique(found.numpy()[order], return_index=True)
    return torch.from_numpy(order[first])


def _saliency_and_union(maps: Tensor, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    check_maps(maps, maps)
    values = maps.detach().cpu().double()
    return values[:, 0], box_masks(boxes, values)[:, 0]


def _crop(image: Tensor, box: list[int]) -> Tensor:
    """The image inside a box, resized to the whole image; black if the box is empty."""
    x0, y0, x1, y1 = box
    if x0 == x1:
        return torch.zeros_like(image)
    cut = image[None, :, y0:y1, x0:x1]
    return F.interpolate(cut, image.shape[-2:], mode="bicubic", align_corners=False)[0].clamp(0, 1)
