"""The leaderboard: one row per method and task, from records."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from xaicore.partbench import leaderboard
from xaicore.partbench.leaderboard import SCORES

LEVEL = {"good": 0.8, "noise": 0.1}


def records() -> pd.DataFrame:
    """Two methods, two seeds, ten pictures; a method's scores lie around its level."""
    rng = np.random.default_rng(0)
    rows = [
        {"image": i, "seed": seed, "method": m, "kind": kind, "task": task, "metric": score}
        | {"value": LEVEL[m] + 0.05 * rng.standard_normal()}
        for i, seed, (m, kind) in itertools.product(
            range(10), range(2), (("noise", "floor"), ("good", "method"))
        )
        for score in SCORES
        for task in (("both",) if score == "PC" else ("petal", "stem"))
    ]
    return pd.DataFrame(rows)


def test_methods_are_ranked_with_means_and_intervals_over_pictures() -> None:
    table, board = records(), leaderboard(records())
    assert (
        board[["method", "kind"]].to_numpy().tolist()
        == [["good", "method"]] * 2 + [["noise", "floor"]] * 2
    )
    assert (board["images"] == 10).all()
    assert (board["seeds"] == 2).all()
    for row in board.itertuples():
        own = table[(table["method"] == row.method) & (table["task"] == row.task)]
        per_image = own[own["metric"] == "RMA"].groupby("image")["value"].mean()
        mean = board.loc[row.Index, "RMA"]
        assert mean == pytest.approx(100 * per_image.mean())
        half = board.loc[row.Index, "± RMA"]
        assert half == pytest.approx(196 * per_image.std() / 10**0.5)
    contrast = table[(table["metric"] == "PC") & (table["method"] == "good")]["value"].mean()
    assert board["PC"].tolist()[:2] == pytest.approx([100 * contrast] * 2)
    assert not board.isna().any().any()


def test_no_records_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no records"):
        leaderboard(records().iloc[:0])
