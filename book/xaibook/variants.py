"""Maps made of maps, to be scored like any other: the box study, and powers of a map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xaicore.metrics.faithfulness import check_maps
from xaicore.metrics.localization import box_masks


def sliced_boxes(
    boxes: Sequence[Tensor], maps: Tensor, swapped: bool = True, clipped: bool = False
) -> Tensor:
    """Return masks of boxes as arrays are sliced, which is not always where the boxes are.

    ``mask[x0:x1, y0:y1] = 1`` takes columns for rows, and a start below zero counts from the end,
    so that a box which begins outside the picture becomes an empty slice, or a strip at the far
    side. That is how the released evaluation code of Opti-CAM draws boxes that were not clipped.

    Args:
        boxes: the boxes of each image ``(n, 4)``, ``x0, y0, x1, y1`` in pixels, which may lie
            partly outside the image.
        maps: saliency ``(B, 1, H, W)``; only its shape, type and device matter.
        swapped: whether columns are taken for rows.
        clipped: whether the boxes are cut to the image first.
    """
    masks = torch.zeros_like(maps)
    H, W = maps.shape[-2:]
    for mask, found in zip(masks[:, 0], boxes, strict=True):
        for x0, y0, x1, y1 in found.round().long().tolist():
            columns, rows = slice(x0, x1), slice(y0, y1)
            if clipped:
                columns, rows = slice(max(x0, 0), min(x1, W)), slice(max(y0, 0), min(y1, H))
            mask[(columns, rows) if swapped else (rows, columns)] = 1
    return masks


def box_study(maps: Tensor, boxes: Sequence[Tensor] | Tensor) -> dict[str, Tensor]:
    r"""Return a map, its parts inside and outside the boxes, and the boxes themselves as maps.

    AD, AG and AI of these say whether a network uses the object that a box marks, or its
    surroundings as well. Zhang et al., CVIU 248 (2024), Table 5. Nothing is normalised again.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        boxes: the boxes of each image ``(n, 4)``, ``x0, y0, x1, y1`` in pixels, whose union counts;
            or masks of them, of the shape of ``maps``.

    Returns:
        ``"S"``, ``"B∩S"`` (:math:`S B`), ``"S∖B"`` (:math:`S (1 - B)`), ``"B"`` and ``"I∖B"``
        (:math:`1 - B`), each ``(B, 1, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: maps or boxes cannot be used; the message says why.
    """
    check_maps(maps, maps)
    B = boxes if isinstance(boxes, Tensor) else box_masks(boxes, maps)
    return {"S": maps, "B∩S": maps * B, "S∖B": maps * (1 - B), "B": B, "I∖B": 1 - B}


def selectivity(maps: Tensor, alpha: float) -> Tensor:
    r"""Return maps raised to a power, :math:`S^\alpha`: more selective above 1, less below.

    Zhang et al., CVIU 248 (2024), appendix.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        alpha: the power, positive.

    Raises:
        ValueError: the maps cannot be used, or ``alpha`` is not positive.
    """
    check_maps(maps, maps)
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha must be positive and finite, not {alpha}")
    return maps**alpha
