"""The leaderboard: every method by every score, with intervals, between floors and ceilings."""

from __future__ import annotations

import pandas as pd

from xaicore.evaluation import summarize

SCORES = ("PC", "RMA", "RRA", "pointing", "IoU", "IoU-AUC")
"""In the order of the columns; IoU-AUC is last, for peaky maps lose it whatever they show."""


def leaderboard(records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method and task, the best paired contrast first.

    Args:
        records: what ``part_benchmark`` returns.

    Returns:
        ``method``, ``kind``, ``task``, ``images``, the number of pictures scored, ``seeds``, and
        for each score its mean in per cent and, as ``± score``, the half-width of its 95 %
        interval over pictures. The paired contrast is that of both tasks, in both rows.

    Raises:
        ValueError: there are no records.
    """
    if records.empty:
        raise ValueError("there are no records: part_benchmark makes them")
    summary = summarize(records, by=("method", "kind", "task"))
    wide = summary.unstack("metric", sort=False)
    both = wide.xs("both", level="task")
    tasks = wide.drop(index="both", level="task")
    board = tasks.index.to_frame(index=False)
    pair = board.set_index(["method", "kind"]).index
    board["images"] = tasks["n", "RMA"].astype(int).to_numpy()
    board["seeds"] = records["seed"].nunique()
    for score in SCORES:
        source = both.loc[pair] if score == "PC" else tasks
        board[score] = source["mean", score].to_numpy()
        board[f"± {score}"] = source["half_width", score].to_numpy()
    return board.sort_values(["PC", "RMA"], ascending=False, kind="stable", ignore_index=True)
