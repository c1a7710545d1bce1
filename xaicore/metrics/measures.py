"""What is measured of a map: one table, a row per measure, which everything else reads.

A new measure is its function, in a file of this folder, and its row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier, hint
from xaicore.masking import mask, removed
from xaicore.metrics.additivity import infidelity, sensitivity_n
from xaicore.metrics.causal import (
    CausalCurves,
    CausalProtocol,
    CurveEnds,
    aopc,
    auc,
    causal_curves,
    curve_ends,
)
from xaicore.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
)
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
from xaicore.metrics.transfer import answers, transfer

__all__ = ["MEASURES", "Measure"]

SHARE, LOGARITHM, RATIO = "per cent", "a logarithm", "a ratio"
"""Units: a share is shown in per cent, the others as they are."""

CONFIDENCE, CURVES, BOXES, MASKS = "confidence", "curves", "boxes", "masks"
NETWORK, EXPLAINER, JUDGES = "network", "explainer", "judges"
"""What a measure may need: the probabilities ``p`` and ``o``; insertion and deletion; where the
class is; the network for passes of its own; the method itself, not its maps alone; other networks.
"""

SINGULAR = {BOXES: "box", MASKS: "mask"}
"""The truth that some images of a data set may lack, one of it."""

MOST_PASSED = 16
"""Masked images in one forward, at most."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Images of one size, what the network says of them, and what all their maps share.

    Attributes:
        classifier: the classifier that is explained.
        images: pixels ``(B, C, H, W)`` in ``[0, 1]``.
        targets: the class explained in each, ``(B,)``.
        logits: the network's output on the images.
        boxes: the boxes of each image ``(n, 4)``; ``None`` where none is known.
        masks: the mask of each image ``(1, H, W)``; ``None`` where none is known.
        baseline: what replaces the pixels that a map removes.
        protocol: how insertion and deletion are measured, which follow the predicted class.
        passed: masked images in one forward, where an image is masked many times.
        judges: networks that did not make the maps, by name.
    """

    classifier: Classifier
    images: Tensor
    targets: Tensor
    logits: Tensor
    boxes: Sequence[Tensor | None]
    masks: Sequence[Tensor | None]
    baseline: str | Tensor = "black"
    protocol: str | CausalProtocol = "paper"
    passed: int = MOST_PASSED
    judges: Mapping[str, Classifier] = field(default_factory=dict)

    @cached_property
    def p(self) -> Tensor:
        """The probability of each target, float64 ``(B,)``."""
        return self.classifier.probability(self.logits, self.targets)

    @cached_property
    def judged_p(self) -> dict[str, Tensor]:
        """The probability of each target to each judge, float64 ``(B,)``."""
        return self.asked(self.images)

    def asked(self, images: Tensor) -> dict[str, Tensor]:
        """Return the probability of each target to each judge, of the images as they are given."""
        return {name: self.ask(name, images) for name in self.judges}

    def ask(self, name: str, images: Tensor) -> Tensor:
        """Return the probability of each target to a judge.

        Raises:
            ValueError: it has another number of classes.
        """
        judge = self.judges[name]
        logits = answers(judge, images)
        if logits.shape[1] != self.logits.shape[1]:
            raise ValueError(
                f"{name} has {logits.shape[1]} classes, the network {self.logits.shape[1]}: a "
                "judge must have learnt the same classes, in the same order"
            )
        return judge.probability(logits, self.targets)

    @cached_property
    def absent(self) -> Tensor:
        """What stands where a map removes pixels."""
        return removed(self.images, self.baseline, self.classifier.mean)

    @cached_property
    def ends(self) -> CurveEnds:
        """What the curves of every method share."""
        return curve_ends(
            self.classifier, self.images, None, self.protocol, self.passed, self.logits
        )

    def at(self, places: list[int]) -> Seen:
        """Return some of the images."""
        return replace(
            self,
            images=self.images[places],
            targets=self.targets[places],
            logits=self.logits[places],
            boxes=[self.boxes[i] for i in places],
            masks=[self.masks[i] for i in places],
        )


@dataclass(frozen=True, eq=False)
class Case:
    """The maps of one method, and what several measures of them share: computed when first asked.

    Attributes:
        seen: the images.
        maps: their saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        explainer: the method; ``None`` for maps made elsewhere.
    """

    seen: Seen
    maps: Tensor
    explainer: Explainer | None = None

    @property
    def p(self) -> Tensor:
        """The probability of the target on each image, float64 ``(B,)``."""
        return self.seen.p

    @property
    def method(self) -> Explainer:
        """The method itself, for measures of which its maps are not all.

        Raises:
            ValueError: the maps were made elsewhere.
        """
        if self.explainer is None:
            raise ValueError("maps made elsewhere are not enough: it needs the method itself")
        return self.explainer

    @cached_property
    def kept(self) -> Tensor:
        """The masked images."""
        with torch.no_grad():
            masked = mask(self.seen.images, self.maps, self.seen.absent)
        return masked.contiguous(memory_format=torch.channels_last)

    @cached_property
    def o(self) -> Tensor:
        """The probability of the target on each masked image, float64 ``(B,)``."""
        seen = self.seen
        with torch.no_grad():
            logits = seen.classifier(self.kept)
        return seen.classifier.probability(logits, seen.targets)

    @cached_property
    def judged_o(self) -> dict[str, Tensor]:
        """The probability of the target on each masked image to each judge, float64 ``(B,)``."""
        return self.seen.asked(self.kept)

    @cached_property
    def curves(self) -> CausalCurves:
        """The curves of insertion and deletion."""
        seen = self.seen
        return causal_curves(seen.classifier, seen.images, self.maps, seen.ends, seen.passed)

    @cached_property
    def iou(self) -> Tensor:
        """How well the predicted boxes fit."""
        return best_iou(self.maps, self.boxes)

    @property
    def boxes(self) -> list[Tensor]:
        """The boxes of the images, where all are known."""
        return [boxes for boxes in self.seen.boxes if boxes is not None]

    @cached_property
    def mask(self) -> Tensor:
        """The masks of the images ``(B, 1, H, W)``, where all are known."""
        return torch.stack([known for known in self.seen.masks if known is not None])

    @cached_property
    def boxed(self) -> tuple[list[int], Case]:
        """The places of the images whose boxes are known, and the case of these."""
        return self._where(self.seen.boxes)

    @cached_property
    def masked(self) -> tuple[list[int], Case]:
        """The places of the images whose mask is known, and the case of these."""
        return self._where(self.seen.masks)

    def _where(self, truth: Sequence[Tensor | None]) -> tuple[list[int], Case]:
        places = [i for i, known in enumerate(truth) if known is not None]
        if len(places) == len(truth):
            return places, self
        return places, Case(self.seen.at(places), self.maps[places], self.explainer)


class Confidence(NamedTuple):
    """All that a measure of ``CONFIDENCE`` reads of a case."""

    p: Tensor
    o: Tensor


@dataclass(frozen=True)
class Measure:
    """One row of the table.

    Attributes:
        name: as records and tables write it.
        arrow: ``"↑"`` if higher is better, else ``"↓"``.
        take: its values for the maps of a case, one per image: of a ``Case``, or of what a table of
            somebody else's measures reads. What several measures need is an attribute of the case.
        needs: what there must be; one of ``BOXES`` or ``MASKS`` is taken where they are known.
        unasked: what must be given for it to be measured unasked, ``""`` for nothing; ``None``: it
            is measured on request alone.
        unit: ``SHARE``, ``LOGARITHM`` or ``RATIO``.
        partial: whether it is not defined for every map, so that one without a value is no failure.
    """

    name: str
    arrow: str
    take: Callable[[Any], Tensor]
    needs: str = ""
    unasked: str | None = None
    unit: str = SHARE
    partial: bool = False

    def of(self, case: Case) -> Tensor:
        """Return its values, float64 ``(B,)``, on the CPU; NaN where the truth is not known.

        Raises:
            ValueError: it cannot be taken of this case; the message says why.
        """
        if self.needs not in SINGULAR:
            return self.take(case).cpu().double()
        places, known = case.boxed if self.needs == BOXES else case.masked
        values = torch.full((len(case.maps),), torch.nan, dtype=torch.float64)
        if places:
            values[places] = self.take(known).cpu().double()
        return values

    @property
    def missing(self) -> str:
        """Why it is not a number, in words."""
        if self.needs in SINGULAR:
            return f"no {SINGULAR[self.needs]} is known for this image"
        return f"{self.name} is not a number for this image"


def _correct(case: Case) -> Tensor:
    """Whether the network predicts the target."""
    return case.seen.logits.argmax(1) == case.seen.targets


def _sensitivity(case: Case) -> Tensor:
    return max_sensitivity(case.method, case.seen.images, case.seen.targets)


def _consistency(case: Case) -> Tensor:
    seen = case.seen
    return adcc(case.method, seen.images, seen.targets, case.maps, seen.baseline).adcc


def _patches(case: Case) -> Tensor:
    """AOPC of the predicted class."""
    seen, classes = case.seen, case.seen.logits.argmax(1)
    return aopc(
        seen.classifier,
        seen.images,
        case.maps,
        classes,
        baseline=seen.baseline,
        batch_size=seen.passed,
    )


def _infidelity(case: Case) -> Tensor:
    return _asked_of_sets(infidelity, case)


def _sensitivity_n(case: Case) -> Tensor:
    return _asked_of_sets(sensitivity_n, case)


def _asked_of_sets(measure: Callable[..., Tensor], case: Case) -> Tensor:
    seen = case.seen
    settings = {"baseline": seen.baseline, "batch_size": seen.passed}
    return measure(seen.classifier, seen.images, case.maps, seen.targets, **settings)


def _crops(case: Case) -> Tensor:
    seen = case.seen
    return saliency_metric(seen.classifier, seen.images, case.maps, seen.targets)


def _transfer(case: Case) -> Tensor:
    of_judges = (torch.stack([*found.values()]) for found in (case.seen.judged_p, case.judged_o))
    return transfer(case.p, case.o, *of_judges)


def table(*rows: Measure) -> dict[str, Measure]:
    """Return measures by their names."""
    return {row.name: row for row in rows}


MEASURES = table(
    Measure("AD", "↓", lambda case: average_drop(case.p, case.o), CONFIDENCE, ""),
    Measure("AG", "↑", lambda case: average_gain(case.p, case.o), CONFIDENCE, ""),
    Measure("AI", "↑", lambda case: average_increase(case.p, case.o), CONFIDENCE, ""),
    Measure("insertion", "↑", lambda case: auc(case.curves.insertion), CURVES, CURVES),
    Measure("deletion", "↓", lambda case: auc(case.curves.deletion), CURVES, CURVES),
    Measure("OM", "↓", lambda case: official_metric(case.iou, _correct(case)), BOXES, BOXES),
    Measure("LE", "↓", lambda case: localization_error(case.iou), BOXES, BOXES),
    Measure("SM", "↓", _crops, NETWORK, BOXES, LOGARITHM),
    Measure("F1", "↑", lambda case: box_f1(case.maps, case.boxes), BOXES, BOXES),
    Measure("SP", "↑", lambda case: standard_pointing_game(case.maps, case.boxes), BOXES, BOXES),
    Measure("EP", "↑", lambda case: energy_pointing_game(case.maps, case.boxes), BOXES, BOXES),
    Measure("IoU-AUC", "↑", lambda case: iou_curve(case.maps, case.mask).mean(1), MASKS, MASKS),
    Measure("RMA", "↑", lambda case: relevance_mass_accuracy(case.maps, case.mask), MASKS, MASKS),
    Measure("RRA", "↑", lambda case: relevance_rank_accuracy(case.maps, case.mask), MASKS, MASKS),
    Measure("AOPC", "↑", _patches, NETWORK),
    Measure("infidelity", "↓", _infidelity, NETWORK),
    Measure("sensitivity-n", "↑", _sensitivity_n, NETWORK),
    Measure("MS", "↓", _sensitivity, EXPLAINER, unit=RATIO),
    Measure("ADCC", "↑", _consistency, EXPLAINER),
    Measure("transfer", "↑", _transfer, JUDGES, JUDGES, partial=True),
)
"""Every measure of a map, by name, in the order of the tables."""

ASKS = {
    "AD": "how much of the probability is lost when only the map is shown",
    "AG": "how much of the probability that was missing is gained",
    "AI": "how often the probability rises",
    "insertion": "how soon the probability comes as the first pixels do",
    "deletion": "how soon the probability goes as the first pixels do",
    "OM": "how often the class or its box is wrong",
    "LE": "how often the box of the map misses the object",
    "SM": "how tightly the map crops what the network needs",
    "F1": "how well the box of the map fits the object",
    "SP": "how often the highest point lies in the box",
    "EP": "how much of the map lies in the box",
    "IoU-AUC": "how well the map fits the mask, over all thresholds",
    "RMA": "how much of the map lies in the mask",
    "RRA": "how many of the highest pixels lie in the mask",
    "AOPC": "how far the probability falls as patches are removed",
    "infidelity": "how far lost saliency is from lost probability, squared",
    "sensitivity-n": "whether what is lost of the map goes with what is lost of the class",
    "MS": "how far the map moves when the image hardly does",
    "ADCC": "whether the map is faithful, coherent and simple at once",
    "transfer": "how much of the gain networks see that did not make the map",
}
"""The question that each answers, for who reads a table."""


def usual(*given: str) -> tuple[str, ...]:
    """Return the measures that are taken unasked, with ``CURVES`` and the like given."""
    return tuple(name for name, row in MEASURES.items() if row.unasked in ("", *given))


def named(names: Sequence[str]) -> tuple[str, ...]:
    """Return the measures of some names, as records write them, once, in the order of the tables.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    known = {name.lower(): name for name in MEASURES}
    for name in names:
        if name.lower() not in known:
            near = hint(name.lower(), known) or f": use some of {', '.join(MEASURES)}"
            raise ValueError(f"metrics: no metric is called '{name}'{near}")
    if not names:
        raise ValueError(f"metrics: give at least one of {', '.join(MEASURES)}")
    asked = {known[name.lower()] for name in names}
    return tuple(name for name in MEASURES if name in asked)


def from_confidence(p: Tensor, o: Tensor) -> dict[str, Tensor]:
    """Return every measure that follows from the probabilities, float64 ``(B,)`` each."""
    found = Confidence(p, o)
    return {name: row.take(found) for name, row in MEASURES.items() if row.needs == CONFIDENCE}


def in_per_cent(name: str) -> bool:
    """Return whether a value is shown times 100: all are, but for measures of another unit."""
    return name not in MEASURES or MEASURES[name].unit == SHARE
