"""The leaderboards: every method by every score, with intervals, between floors and ceilings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibook.partbench.measures import BOTH, PARTS, REMOVALS
from xaibook.partbench.parts import completeness, overall
from xaibook.partbench.reliance import TWINS
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


def standings(records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method, floor and ceiling, by paired contrast, with the place of each.

    A method is above another if its paired contrast is larger on the same pictures and networks:
    the 95 % interval of the mean difference over pictures lies above zero, and the difference is
    positive for every network. The place of a method is one more than the number of methods above
    it, so that those which cannot be told apart share one; floors and ceilings have no place.

    Args:
        records: what ``part_benchmark`` returns.

    Returns:
        ``place``, a string, ``method``, ``kind``, ``images``, and in per cent ``PC``, ``± PC``,
        and of both tasks ``RMA``, ``pointing`` and ``IoU`` with their half-widths: ``RMA petal``,
        ``± RMA petal`` and so on.

    Raises:
        ValueError: there are no records.
    """
    board = leaderboard(records)
    keys = ["method", "kind"]
    rows = board.drop_duplicates("method")[[*keys, "images", "PC", "± PC"]].set_index(keys)
    for score in SHOWN:
        for task in TWINS:
            own = board[board["task"] == task].set_index(keys)
            for column in (score, f"± {score}"):
                rows[f"{column} {task}"] = own[column]
    rows = rows.reset_index()
    places = _places(records[(records["kind"] == "method") & (records["metric"] == "PC")])
    rows.insert(0, "place", rows["method"].map(places).fillna("").astype(str))
    return rows


def _places(contrast: pd.DataFrame) -> dict[str, str]:
    """Return the place of each method: one more than the number of those that are above it."""
    wide = contrast.pivot(index=["image", "seed"], columns="method", values="value")
    above = {
        method: 1 + sum(_is_above(wide[other] - wide[method]) for other in wide if other != method)
        for method in wide
    }
    shared = pd.Series(above).duplicated(keep=False)
    return {method: f"{place}{'=' if shared[method] else ''}" for method, place in above.items()}


def _is_above(difference: pd.Series) -> bool:
    """Whether differences of pictures and seeds are surely positive, and so for every seed."""
    known = difference.dropna()
    per_image = known.groupby("image").mean()
    return bool(
        len(per_image) > 1
        and (known.groupby("seed").mean() > 0).all()
        and per_image.mean() > STANDARD_ERRORS * per_image.sem()
    )


SHOWN = ("RMA", "pointing", "IoU")
"""What stands beside the paired contrast in the standings."""

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
