"""Explainers by metrics over a data set: one tidy record per image, then tables from records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier
from xaicore.masking import mask, removed
from xaicore.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    probability,
)

METRICS = {"AD": average_drop, "AG": average_gain, "AI": average_increase}
STANDARD_ERRORS = 1.96
"""Half-width of a 95 % interval of a mean, in standard errors."""


def evaluate(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    explainers: Mapping[str, Explainer],
    baseline: str | Tensor = "black",
    batch_size: int = 32,
) -> pd.DataFrame:
    """Explain every image by every method for its true class; score AD, AG and AI.

    Args:
        classifier: the classifier that is explained.
        dataset: yields pixels ``(3, H, W)`` in ``[0, 1]`` and the true class.
        explainers: the methods by the name their records carry.
        baseline: what replaces the pixels that a map removes, when it is scored.
        batch_size: images explained at once.

    Returns:
        One row per (image, method, metric): the columns of ``measure`` and ``metric``, ``value``.
    """
    return score(measure(classifier, dataset, explainers, baseline, batch_size))


def measure(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    explainers: Mapping[str, Explainer],
    baseline: str | Tensor = "black",
    batch_size: int = 32,
) -> pd.DataFrame:
    """Explain every image by every method and measure the confidence before and after masking.

    Cost: one forward per image, shared by the methods, and one forward per image and method, on top
    of what the methods cost themselves. The arguments are those of ``evaluate``.

    Returns:
        One row per (image, method): ``image`` (its index in the data set), ``method``, ``target``,
        the probability of the target ``p`` on the image and ``o`` on the masked image, and
        ``seconds``, the time of the map, per image of its batch.
    """
    device = classifier.mean.device
    rows = []
    indices = iter(range(len(dataset)))  # type: ignore[arg-type]
    for pixels, classes in DataLoader(dataset, batch_size=batch_size):
        images, targets = pixels.to(device), classes.to(device)
        batch = {"image": [next(indices) for _ in classes], "target": classes}
        p = _probability(classifier, images, targets)
        absent = removed(images, baseline, classifier.mean)
        for name, explainer in explainers.items():
            began = time.perf_counter()
            maps = explainer(images, targets)
            seconds = (time.perf_counter() - began) / len(images)
            o = _probability(classifier, mask(images, maps, absent), targets)
            rows.append(pd.DataFrame({**batch, "method": name, "p": p, "o": o, "seconds": seconds}))
    return pd.concat(rows, ignore_index=True)


@torch.no_grad()
def _probability(classifier: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    return probability(classifier(images), targets)


def score(confidences: pd.DataFrame) -> pd.DataFrame:
    """Turn the table of ``measure`` into records, one row per (image, method, metric)."""
    p, o = (torch.tensor(confidences[name].to_numpy()) for name in ("p", "o"))
    parts = [
        confidences.assign(metric=name, value=metric(p, o).numpy())
        for name, metric in METRICS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def summarize(records: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """Return the mean of each metric in per cent, with the half-width of its 95 % interval.

    The image is the unit: values of one image under several networks or seeds are averaged first,
    so that repeating a measurement on the same images does not narrow the interval.

    Returns:
        Rows in the order of ``records``, indexed by ``by`` and ``metric``: ``mean``, ``half_width``
        and ``n``, the number of images.
    """
    keys = [*by, "metric"]
    per_image = records.groupby([*keys, "image"], sort=False)["value"].mean()
    groups = (100 * per_image).groupby(keys, sort=False)
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
    arrows = {"AD": "AD ↓", "AG": "AG ↑", "AI": "AI ↑"}
    wide = summary[["mean", "half_width"]].unstack("metric", sort=False)
    columns = {}
    for metric in summary.index.unique("metric"):
        columns[arrows[metric]] = wide["mean", metric]
        columns[f"± {metric}"] = wide["half_width", metric]
    table = pd.DataFrame(columns)
    return table.rename(labels, level="method" if table.index.nlevels > 1 else None)


def paired_difference(
    records: pd.DataFrame, method: str, reference: str, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return how far one method is above another on the same images, per metric, in per cent.

    Returns:
        The table of ``summarize`` for the differences ``method - reference``, image by image.

    Raises:
        ValueError: a method has no records.
    """
    missing = {method, reference} - set(records["method"])
    if missing:
        raise ValueError(f"the records hold no method called {', '.join(sorted(missing))}")
    identity = [c for c in records if c not in ("method", "value", "p", "o", "seconds")]
    values = records.pivot(index=identity, columns="method", values="value")
    differences = (values[method] - values[reference]).rename("value").reset_index()
    return summarize(differences, by)
