"""Records laid out wide, as the book stores them: a row per image and map, a column per measure.

AD, AG and AI are not stored: they follow from ``p`` and ``o``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from xaicore.metrics.measures import CONFIDENCE, MEASURES, from_confidence


def to_records(table: pd.DataFrame) -> pd.DataFrame:
    """Return a wide table as records, a row per (image, method, metric).

    Args:
        table: ``p`` and ``o``, NaN where nothing was masked; a column for each measure besides; and
            what identifies a row.
    """
    own = [name for name in MEASURES if name in table]
    columns = confidences(table) | {name: table[name].to_numpy() for name in own}
    identity = table.drop(columns=own)
    parts = [identity.assign(metric=name, value=values) for name, values in columns.items()]
    return pd.concat(parts, ignore_index=True)


def confidences(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the measures that follow from the columns ``p`` and ``o``, NaN where ``o`` is."""
    known = table["o"].notna().to_numpy()
    found = from_confidence(*(torch.tensor(table[name].to_numpy()[known]) for name in ("p", "o")))
    columns = {name: np.full(len(table), np.nan) for name in found}
    for name, values in found.items():
        columns[name][known] = values.numpy()
    return columns


def from_records(records: pd.DataFrame) -> pd.DataFrame:
    """Return records of ``xc.evaluate``, in which nothing failed, as a wide table, by method."""
    metrics = records["metric"].unique()
    columns = {name: records.loc[records["metric"] == name, "value"].to_numpy() for name in metrics}
    left = ["metric", "value", "failed", "labelled", "predicted"]
    of_map = records[records["metric"] == metrics[0]].drop(columns=left)
    kept = {name: of for name, of in columns.items() if MEASURES[name].needs != CONFIDENCE}
    order = {name: place for place, name in enumerate(records["method"].unique())}
    table = of_map.assign(**kept)
    return table.sort_values(
        "method", key=lambda names: names.map(order), kind="stable", ignore_index=True
    )
