"""The curves of insertion and deletion: kept coarsely beside the records, and their means."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from torch import Tensor

from xaicore.evaluation.tables import STANDARD_ERRORS

COLUMN = "curve"
"""Where the file of a chunk keeps the curve of a record; nothing where its measure has none."""

SHARES = np.linspace(0, 100, 21)
"""At which shares of the pixels, in per cent, a curve is kept: enough to draw it."""


def thinned(curves: Tensor) -> np.ndarray:
    """Return curves ``(B, n + 1)`` of equal steps at ``SHARES``, float32 ``(B, 21)``."""
    steps = np.linspace(0, 100, curves.shape[1])
    rows = [np.interp(SHARES, steps, curve) for curve in curves.double().numpy()]
    return np.stack(rows).astype("float32")


def mean_curves(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean curve of each method and metric with its 95 % interval over images.

    Args:
        tables: records with their curves, read one after another.

    Returns:
        Rows indexed by ``method``, ``metric`` and ``share``, that of the pixels in per cent:
        ``mean`` and ``half_width`` in per cent, and ``n``, the number of images. Empty if none has
        a curve.
    """
    sums: dict[tuple[str, str], np.ndarray] = {}
    for table in tables:
        known = table[table[COLUMN].notna()]
        for key, curves in known.groupby(["method", "metric"], sort=False)[COLUMN]:
            values = 100 * np.stack(curves.to_list()).astype(float)
            parts = np.stack([np.ones_like(values), values, values**2]).sum(1)
            sums[key] = sums.get(key, 0) + parts
    found = {key: _interval(*parts) for key, parts in sums.items()}
    return pd.concat(found, names=["method", "metric"]) if found else pd.DataFrame()


def _interval(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> pd.DataFrame:
    """The mean at each share and its half-width, which one image does not have."""
    mean = total / n
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt((squares - n * mean**2).clip(min=0) / (n - 1) / n)
    columns = {"mean": mean, "half_width": STANDARD_ERRORS * error, "n": n.astype(int)}
    return pd.DataFrame(columns, pd.Index(SHARES, name="share"))
