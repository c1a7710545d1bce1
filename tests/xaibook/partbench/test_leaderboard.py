"""The leaderboard: one row per method and task, from records."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from xaibook.partbench import intervention_board, leaderboard, standings
from xaibook.partbench.leaderboard import HEADINGS
from xaibook.partbench.measures import PARTS, REMOVALS

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
        for score in PARTS
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


def contrasts(**levels: list[float]) -> pd.DataFrame:
    """Methods whose paired contrast has a level for each of three networks, on forty pictures."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal(40)
    parts = [
        {"image": i, "seed": seed, "method": m, "kind": "floor" if m == "noise" else "method"}
        | {"task": task, "metric": score}
        | {"value": level + 0.2 * common[i] + 0.01 * rng.standard_normal()}
        for m, own in levels.items()
        for seed, level in enumerate(own)
        for i in range(40)
        for score in PARTS
        for task in (("both",) if score == "PC" else ("petal", "stem"))
    ]
    return pd.DataFrame(parts)


def test_places_are_shared_by_methods_that_cannot_be_told_apart() -> None:
    """By pairs: the pictures differ far more than the methods do, and that tells nothing."""
    table = contrasts(
        best=[0.5, 0.5, 0.5],
        near=[0.45, 0.45, 0.45],
        twin=[0.45, 0.45, 0.45],
        mixed=[0.1, 0.1, 0.47],
        noise=[0.6, 0.6, 0.6],
    )
    board = standings(table).set_index("method")
    assert board.index[0] == "noise"
    assert board["place"].to_dict() == {
        "noise": "",
        "best": "1",
        "near": "2=",
        "twin": "2=",
        "mixed": "2=",
    }
    wide = standings(table).set_index("method")
    petals = table[(table["method"] == "near") & (table["task"] == "petal")]
    share = petals[petals["metric"] == "RMA"].groupby("image")["value"].mean().mean()
    assert wide.loc["near", "RMA petal"] == pytest.approx(100 * share)


def interventions() -> pd.DataFrame:
    """A method that is always right, one that is so on half of the pictures, and a constant."""
    rows = [
        {"image": i, "seed": seed, "method": m, "metric": metric, "value": value}
        for i, seed in itertools.product(range(20), range(2))
        for m, value in (("half", float(i % 2)), ("right", 1.0), ("constant", 0.5))
        for metric in (*REMOVALS, "PI petal")
        if (m, metric) != ("constant", "SD")
    ]
    return pd.DataFrame(rows)


def written() -> list[str]:
    return [HEADINGS.get(name, name) for name in REMOVALS]


def test_methods_are_ranked_by_what_removals_say_of_them() -> None:
    board = intervention_board(interventions()).set_index("method")
    assert board.index.tolist() == ["right", "half", "constant"]
    assert (board["images"] == 20).all()
    assert (board["seeds"] == 2).all()
    always = board.loc["right", ["completeness", "overall", "± overall"]]
    assert always.tolist() == pytest.approx([100, 100, 0])
    assert board.loc["half", [*written(), "overall"]].tolist() == pytest.approx([50] * 7)
    expected = 196 * 0.5 / 20**0.5
    assert board.loc["half", "± overall"] == pytest.approx(expected, rel=0.1)
    assert board.loc["constant", "CSDC"] == 50
    assert board.loc["constant", ["single deletion", "overall"]].isna().all()


def test_the_order_of_the_records_changes_no_row_of_the_board() -> None:
    table = interventions()
    shuffled = table.sample(frac=1, random_state=0)
    columns = ["method", *written(), "completeness", "overall"]
    boards = [intervention_board(rows).sort_values("method")[columns] for rows in (table, shuffled)]
    pd.testing.assert_frame_equal(*(b.reset_index(drop=True) for b in boards))


def test_no_interventions_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no records"):
        intervention_board(interventions().iloc[:0])
