"""Tables from records: means with intervals, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from xaicore.metrics.measures import MEASURES, Measure, in_per_cent

STANDARD_ERRORS = 1.96
"""Half-width of a 95 % interval of a mean, in standard errors."""


def summarize(records: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """Return the mean of each metric with the half-width of its 95 % interval.

    Both are per cent, but for measures of another unit: SM, a logarithm, and MS, a ratio.

    The image is the unit: values of one image under several networks or seeds are averaged first,
    so that repeating a measurement on the same images does not narrow the interval.

    Returns:
        Rows in the order of ``records``, indexed by ``by`` and ``metric``: ``mean``, ``half_width``
        and ``n``, the number of images.
    """
    keys = [*by, "metric"]
    per_image = records.groupby([*keys, "image"], sort=False)["value"].mean()
    names = per_image.index.get_level_values("metric")
    shares = names.isin([name for name in names.unique() if in_per_cent(name)])
    groups = (per_image * np.where(shares, 100, 1)).groupby(keys, sort=False)
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "half_width": STANDARD_ERRORS * groups.sem(),
            "n": groups.count(),
        }
    )


def heading(metric: str, measures: Mapping[str, Measure] = MEASURES) -> str:
    """Return a metric with the arrow that says which way it is better.

    Args:
        metric: its name.
        measures: the table that it stands in.
    """
    return f"{metric} {measures[metric].arrow}"


def as_table(
    summary: pd.DataFrame, labels: Mapping[str, str], measures: Mapping[str, Measure] = MEASURES
) -> pd.DataFrame:
    """Lay a summary out for reading: a row per group, a mean and a half-width per metric.

    Args:
        summary: the table of ``summarize``.
        labels: how each method is written.
        measures: the table that the metrics stand in.
    """
    summary = summary.set_axis(summary.index.remove_unused_levels())  # else unstack mixes them up
    wide = summary[["mean", "half_width"]].unstack("metric", sort=False)
    columns = {}
    for metric in summary.index.unique("metric"):
        columns[heading(metric, measures)] = wide["mean", metric]
        columns[f"± {metric}"] = wide["half_width", metric]
    table = pd.DataFrame(columns)
    return table.rename(labels, level="method" if table.index.nlevels > 1 else None)


def paired_difference(
    records: pd.DataFrame,
    method: str,
    reference: str,
    by: Sequence[str] = (),
    within: Sequence[str] = (),
) -> pd.DataFrame:
    """Return how far one method is above another on the same images, per metric, in per cent.

    A pair is of one image and metric, and of the same ``by`` and ``within``.

    Args:
        records: a row per (image, method, metric), and per group and network, if there are some.
        method: the one.
        reference: the other.
        by: columns whose groups are told apart in the result.
        within: further columns in which a pair must agree, such as ``network`` or ``seed``; the
            image is the unit of the result all the same.

    Returns:
        The table of ``summarize`` for the differences ``method - reference``, image by image.

    Raises:
        ValueError: a method has no records, or more than one for the same pair; or there is no such
            column.
    """
    missing = {method, reference} - set(records["method"])
    if missing:
        raise ValueError(f"the records hold no method called {', '.join(sorted(missing))}")
    if absent := {*by, *within} - set(records):
        raise ValueError(f"by, within: the records have no column {', '.join(sorted(absent))}")
    keys = [column for column in records if column in {"image", "metric", *by, *within}]
    compared = records[records["method"].isin([method, reference])]
    if compared.duplicated([*keys, "method"]).any():
        others = [c for c in records if c not in (*keys, "method", "value")]
        raise ValueError(
            "an image has several values of one method: name in `within` what tells them apart, "
            f"of {', '.join(others)}"
        )
    values = compared.pivot(index=keys, columns="method", values="value")
    differences = (values[method] - values[reference]).rename("value").reset_index()
    return summarize(differences, by)
