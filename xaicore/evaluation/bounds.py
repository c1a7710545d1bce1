"""Intervals that stay where values can be, and ranks that tie where no difference is sure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from xaicore.evaluation.tables import STANDARD_ERRORS
from xaicore.metrics.measures import MEASURES, Measure, in_per_cent

RESAMPLES = 2000
"""Draws of the bootstrap."""

FEW = 30
"""Fewer images than that, and an interval is a rough guide."""


Values = Mapping[tuple[str, str], np.ndarray]
"""The values of each method and metric, one per image, as ``per_image`` returns them."""


def intervals(values: Values, seed: int = 0) -> pd.DataFrame:
    """Return the mean of each metric for each method with the two ends of its 95 % interval.

    The interval is the normal one, ``mean ± 1.96`` standard errors. Where that leaves what the
    measure can be, 0 to 100 per cent, it is the percentile interval of a bootstrap over images.

    Args:
        values: of each method and metric, one per image.
        seed: of the bootstrap.

    Returns:
        Rows indexed by ``method`` and ``metric``: ``mean``, ``low``, ``high`` and ``n``.
    """
    rows = {}
    for (method, metric), of in values.items():
        least, most = (0.0, 100.0) if in_per_cent(metric) else (-np.inf, np.inf)
        rows[method, metric] = _interval(of, least, most, seed)
    index = pd.MultiIndex.from_tuples(rows, names=["method", "metric"])
    return pd.DataFrame(list(rows.values()), index, ["mean", "low", "high", "n"])


def _interval(
    values: np.ndarray, least: float, most: float, seed: int
) -> tuple[float, float, float, int]:
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return (float(known.mean()) if len(known) else np.nan, np.nan, np.nan, len(known))
    mean, half = known.mean(), STANDARD_ERRORS * known.std(ddof=1) / len(known) ** 0.5
    low, high = mean - half, mean + half
    if low < least or high > most:
        places = np.random.default_rng(seed).integers(0, len(known), (RESAMPLES, len(known)))
        low, high = np.percentile(known[places].mean(1), [2.5, 97.5])
    return float(mean), float(low), float(high), len(known)


def per_image(records: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return the values of each method and metric, one per image, in the order of the images.

    Shares are in per cent; several values of one image are averaged; an image without a value is
    not a number.
    """
    keys = ["method", "metric", "image"]
    wide = records.groupby(keys, sort=False)["value"].mean().unstack("image", sort=False)
    scales = {metric: 100 if in_per_cent(metric) else 1 for metric in wide.index.unique("metric")}
    return {
        (str(method), str(metric)): row.to_numpy(dtype=float) * scales[metric]
        for (method, metric), row in wide.sort_index(axis=1).iterrows()
    }


def ranks(values: Values, measures: Mapping[str, Measure] = MEASURES) -> pd.DataFrame:
    """Return the rank of each method by each metric, ties included.

    A method's rank is one more than the number of methods that are surely better on the same
    images: whose paired difference, with its 95 % interval, lies on the better side of zero.

    Args:
        values: of each method and metric, one per image, in the same order.
        measures: the table that says which way is better.

    Returns:
        A row per method, a column per metric, whole numbers from 1.
    """
    methods = list(dict.fromkeys(method for method, _ in values))
    metrics = list(dict.fromkeys(metric for _, metric in values))
    found = {
        metric: [
            1 + sum(_above(values, other, method, metric, measures) for other in methods)
            for method in methods
        ]
        for metric in metrics
    }
    return pd.DataFrame(found, pd.Index(methods, name="method"))


def _above(
    values: Values,
    one: str,
    other: str,
    metric: str,
    measures: Mapping[str, Measure],
) -> bool:
    """Whether one method is surely better than another by a metric."""
    if one == other or (one, metric) not in values or (other, metric) not in values:
        return False
    sign = 1 if measures[metric].arrow == "↑" else -1
    differences = sign * (values[one, metric] - values[other, metric])
    known = differences[~np.isnan(differences)]
    if len(known) < 2:
        return False
    error = known.std(ddof=1) / len(known) ** 0.5
    return bool(known.mean() - STANDARD_ERRORS * error > 0)
