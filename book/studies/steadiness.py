"""Does a map stay when its image hardly changes, and does its order matter? Table 4 of Opti-CAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pandas as pd
import torch
from torch import Tensor

from studies.opti_cam import QUICK, RIVALS, Study, explained
from studies.scoring import batches, saliency
from studies.subjects import Subject
from xaicore.attribution import Explainer
from xaicore.metrics import adcc, aopc, max_sensitivity

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A value for each image, of images, classes and maps."""

NOISE = 0.2
"""How far noise moves a value at most, as the paper sets its library."""

PHOTOGRAPHED = {"AOPC": 100, "ADCC": 48, "MS": 16}
"""Of how many photographs each measure is taken: the last two need maps of other pictures."""


def robustness(subject: Subject) -> Iterator[pd.DataFrame]:
    """AOPC, Max-Sensitivity with noise on pixels, and ADCC."""
    for method, make in RIVALS.items():
        explain = make(subject.classifier)
        every = dict.fromkeys(PHOTOGRAPHED, len(subject))
        yield from steady(subject, method, explain, measures(explain, NOISE), every)


def photographed(subject: Subject) -> Iterator[pd.DataFrame]:
    """The same on photographs, with noise in the unit of the paper's library.

    It adds noise to the normalised image, whose unit is a channel's deviation; here the mean of the
    three channels, which are within two per cent of each other.
    """
    radius = NOISE * float(subject.classifier.std.mean())
    for method, make in QUICK.items():
        explain = make(subject.classifier)
        yield from steady(subject, method, explain, measures(explain, radius), PHOTOGRAPHED)


def measures(explain: Explainer, radius: float) -> dict[str, Measure]:
    """Return the measures of a method, by name."""

    def order(images: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
        return aopc(explain.classifier, images, maps, targets)

    def moved(images: Tensor, targets: Tensor, _: Tensor) -> Tensor:
        return max_sensitivity(explain, images, targets, radius)

    def joined(images: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
        return adcc(explain, images, targets, maps).adcc

    return {"AOPC": order, "ADCC": joined, "MS": moved}


def steady(
    subject: Subject,
    method: str,
    explain: Explainer,
    taken: Mapping[str, Measure],
    counts: Mapping[str, int],
) -> Iterator[pd.DataFrame]:
    """Yield each measure of the first so many images; of the others it is NaN."""
    kept = explained(subject, method, explain)["maps"]
    for part, images, targets in batches(subject):
        maps = saliency(kept[part], images.shape[-2:])
        found = {
            name: _of_first(counts[name] - part.start, measure, images, targets, maps)
            for name, measure in taken.items()
        }
        rows = {"network": subject.name, "method": method, "image": range(part.start, part.stop)}
        yield pd.DataFrame({**rows, **found})


def _of_first(count: int, measure: Measure, *batch: Tensor) -> Tensor:
    """A measure of the first images of a batch."""
    found = torch.full((len(batch[0]),), torch.nan, dtype=torch.float64)
    if count > 0:
        found[:count] = measure(*(each[:count] for each in batch))
    return found


STUDIES = {
    "robustness": Study(robustness, 100, {}),
    "photographs-robustness": Study(
        photographed,
        0,
        {"resnet18": max(PHOTOGRAPHED.values())},
        {"noise": f"±{NOISE} of the mean deviation of a channel", "measured on": PHOTOGRAPHED},
    ),
}
