"""The stored records of the part-mask benchmark: whole, with identities, and what they say."""

import numpy as np
import pytest
import torch

from studies import vebi
from xaibook.chapter import stored
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench import TWINS, intervene, intervention_board, leaderboard, protocol
from xaibook.partbench.measures import PARTS, REMOVALS
from xaicore.attribution import METHODS
from xaicore.evaluation.tables import paired_difference

BLIND = ["noise", "centre", "edges", "colour", "silhouette"]
KNOWN = {*METHODS, "vebi", "vebi-strided", "vebi-random"} - vebi.ATTENTION - {*vebi.FLOORS}


@pytest.fixture(scope="module")
def benchmark():
    return stored("vebi.benchmark")


@pytest.fixture(scope="module")
def interventions():
    return stored("vebi.interventions")


def test_every_method_is_scored_by_every_score_on_both_tasks(benchmark):
    table, source = benchmark
    found = set(table.loc[table["kind"] == "method", "method"])
    assert KNOWN - {*vebi.EVERY} <= found <= KNOWN
    assert {"opti-cam", "score-cam"} <= found
    assert set(table["metric"]) == set(PARTS)
    assert table["value"].between(-1, 1).all()
    identity = ["image", "seed", "task", "method", "metric"]
    assert not table.duplicated(identity).any()
    rows = table.groupby(["method", "seed"]).agg(n=("image", "nunique"), size=("image", "size"))
    assert (rows["size"] == rows["n"] * (2 * 5 + 1)).all()
    assert (rows.groupby("method").size() == 3).all()
    assert source["every"] == vebi.EVERY
    images = leaderboard(table).groupby("method")["images"].min()
    costly = [name for name, every in vebi.EVERY.items() if every > 3]
    assert (images.drop(index=costly) >= 500).all()
    assert images["rise"] >= 300


def test_what_ignores_the_network_has_no_paired_contrast(benchmark):
    table, _ = benchmark
    contrast = table[table["metric"] == "PC"].set_index("method")["value"]
    assert (contrast.loc[[*BLIND, "fake-cam"]].abs() < 1e-9).all()
    assert (contrast.loc[BLIND] == 0).all()


def test_identities_hold_on_every_picture(benchmark):
    """With global average pooling XGrad-CAM and HiRes-CAM are Grad-CAM; the mask is its own map."""
    table, _ = benchmark
    table = table[table["metric"].isin(["RMA", "RRA"])]
    keys = ["image", "seed", "task", "metric"]
    wide = table.pivot(index=keys, columns="method", values="value")
    for twin in ("xgrad-cam", "hires-cam"):
        np.testing.assert_allclose(wide[twin], wide["grad-cam"], atol=1e-3)
    assert (wide.xs("RRA", level="metric")["mask"] == 1).all()


def test_relevant_channels_cover_the_part_better_than_random_ones(benchmark):
    found = paired_difference(benchmark[0], "vebi", "vebi-random", by=["task"], within=["seed"])
    for task, score in [("both", "PC"), *((task, "RMA") for task in TWINS)]:
        row = found.loc[(task, score)]
        assert row["mean"] > row["half_width"]


def test_interventions_are_whole_and_lie_between_floors_and_ceiling(interventions):
    table, source = interventions
    assert source["every"] == vebi.ASKED_EVERY
    found, every = set(table["method"]), KNOWN | {*vebi.FLOORS, "removals"}
    assert every - {*vebi.ASKED_EVERY} <= found <= every
    assert not table.duplicated(["image", "seed", "method", "metric"]).any()
    shares = table["metric"].str.startswith("PI ")
    assert table.loc[~shares, "value"].between(0, 1).all()
    assert table.loc[shares, "value"].between(-1.001, 1.001).all()
    blind = table[table["method"].isin(vebi.FLOORS) & (table["metric"] == "TS")]
    assert (blind["value"] == 0).all()
    board = intervention_board(table).set_index("method")
    assert board["overall"].idxmax() == "removals"
    costly = [name for name, every in vebi.ASKED_EVERY.items() if every > 2]
    assert (board.drop(index=[*vebi.ASKED_EVERY])["images"] >= 600).all()
    assert (board.drop(index=costly)["images"] >= 300).all()


def test_what_removing_costs_is_attributed_to_the_parts():
    """Spread over its pixels, each part gets the logit that its removal costs, sign and all."""
    classifier = flower_classifier("variety", 0)
    asked = intervene(classifier, Flowers("variety", "test", 4))
    explain = vebi.Removals(classifier, asked)
    given = explain.raw(asked.images, asked.targets)
    cost = asked.whole[:, None] - asked.without_parts
    torch.testing.assert_close(given.sum((1, 2, 3)), cost.sum(1), atol=1e-3, rtol=1e-3)
    records = protocol(explain, asked, asked)
    means = records.groupby("metric")["value"].mean()
    assert set(REMOVALS) - {"TS"} <= set(means.index)
    assert means["SD"] > 0.7


def test_the_costly_come_last_and_every_method_has_a_turn():
    turns = [name for name, _ in vebi.in_turn(vebi.methods("variety"))]
    assert set(turns) == KNOWN
    assert set(turns[-len(vebi.EVERY) :]) == set(vebi.EVERY)
