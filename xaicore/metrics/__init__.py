"""Metrics: pure functions, one value per image."""

from xaicore.metrics.causal import (
    CAUSAL_PROTOCOLS,
    CausalCurves,
    CausalProtocol,
    CurveEnds,
    aopc,
    auc,
    causal_curves,
    curve_ends,
    insertion_deletion,
)
from xaicore.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    confidence,
)
from xaicore.metrics.floors import (
    centre_maps,
    edge_maps,
    mask_maps,
    noise_maps,
)
from xaicore.metrics.localization import (
    best_iou,
    box_accuracy,
    box_f1,
    box_masks,
    energy_pointing_game,
    localization_error,
    max_box_accuracy,
    official_metric,
    predicted_boxes,
    saliency_metric,
    standard_pointing_game,
)
from xaicore.metrics.randomization import (
    randomized,
    spearman,
    structural_similarity,
)
from xaicore.metrics.robustness import (
    ADCC,
    adcc,
    coherency,
    complexity,
    max_sensitivity,
)
from xaicore.metrics.segmentation import (
    best_threshold,
    iou_curve,
    mask_iou,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)
from xaicore.metrics.variants import (
    box_study,
    selectivity,
)

__all__ = [
    "ADCC",
    "CAUSAL_PROTOCOLS",
    "CausalCurves",
    "CausalProtocol",
    "CurveEnds",
    "adcc",
    "aopc",
    "auc",
    "average_drop",
    "average_gain",
    "average_increase",
    "best_iou",
    "best_threshold",
    "box_accuracy",
    "box_f1",
    "box_masks",
    "box_study",
    "causal_curves",
    "centre_maps",
    "coherency",
    "complexity",
    "confidence",
    "curve_ends",
    "edge_maps",
    "energy_pointing_game",
    "insertion_deletion",
    "iou_curve",
    "localization_error",
    "mask_iou",
    "mask_maps",
    "max_box_accuracy",
    "max_sensitivity",
    "noise_maps",
    "official_metric",
    "predicted_boxes",
    "randomized",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "saliency_metric",
    "selectivity",
    "spearman",
    "standard_pointing_game",
    "structural_similarity",
]
