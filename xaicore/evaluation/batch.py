"""What is measured of a map, and what the maps of a batch share while it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.capture import Capture, capture, own
from xaicore.attribution.explainer import Explainer, check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import degenerate, mask, normalize, removed, upsample
from xaicore.metrics.causal import (
    CausalProtocol,
    CurveEnds,
    aopc,
    auc,
    causal_curves,
    curve_ends,
)
from xaicore.metrics.faithfulness import probability
from xaicore.metrics.localization import (
    best_iou,
    box_f1,
    energy_pointing_game,
    localization_error,
    official_metric,
    saliency_metric,
    standard_pointing_game,
)
from xaicore.metrics.robustness import adcc, max_sensitivity
from xaicore.metrics.segmentation import (
    iou_curve,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)

FROM_CONFIDENCE = "AD", "AG", "AI"
"""Metrics that follow from the probabilities ``p`` and ``o``."""

MEASURED = {"insertion": "↑", "deletion": "↓"} | dict.fromkeys(("OM", "LE", "SM"), "↓")
MEASURED |= dict.fromkeys(("F1", "SP", "EP", "IoU-AUC", "RMA", "RRA"), "↑")
"""Metrics that ``measure`` takes from maps themselves, and which way they are better."""

ON_REQUEST = {"AOPC": "↑", "MS": "↓", "ADCC": "↑"}
"""Metrics that are measured only when they are named."""

NAMES = (*FROM_CONFIDENCE, *MEASURED, *ON_REQUEST)
"""Every metric that can be measured of a map, in the order of the tables."""

MOST_PASSED = 16
"""Masked images in one forward, at most."""

NO_LABEL = -1
"""The class of an image that has none: the predicted class is explained."""

Method = Explainer | Tensor
"""A method, or maps made elsewhere, ``(N, 1, h, w)`` in the order of the data set."""


@dataclass(frozen=True)
class Truth:
    """Where the class is, for every image of a data set in its order; what is known of it.

    Attributes:
        boxes: ``x0, y0, x1, y1`` in pixels of the image, ``(n, 4)`` for each image, n at least 1.
        masks: the visible coverage of the class in ``[0, 1]``, ``(N, 1, H, W)``.
    """

    boxes: Sequence[Tensor] | None = None
    masks: Tensor | None = None


@dataclass(frozen=True)
class Settings:
    """What is measured of each map.

    Attributes:
        metrics: the names of the metrics, of ``NAMES``.
        baseline: what replaces the pixels that a map removes, when it is scored.
        curves: the protocol of insertion and deletion, which follow the predicted class.
        passed: masked images in one forward, where an image is masked many times.
    """

    metrics: tuple[str, ...]
    baseline: str | Tensor = "black"
    curves: str | CausalProtocol = "paper"
    passed: int = MOST_PASSED


@dataclass(frozen=True)
class Shown:
    """Some images of one size, and what is known of them.

    Attributes:
        indices: their places in the data set.
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        labels: their classes ``(B,)``; ``NO_LABEL`` for the predicted one.
        boxes: the boxes of each image ``(n, 4)``; ``None`` where none is known.
        masks: the mask of each image ``(1, H, W)``; ``None`` where none is known.
    """

    indices: Sequence[int]
    images: Tensor
    labels: Tensor
    boxes: Sequence[Tensor | None]
    masks: Sequence[Tensor | None]


def measure(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    explainers: Mapping[str, Method],
    baseline: str | Tensor = "black",
    batch_size: int = 32,
    curves: str | CausalProtocol | None = None,
    truth: Truth | None = None,
) -> pd.DataFrame:
    """Explain every image by every method for its true class and measure each map.

    Cost: one forward per image, shared by the methods and the metrics, and one forward per image
    and method, on top of what the methods cost themselves; class activation maps start from the
    shared forward and share a backward. With ``curves`` of n steps, 2 (n - 1) forwards per map more
    and 1 per image; with boxes, one per map. The arguments are those of ``runs.evaluate``.

    Returns:
        One row per (image, method): ``image`` (its index in the data set), ``method``, ``target``,
        the probability of the target ``p`` on the image and ``o`` on the masked image, ``seconds``,
        the time of the map, per image of its batch, beyond what the methods share, ``degenerate``,
        whether the map is constant, and one column for each metric of ``MEASURED`` that was asked
        for.

    Raises:
        ValueError: an image cannot be measured.
    """
    settings = Settings(default_metrics(curves, truth), baseline, curves or "paper")
    rows = []
    for shown in _shown(dataset, batch_size, truth or Truth()):
        batch = look(classifier, shown, explainers, settings)
        rows += [batch.measured(name) for name in explainers]
    return pd.concat(rows, ignore_index=True)


def default_metrics(
    curves: str | CausalProtocol | None = None, truth: Truth | None = None
) -> tuple[str, ...]:
    """Return the metrics that follow from what is given: AD, AG, AI, and what else can be had."""
    truth = truth or Truth()
    return (
        *FROM_CONFIDENCE,
        *(() if curves is None else CAUSAL),
        *(() if truth.boxes is None else (*IN_BOXES, "SM")),
        *(() if truth.masks is None else IN_MASKS),
    )


@dataclass(frozen=True)
class Batch:
    """Images, and what their methods and metrics share.

    Attributes:
        classifier: the classifier that is explained.
        methods: the methods by name.
        settings: what is measured.
        shown: the images, on the device of the classifier.
        targets: the class explained in each, ``(B,)``.
        logits: the network's output on the images.
        captured: the look at the layer that class activation maps start from, if there is one.
        absent: what stands where a map removes pixels.
    """

    classifier: Classifier
    methods: Mapping[str, Method]
    settings: Settings
    shown: Shown
    targets: Tensor
    logits: Tensor
    captured: Capture | None
    absent: Tensor

    @cached_property
    def p(self) -> Tensor:
        """The probability of each target, float64 ``(B,)``."""
        return probability(self.logits, self.targets)

    @cached_property
    def ends(self) -> CurveEnds:
        """What the curves of every method share."""
        settings, images = self.settings, self.shown.images
        return curve_ends(
            self.classifier, images, None, settings.curves, settings.passed, self.logits
        )

    def measured(
        self,
        name: str,
        guard: Callable[[Sequence[str]], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> pd.DataFrame:
        """Explain by one method and measure the maps: one row per image.

        Args:
            name: the method.
            guard: is entered, with the names of some metrics, while they are measured.
        """
        began = time.perf_counter()
        maps = self.explain(self.methods[name])
        columns: dict[str, object] = {
            "image": self.shown.indices,
            "target": self.targets.cpu(),
            "method": name,
            "p": self.p,
            "o": np.nan,
            "seconds": (time.perf_counter() - began) / len(maps),
            "degenerate": degenerate(maps).cpu(),
        }
        for metrics, take in GROUPS.items():
            if asked := [metric for metric in metrics if metric in self.settings.metrics]:
                with guard(asked):
                    found = take(self, name, maps)
                    columns |= {key: found[key] for key in found if key in (*asked, "o")}
        return pd.DataFrame(columns)

    def explain(self, method: Method) -> Tensor:
        """Return the saliency ``(B, 1, H, W)`` of a method."""
        images = self.shown.images
        if isinstance(method, Explainer):
            captured = self.captured if method.classifier is self.classifier else None
            if isinstance(method, CAMExplainer) and captured is not None:
                return method.of(captured).to(images)
            return method(images, self.targets).to(images)
        maps = method[list(self.shown.indices)].to(images)
        return normalize(upsample(maps, images.shape[-2:]))

    @torch.no_grad()
    def masked(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """The probability of the target on the masked images."""
        kept = mask(self.shown.images, maps, self.absent)
        logits = self.classifier(kept.contiguous(memory_format=torch.channels_last))
        return {"o": probability(logits, self.targets)}

    def causal(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """The areas under the curves of insertion and deletion."""
        images, passed = self.shown.images, self.settings.passed
        found = causal_curves(self.classifier, images, maps, self.ends, passed)
        return {"insertion": auc(found.insertion), "deletion": auc(found.deletion)}

    def patches(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """AOPC of the predicted class."""
        found = aopc(
            self.classifier,
            self.shown.images,
            maps,
            self.logits.argmax(1),
            baseline=self.settings.baseline,
            batch_size=self.settings.passed,
        )
        return {"AOPC": found}

    def in_boxes(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """How well the maps find the boxes, where there are any."""
        correct = self.logits.argmax(1) == self.targets

        def found(known: list[int], boxes: list[Tensor]) -> dict[str, Tensor]:
            iou = best_iou(maps[known], boxes)
            return {
                "OM": official_metric(iou, correct[known]),
                "LE": localization_error(iou),
                "F1": box_f1(maps[known], boxes),
                "SP": standard_pointing_game(maps[known], boxes),
                "EP": energy_pointing_game(maps[known], boxes),
            }

        return _where_known(self.shown.boxes, IN_BOXES, found)

    def in_masks(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """How well the maps find the masks, where there are any."""

        def found(known: list[int], masks: list[Tensor]) -> dict[str, Tensor]:
            some, coverage = maps[known], torch.stack(masks)
            return {
                "IoU-AUC": iou_curve(some, coverage).mean(1),
                "RMA": relevance_mass_accuracy(some, coverage),
                "RRA": relevance_rank_accuracy(some, coverage),
            }

        return _where_known(self.shown.masks, IN_MASKS, found)

    def box_shown(self, _name: str, maps: Tensor) -> dict[str, Tensor]:
        """What the predicted boxes show the network."""
        images = self.shown.images
        return {"SM": saliency_metric(self.classifier, images, maps, self.targets)}

    def sensitivity(self, name: str, _maps: Tensor) -> dict[str, Tensor]:
        """How far the maps move under noise."""
        return {"MS": max_sensitivity(self._method(name), self.shown.images, self.targets)}

    def consistency(self, name: str, maps: Tensor) -> dict[str, Tensor]:
        """ADCC of the maps."""
        images, baseline = self.shown.images, self.settings.baseline
        return {"ADCC": adcc(self._method(name), images, self.targets, maps, baseline).adcc}

    def _method(self, name: str) -> Explainer:
        method = self.methods[name]
        if not isinstance(method, Explainer):
            raise ValueError(f"{name}: maps made elsewhere have neither MS nor ADCC")
        return method


CAUSAL = "insertion", "deletion"
IN_BOXES = "OM", "LE", "F1", "SP", "EP"
IN_MASKS = "IoU-AUC", "RMA", "RRA"

GROUPS: dict[tuple[str, ...], Callable[[Batch, str, Tensor], dict[str, Tensor]]] = {
    FROM_CONFIDENCE: Batch.masked,
    CAUSAL: Batch.causal,
    IN_BOXES: Batch.in_boxes,
    ("SM",): Batch.box_shown,
    IN_MASKS: Batch.in_masks,
    ("AOPC",): Batch.patches,
    ("MS",): Batch.sensitivity,
    ("ADCC",): Batch.consistency,
}
"""The metrics that are measured together, and how."""


def look(
    classifier: Classifier, shown: Shown, methods: Mapping[str, Method], settings: Settings
) -> Batch:
    """Run the network once on some images, for all methods and metrics.

    Raises:
        ValueError: images or classes cannot be used, or the network gives NaN or infinity.
    """
    device = classifier.mean.device
    shown = replace(shown, images=shown.images.to(device), labels=shown.labels.to(device))
    check_inputs(classifier, shown.images, shown.labels)
    captured = _captured(classifier, shown.images, methods)
    logits = _logits(classifier, shown.images) if captured is None else own(captured.logits)
    for place in (~logits.isfinite()).any(1).nonzero()[:1, 0].tolist():
        raise ValueError(f"the network gives NaN or infinity for image {shown.indices[place]}")
    targets = torch.where(shown.labels == NO_LABEL, logits.argmax(1), shown.labels)
    resolve_targets(targets, logits)
    if captured is not None:
        captured = replace(captured, targets=targets)
    absent = removed(shown.images, settings.baseline, classifier.mean)
    return Batch(classifier, methods, settings, shown, targets, logits, captured, absent)


def _captured(
    classifier: Classifier, images: Tensor, methods: Mapping[str, Method]
) -> Capture | None:
    """The look that class activation maps share; none if no method needs it, or it is refused."""
    sharing = [m for m in methods.values() if isinstance(m, CAMExplainer)]
    if not any(method.classifier is classifier for method in sharing):
        return None
    try:
        return capture(classifier, images)
    except ValueError:
        return None  # each of the methods will say so itself


@torch.no_grad()
def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    """The logits, in the layout in which ``capture`` computes them."""
    return classifier(images.contiguous(memory_format=torch.channels_last))


def _where_known(
    truth: Sequence[Tensor | None],
    metrics: Sequence[str],
    measure: Callable[[list[int], list[Tensor]], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Measure the images whose truth is known; NaN for the others."""
    places = [i for i, given in enumerate(truth) if given is not None]
    values = {name: torch.full((len(truth),), torch.nan, dtype=torch.float64) for name in metrics}
    if places:
        for name, found in measure(places, [t for t in truth if t is not None]).items():
            values[name][places] = found.double()
    return values


def _shown(dataset: Dataset[tuple[Tensor, int]], batch_size: int, truth: Truth) -> Iterator[Shown]:
    first = 0
    for images, labels in DataLoader(dataset, batch_size=batch_size):
        indices = range(first, first + len(images))
        nothing = [None] * len(images)
        boxes = nothing if truth.boxes is None else [truth.boxes[i] for i in indices]
        masks = nothing if truth.masks is None else list(truth.masks[list(indices)])
        yield Shown(indices, images, labels, boxes, masks)
        first += len(images)
