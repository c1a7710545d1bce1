"""Maps made of maps, to be scored like any other: the box study, and powers of a map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from xaicore.metrics.faithfulness import check_maps
from xaicore.metrics.localization import box_masks


def box_study(maps: Tensor, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
    r"""Return a map, its parts inside and outside the boxes, and the boxes themselves as maps.

    AD, AG and AI of these say whether a network uses the object that a box marks, or its
    surroundings as well. Zhang et al., CVIU 248 (2024), Table 5. Nothing is normalised again.

    Args:
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        boxes: the boxes of each image ``(n, 4)``, ``x0, y0, x1, y1`` in pixels; their union counts.

    Returns:
        ``"S"``, ``"B∩S"`` (:math:`S B`), ``"S∖B"`` (:math:`S (1 - B)`), ``"B"`` and ``"I∖B"``
        (:math:`1 - B`), each ``(B, 1, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: maps or boxes cannot be used; the message says why.
    """
    check_maps(maps, maps)
    B = box_masks(boxes, maps)
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
