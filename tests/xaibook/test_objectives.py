"""Differences between objectives keep their signs, their units and their number of networks."""

import numpy as np
import pandas as pd
import pytest

from xaibook import objectives


@pytest.fixture
def records() -> pd.DataFrame:
    """Four pictures under two networks and two objectives; the second is better by 0.1."""
    rows = [
        {"network": n, "image": i, "variant": v, "accuracy": 0.5 + 0.1 * k + 0.01 * i}
        for n in ("a", "b")
        for i in range(4)
        for k, v in enumerate(("plain", "loss 1"))
    ]
    return pd.DataFrame(rows).assign(**{"cosine of loss": lambda t: t["accuracy"] - 0.9})


def test_ratios_are_ratios_and_shares_are_percent():
    assert objectives.number(-17.84, "cosine of logit", "+") == "−0.178"
    assert objectives.number(94.31, "accuracy") == "94.3"
    assert objectives.number(-0.04, "AD", "+") == "−0.0"


def test_a_table_of_differences_begins_with_what_they_are_taken_from(records):
    measures = ["accuracy", "cosine of loss"]
    means, changes = objectives.differences(records, measures)
    table = objectives.changed(["loss 1"], means, changes, measures)
    assert list(table.index) == ["cross-entropy alone", "loss, λ = 1"]
    assert table.loc["cross-entropy alone", "accuracy (%)"] == "51.5"
    assert table.loc["loss, λ = 1", "accuracy (%)"].startswith("+10.0")
    assert table.loc["loss, λ = 1", "cosine, loss"].startswith("+0.100")
    assert objectives.agreeing(records, "loss 1", "accuracy") == 2


@pytest.mark.parametrize(("metric", "sign"), [("AG", 1), ("AD", -1)])
def test_sure_is_what_every_network_says(metric, sign):
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 40))
    rows = [
        {"network": n, "image": i, "method": v, "explainer": "grad-cam", "metric": metric}
        | {"value": noise[n, i] * (v == "plain") + 0.1 * (v != "plain")}
        for n in range(2)
        for i in range(40)
        for v in ("plain", "loss 1")
    ]
    scores = pd.DataFrame(rows)
    found = objectives.by_objective(scores, ["loss 1"])["loss 1"]
    assert objectives.sure(found, scores, "loss 1").tolist() == [sign]
    other = scores["network"].eq(1) & scores["method"].ne("plain")
    scores.loc[other, "value"] = -0.05
    found = objectives.by_objective(scores, ["loss 1"])["loss 1"]
    assert objectives.sure(found, scores, "loss 1").tolist() == [0]
