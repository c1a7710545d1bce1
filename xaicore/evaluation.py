"""Explainers by metrics over a data set: one tidy record per image, then tables from records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier
from xaicore.masking import degenerate, mask, normalize, removed, upsample
from xaicore.metrics.causal import CausalProtocol, CurveEnds, auc, causal_curves, curve_ends
from xaicore.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    probability,
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
from xaicore.metrics.segmentation import (
    iou_curve,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)

METRICS = {"AD": average_drop, "AG": average_gain, "AI": average_increase}
MEASURED = {"insertion": "↑", "deletion": "↓"} | dict.fromkeys(("OM", "LE", "SM"), "↓")
MEASURED |= dict.fromkeys(("F1", "SP", "EP", "IoU-AUC", "RMA", "RRA"), "↑")
"""Metrics that ``measure`` takes from maps themselves, and which way they are better."""

ARROWS = {"AD": "↓", "AG": "↑", "AI": "↑", **MEASURED, "AOPC": "↑", "MS": "↓", "ADCC": "↑"}
NOT_PER_CENT = {"SM", "MS"}
OF_ONE_MAP = {"method", "p", "o", "seconds", "degenerate", "value"}
"""Columns of records that differ between the methods on one image; the others identify the pair."""

STANDARD_ERRORS = 1.96
"""Half-width of a 95 % interval of a mean, in standard errors."""


@dataclass(frozen=True)
class Truth:
    """Where the class is, for every image of a data set in its order; what is known of it.

    Attributes:
        boxes: ``x0, y0, x1, y1`` in pixels of the image, ``(n, 4)`` for each image, n at least 1.
        masks: the visible coverage of the class in ``[0, 1]``, ``(N, 1, H, W)``.
    """

    boxes: Sequence[Tensor] | None = None
    masks: Tensor | None = None


def evaluate(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    explainers: Mapping[str, Explainer | Tensor],
    baseline: str | Tensor = "black",
    batch_size: int = 32,
    curves: str | CausalProtocol | None = None,
    truth: Truth | None = None,
) -> pd.DataFrame:
    """Explain every image by every method for its true class and score the maps.

    AD, AG and AI always; insertion and deletion with ``curves``; localisation with ``truth``.

    Args:
        classifier: the classifier that is explained.
        dataset: yields pixels ``(3, H, W)`` in ``[0, 1]`` and the true class.
        explainers: the methods by the name their records carry; or maps made elsewhere,
            ``(N, 1, h, w)`` in the order of the data set, which are upsampled and normalised.
        baseline: what replaces the pixels that a map removes, when it is scored.
        batch_size: images explained at once.
        curves: the protocol of insertion and deletion, which follow the predicted class.
        truth: where the class is in each image.

    Returns:
        One row per (image, method, metric): the columns of ``measure`` that identify a map, and
        ``metric``, ``value``.
    """
    return score(measure(classifier, dataset, explainers, baseline, batch_size, curves, truth))


def measure(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    explainers: Mapping[str, Explainer | Tensor],
    baseline: str | Tensor = "black",
    batch_size: int = 32,
    curves: str | CausalProtocol | None = None,
    truth: Truth | None = None,
) -> pd.DataFrame:
    """Explain every image by every method and measure each map.

    Cost: one forward per image, shared by the methods, and one forward per image and method, on top
    of what the methods cost themselves. With ``curves`` of n steps, 2 (n - 1) forwards per map more
    and 2 per image; with boxes, one per map. The arguments are those of ``evaluate``.

    Returns:
        One row per (image, method): ``image`` (its index in the data set), ``method``, ``target``,
        the probability of the target ``p`` on the image and ``o`` on the masked image, ``seconds``,
        the time of the map, per image of its batch, ``degenerate``, whether the map is constant,
        and one column for each metric of ``MEASURED`` that was asked for.
    """
    rows = []
    for batch in _batches(classifier, dataset, baseline, batch_size, curves):
        for name, method in explainers.items():
            began = time.perf_counter()
            maps = batch.explain(method)
            seconds = (time.perf_counter() - began) / len(batch.images)
            rows.append(
                pd.DataFrame(
                    {
                        "image": batch.indices,
                        "target": batch.targets.cpu(),
                        "method": name,
                        "p": batch.p,
                        "o": batch.masked(maps),
                        "seconds": seconds,
                        "degenerate": degenerate(maps).cpu(),
                        **batch.causal(maps),
                        **batch.localised(maps, truth or Truth()),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True)
class _Batch:
    """Images, and what does not depend on the method that explains them."""

    classifier: Classifier
    indices: Sequence[int]
    images: Tensor
    targets: Tensor
    absent: Tensor
    p: Tensor
    correct: Tensor
    ends: CurveEnds | None

    def explain(self, method: Explainer | Tensor) -> Tensor:
        if isinstance(method, Explainer):
            return method(self.images, self.targets)
        maps = method[list(self.indices)].to(self.images)
        return normalize(upsample(maps, self.images.shape[-2:]))

    @torch.no_grad()
    def masked(self, maps: Tensor) -> Tensor:
        """The probability of the target on the masked images."""
        logits = self.classifier(mask(self.images, maps, self.absent))
        return probability(logits, self.targets)

    def causal(self, maps: Tensor) -> dict[str, Tensor]:
        if self.ends is None:
            return {}
        found = causal_curves(self.classifier, self.images, maps, self.ends)
        return {"insertion": auc(found.insertion), "deletion": auc(found.deletion)}

    def localised(self, maps: Tensor, truth: Truth) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if truth.boxes is not None:
            boxes = [truth.boxes[i] for i in self.indices]
            found |= self._in_boxes(maps, boxes)
        if truth.masks is not None:
            masks = truth.masks[list(self.indices)]
            found["IoU-AUC"] = iou_curve(maps, masks).mean(1)
            found["RMA"] = relevance_mass_accuracy(maps, masks)
            found["RRA"] = relevance_rank_accuracy(maps, masks)
        return found

    def _in_boxes(self, maps: Tensor, boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        iou = best_iou(maps, boxes)
        return {
            "OM": official_metric(iou, self.correct),
            "LE": localization_error(iou),
            "F1": box_f1(maps, boxes),
            "SP": standard_pointing_game(maps, boxes),
            "EP": energy_pointing_game(maps, boxes),
            "SM": saliency_metric(self.classifier, self.images, maps, self.targets),
        }


def _batches(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    baseline: str | Tensor,
    batch_size: int,
    curves: str | CausalProtocol | None,
) -> Iterator[_Batch]:
    device = classifier.mean.device
    first = 0
    for pixels, classes in DataLoader(dataset, batch_size=batch_size):
        images, targets = pixels.to(device), classes.to(device)
        with torch.no_grad():
            logits = classifier(images)
        p, correct = probability(logits, targets), (logits.argmax(1) == targets).cpu()
        absent = removed(images, baseline, classifier.mean)
        ends = None if curves is None else curve_ends(classifier, images, None, curves)
        indices = range(first, first + len(images))
        yield _Batch(classifier, indices, images, targets, absent, p, correct, ends)
        first += len(images)


def score(measured: pd.DataFrame) -> pd.DataFrame:
    """Turn the table of ``measure`` into records, one row per (image, method, metric)."""
    p, o = (torch.tensor(measured[name].to_numpy()) for name in ("p", "o"))
    columns = {name: metric(p, o).numpy() for name, metric in METRICS.items()}
    columns |= {name: measured[name] for name in MEASURED if name in measured}
    identity = measured.drop(columns=[name for name in MEASURED if name in measured])
    parts = [identity.assign(metric=name, value=values) for name, values in columns.items()]
    return pd.concat(parts, ignore_index=True)


def summarize(records: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """Return the mean of each metric with the half-width of its 95 % interval.

    Both are per cent, but for SM, a logarithm, and MS, a ratio.

    The image is the unit: values of one image under several networks or seeds are averaged first,
    so that repeating a measurement on the same images does not narrow the interval.

    Returns:
        Rows in the order of ``records``, indexed by ``by`` and ``metric``: ``mean``, ``half_width``
        and ``n``, the number of images.
    """
    keys = [*by, "metric"]
    per_image = records.groupby([*keys, "image"], sort=False)["value"].mean()
    own_scale = per_image.index.get_level_values("metric").isin(NOT_PER_CENT)
    groups = (per_image * np.where(own_scale, 1, 100)).groupby(keys, sort=False)
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "half_width": STANDARD_ERRORS * groups.sem(),
            "n": groups.size(),
        }
    )


def as_table(summary: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Lay a summary out for reading: a row per group, a mean and a half-width per metric.

    Args:
        summary: the table of ``summarize``.
        labels: how each method is written.
    """
    summary = summary.set_axis(summary.index.remove_unused_levels())  # else unstack mixes them up
    wide = summary[["mean", "half_width"]].unstack("metric", sort=False)
    columns = {}
    for metric in summary.index.unique("metric"):
        columns[f"{metric} {ARROWS[metric]}"] = wide["mean", metric]
        columns[f"± {metric}"] = wide["half_width", metric]
    table = pd.DataFrame(columns)
    return table.rename(labels, level="method" if table.index.nlevels > 1 else None)


def paired_difference(
    records: pd.DataFrame, method: str, reference: str, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return how far one method is above another on the same images, per metric, in per cent.

    Pairs are of one image under one network: of whatever other columns the records have.

    Returns:
        The table of ``summarize`` for the differences ``method - reference``, image by image.

    Raises:
        ValueError: a method has no records.
    """
    missing = {method, reference} - set(records["method"])
    if missing:
        raise ValueError(f"the records hold no method called {', '.join(sorted(missing))}")
    identity = [column for column in records if column not in OF_ONE_MAP]
    values = records.pivot(index=identity, columns="method", values="value")
    differences = (values[method] - values[reference]).rename("value").reset_index()
    return summarize(differences, by)
