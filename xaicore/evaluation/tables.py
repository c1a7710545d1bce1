"""Tables from records: scores, means with intervals, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from xaicore.evaluation.batch import MEASURED, ON_REQUEST, Truth, measure
from xaicore.metrics.faithfulness import average_drop, average_gain, average_increase

__all__ = [
    "ARROWS",
    "MEASURED",
    "METRICS",
    "Truth",
    "as_table",
    "measure",
    "paired_difference",
    "score",
    "summarize",
]

METRICS = {"AD": average_drop, "AG": average_gain, "AI": average_increase}
ARROWS = {"AD": "↓", "AG": "↑", "AI": "↑", **MEASURED, **ON_REQUEST}
ARROWS |= {"IoU": "↑", "pointing": "↑", "PC": "↑"}
NOT_PER_CENT = {"SM", "MS"}
OF_ONE_MAP = {"method", "p", "o", "seconds", "degenerate", "value", "failed"}
"""Columns of records that differ between the methods on one image; the others identify the pair."""

STANDARD_ERRORS = 1.96
"""Half-width of a 95 % interval of a mean, in standard errors."""


def score(measured: pd.DataFrame) -> pd.DataFrame:
    """Turn the table of ``measure`` into records, one row per (image, method, metric)."""
    known = measured["o"].notna().to_numpy()
    p, o = (torch.tensor(measured[name].to_numpy()[known]) for name in ("p", "o"))
    columns = {name: np.full(len(measured), np.nan) for name in METRICS}
    for name, metric in METRICS.items():
        columns[name][known] = metric(p, o).numpy()
    others = [name for name in (*MEASURED, *ON_REQUEST) if name in measured]
    columns |= {name: measured[name].to_numpy() for name in others}
    identity = measured.drop(columns=others)
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
            "n": groups.count(),
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
