"""The leaderboards: every method by every score, with intervals, between floors and ceilings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibook.partbench.measures import BOTH, PARTS, REMOVALS
from xaibook.partbench.parts import completeness, overall
from xaicore.evaluation.tables import STANDARD_ERRORS, summarize


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
    for score, row in PARTS.items():
        source = both.loc[pair] if row.needs == BOTH else tasks
        board[score] = source["mean", score].to_numpy()
        board[f"± {score}"] = source["half_width", score].to_numpy()
    return board.sort_values(["PC", "RMA"], ascending=False, kind="stable", ignore_index=True)


HEADINGS = {
    "DC": "deletion",
    "D": "distractibility",
    "SD": "single deletion",
    "TS": "target sensitivity",
}
"""How the board writes the measures of the interventions, where it writes them out."""

WEIGHTS = np.array([overall(completeness(*one[:4]), one[4], one[5]) for one in np.eye(6)])
"""What each of the measures counts in the overall score, which is linear in them."""


def intervention_board(records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, the best overall score first.

    Args:
        records: those of ``protocol``, with the columns ``method`` and ``seed``.

    Returns:
        ``method``, ``images``, the number of pictures scored, ``seeds``, and in per cent the mean
        of each measure, the completeness and the overall score, with the half-width of its 95 %
        interval over pictures. Values of one picture under several seeds are averaged first.

    Raises:
        ValueError: there are no records.
    """
    if records.empty:
        raise ValueError("there are no records: protocol makes them")
    measured = records[records["metric"].isin(REMOVALS)]
    keys = ["method", "image", "metric"]
    per_image = 100 * measured.groupby(keys, sort=False)["value"].mean().unstack("metric")
    rows = [
        {"method": method, **_with_interval(table[list(REMOVALS)].to_numpy())}
        for method, table in per_image.groupby(level="method", sort=False)
    ]
    board = pd.DataFrame(rows)
    seeds = measured.groupby("method")["seed"].nunique()
    board.insert(2, "seeds", seeds.loc[board["method"]].to_numpy())
    return board.sort_values("overall", ascending=False, kind="stable", ignore_index=True)


def _with_interval(values: np.ndarray) -> dict[str, float]:
    """Return the means of ``(pictures, measures)``, NaN where undefined, and what is made of them.

    A measure that is defined on no picture, as single deletion is for a constant map, is NaN, and
    so is the overall score. The interval is that of the score linearised in its means.
    """
    known = ~np.isnan(values)
    count, defined = len(values), known.sum(0)
    sums: np.ndarray = np.where(known, values, 0).sum(0)
    means = np.divide(sums, defined, out=np.full(len(sums), np.nan), where=defined > 0)
    moved = np.where(known, values - means, 0) @ (WEIGHTS * count / np.maximum(defined, 1))
    return {
        "images": count,
        **dict(zip([HEADINGS.get(name, name) for name in REMOVALS], means, strict=True)),
        "completeness": completeness(*means[:4]),
        "overall": float(WEIGHTS @ means),
        "± overall": STANDARD_ERRORS * moved.std(ddof=1) / count**0.5,
    }
