"""How far the gain of maps travels: what their makers see of it, and what other networks do."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import torch

from xaicore.evaluation.tables import STANDARD_ERRORS
from xaicore.metrics import average_gain, transfer

NOBODY = "no network"
"""Who makes the maps that no network makes."""


class Mean(NamedTuple):
    """A mean over images, in per cent, with the half-width of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        """Return both as they are read."""
        return f"{self.mean:.1f} ± {self.half:.1f}".replace("-", "−")


def gains(records: pd.DataFrame) -> pd.DataFrame:
    """Return the records of ``opti_cam.transfer`` with the gain ``AG`` of each, in per cent.

    ``seen`` is "its maker", "another network", or "no maker" of maps that no network makes.
    """
    p, o = (torch.tensor(records[name].to_numpy()) for name in "po")
    seen = (records["network"] == records["judge"]).map(
        {True: "its maker", False: "another network"}
    )
    seen = seen.where(records["network"] != NOBODY, "no maker")
    return records.assign(AG=100 * average_gain(p, o).numpy(), seen=seen)


def by_image(gained: pd.DataFrame, method: str, seen: str) -> pd.Series:
    """Return the gain of a method's maps, the mean over makers and judges, one for each image.

    Args:
        gained: the table of ``gains``.
        method: whose maps.
        seen: by whom they are seen.
    """
    own = gained[(gained["method"] == method) & (gained["seen"] == seen)]
    return own.groupby("image")["AG"].mean()


def mean(values: pd.Series) -> Mean:
    """Return the mean over images."""
    return Mean(float(values.mean()), float(STANDARD_ERRORS * values.sem()))


def share(part: pd.Series, whole: pd.Series) -> Mean:
    """Return the ratio of two means over the same images, in per cent, by the delta method."""
    ratio = part.mean() / whole.mean()
    spread = mean(part - ratio * whole).half / abs(whole.mean())
    return Mean(float(100 * ratio), float(100 * spread))


def transferred(gained: pd.DataFrame, method: str) -> pd.Series:
    """Return ``xc.metrics.transfer`` of a method's maps, the mean over makers, for each image.

    An image of which no maker's map gains has none.
    """
    found = gained[gained["method"] == method]
    parts = []
    for _, of_maker in found.groupby("network"):
        ordered = of_maker.sort_values(["judge", "image"])
        own, others = (
            ordered[ordered["seen"] == seen] for seen in ("its maker", "another network")
        )
        n = own["image"].nunique()
        judges = (torch.tensor(others[name].to_numpy()).reshape(-1, n) for name in "po")
        p, o = (torch.tensor(own[name].to_numpy()) for name in "po")
        parts.append(pd.Series(transfer(p, o, *judges).numpy(), own["image"]))
    return 100 * pd.concat(parts, axis=1).mean(axis=1).dropna()
