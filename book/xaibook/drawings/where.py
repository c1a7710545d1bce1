"""Where a map lies: four ways to compare it with the true place of the object."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaibook.drawings.sheet import AGAINST, FOR, NARROW, drawing, img, number
from xaicore.html import Fragment
from xaicore.metrics.localization import best_iou, predicted_boxes
from xaicore.metrics.segmentation import (
    mask_iou,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from xaicore.plot import blend, picture

SCALE = 4
"""How many pixels of the drawing a pixel of the map has."""

STYLE = f"""
.xc-where {{ display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 12px 14px; }}
{NARROW} {{ .xc-where {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }} }}
"""


def where_it_lies(image: Tensor, saliency: Tensor, truth: Tensor, alt: str) -> Fragment:
    """Draw a map against the true place of the object, once for each of four questions.

    How much of the map lies inside; how many of its highest pixels, as many as the object has; how
    far the map cut at one half overlaps; how far the box of its largest piece fits. Blue is right,
    orange is wrong, white is the outline of the truth.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, of the map's size.
        saliency: the map ``(1, H, W)`` in ``[0, 1]``.
        truth: the mask of the object ``(1, H, W)``.
        alt: what the drawing shows, for readers who do not see it.
    """
    inside = truth[0] > 0.5
    ranked = torch.zeros(inside.numel(), dtype=torch.bool)
    ranked[saliency.flatten().argsort(descending=True)[: int(inside.sum())]] = True
    cut = saliency[0] > 0.5
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])[None].float()
    found = predicted_boxes(saliency[None])
    overlap = float(mask_iou(saliency[None], truth[None], 0.5))
    mass = float(relevance_mass_accuracy(saliency[None], truth[None]))
    rank = float(relevance_rank_accuracy(saliency[None], truth[None]))
    fit = float(best_iou(saliency[None], [box]))
    large = F.interpolate(image[None], scale_factor=SCALE, mode="nearest")[0]
    tiles = (
        (blend(large, saliency), f"mass inside<br>{number(100 * mass, 0)} %"),
        (
            _tinted(image, ranked.view_as(inside), inside),
            f"top pixels inside<br>{number(100 * rank, 0)} %",
        ),
        (_tinted(image, cut, inside), f"overlap at ½<br>{number(100 * overlap, 0)} %"),
        (
            _boxed(large, {FOR: box[0], AGAINST: found[0]}),
            f"overlap of boxes<br>{number(100 * fit, 0)} %",
        ),
    )
    edge = _outline(inside)
    figures = []
    for place, (shown, said) in enumerate(tiles):
        outlined = np.array(shown)
        if place < 3:
            outlined[edge] = 1
        figures.append(f"<figure>{img(outlined, 128)}<small>{said}</small></figure>")
    return drawing(f'<div class="xc-where">{"".join(figures)}</div>', STYLE, alt)


def _tinted(image: Tensor, marked: Tensor, inside: Tensor) -> np.ndarray:
    """Return the picture in grey, marked pixels blue where they are right, orange where wrong."""
    grey = image.mean(0, keepdim=True).expand(3, -1, -1).clone()
    for place, ink in ((marked & inside, FOR), (marked & ~inside, AGAINST)):
        grey[:, place] = 0.35 * grey[:, place] + 0.65 * _ink(ink)
    return picture(F.interpolate(grey[None], scale_factor=SCALE, mode="nearest")[0])


def _boxed(image: Tensor, boxes: dict[str, Tensor]) -> np.ndarray:
    drawn = image.mean(0, keepdim=True).expand(3, -1, -1).clone()
    for ink, box in boxes.items():
        x0, y0, x1, y1 = (int(SCALE * v) for v in box)
        frame = torch.zeros(drawn.shape[1:], dtype=torch.bool)
        frame[y0:y1, x0:x1] = True
        frame[y0 + SCALE : y1 - SCALE, x0 + SCALE : x1 - SCALE] = False
        drawn[:, frame] = _ink(ink)
    return picture(drawn)


def _ink(colour: str) -> Tensor:
    return torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])[:, None]


def _outline(inside: Tensor) -> np.ndarray:
    """Return the pixels of the drawing just within the border of a mask of the map's pixels."""
    large = F.interpolate(inside[None, None].float(), scale_factor=SCALE, mode="nearest")[0]
    shrunk = -F.max_pool2d(-large, 3, stride=1, padding=1)
    return (large - shrunk)[0].bool().numpy()
