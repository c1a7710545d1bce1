"""What the part benchmark measures, in rows like those of the package's own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from xaibook.partbench.parts import (
    Sets,
    deletion_check,
    distractibility,
    preservation_check,
    single_deletion,
    synthetic_data_check,
)
from xaicore.metrics import measures
from xaicore.metrics.measures import Measure, table
from xaicore.metrics.segmentation import mask_iou, mask_pointing_game, paired_contrast

BOTH = "both tasks"
THRESHOLD = "threshold"
"""What a measure needs: the maps of both tasks; a threshold, which decides what is important."""


@dataclass(frozen=True)
class PartCase:
    """Maps of one task and the masks of its part, ``(B, 1, H, W)`` each.

    Attributes:
        maps: saliency in ``[0, 1]``.
        mask: coverage in ``[0, 1]``.
        threshold: where ``IoU`` cuts the maps.
    """

    maps: Tensor
    mask: Tensor
    threshold: float


@dataclass(frozen=True)
class PairCase:
    """The maps and the masks of both tasks."""

    maps: list[Tensor]
    masks: list[Tensor]


PARTS = table(
    Measure("PC", "↑", lambda pair: paired_contrast(pair.maps, pair.masks), BOTH),
    measures.MEASURES["RMA"],
    measures.MEASURES["RRA"],
    Measure("pointing", "↑", lambda case: mask_pointing_game(case.maps, case.mask)),
    Measure("IoU", "↑", lambda case: mask_iou(case.maps, case.mask, case.threshold)),
    measures.MEASURES["IoU-AUC"],
)
"""Maps against the part that decides, in the order of the columns; IoU-AUC is last, for peaky maps
lose it whatever they show."""


@dataclass(frozen=True, eq=False)
class RemovalCase:
    """What an explanation gives parts and objects, and what the network says without them.

    Attributes:
        importances: of each part, ``(B, P)``.
        important: which parts and objects are important, ``(B, P + K, T)``, by T thresholds.
        sufficient: the sets of parts that suffice to tell the class of each picture.
        logits: the logits without each subset of the parts, ``(B, 2^P, C)``.
        whole: the class's logit, ``(B,)``.
        without: the same without each part and object, ``(B, P + K)``.
        present: whether there is such a part or object, ``(B, P + K)``.
        contrast: how the importances of two rival classes differ, ``(B,)``; only where it is asked.
    """

    importances: Tensor
    important: Tensor
    sufficient: Sequence[Sets]
    logits: Tensor
    whole: Tensor
    without: Tensor
    present: Tensor
    contrast: Tensor | None = None

    @property
    def parts(self) -> Tensor:
        """Which parts are important, ``(B, P, T)``."""
        return self.important[:, : self.importances.shape[1]]

    @property
    def lost(self) -> Tensor:
        """What the class's logit loses with each part, ``(B, P)``."""
        return self.whole[:, None] - self.without[:, : self.importances.shape[1]]


REMOVALS = table(
    Measure("CSDC", "↑", lambda case: synthetic_data_check(case.parts, case.sufficient), THRESHOLD),
    Measure(
        "preservation", "↑", lambda case: preservation_check(case.parts, case.logits), THRESHOLD
    ),
    Measure("DC", "↑", lambda case: deletion_check(case.parts, case.logits), THRESHOLD),
    Measure(
        "D",
        "↑",
        lambda case: distractibility(case.important, case.whole, case.without, case.present),
        THRESHOLD,
    ),
    Measure("SD", "↑", lambda case: single_deletion(case.importances, case.lost)),
    Measure("TS", "↑", lambda case: case.contrast),
)
"""Explanations against removals; those of ``THRESHOLD`` make the completeness, in this order."""
