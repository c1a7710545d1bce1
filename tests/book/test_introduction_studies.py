"""The studies of the introduction measure what they say, and the records hold what it quotes."""

import pandas as pd
import pytest
import torch

from studies import wrong_reason
from xaibook.chapter import stored
from xaibook.flowers.cheating import marked_classifier
from xaicore.attribution import GradCAM

PACKAGED = {"mark 100 %": "cheat", "control": "control"}


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Few pictures, one method, and the packaged networks."""
    monkeypatch.setattr("studies.vebi.KEPT", tmp_path)
    for name, count in (("TEST", 12), ("BATCH", 6), ("MAPPED", 12)):
        monkeypatch.setattr(wrong_reason, name, count)
    monkeypatch.setattr(wrong_reason, "METHODS", {"grad-cam": GradCAM})
    monkeypatch.setattr(wrong_reason, "SEEDS", (0, 1, 2))
    packaged = {kind: marked_classifier(which) for kind, which in PACKAGED.items()}
    monkeypatch.setattr(wrong_reason, "network", lambda name, _: packaged[name])
    kinds = {name: wrong_reason.KINDS[name] for name in PACKAGED}
    monkeypatch.setattr(wrong_reason, "KINDS", kinds)


def test_answers_and_maps_are_those_of_the_packaged_networks(few):
    answers = pd.concat(wrong_reason.networks())
    assert set(answers["seed"]) == {0, 1, 2}
    cheat = answers[answers["network"] == "mark 100 %"]
    assert (cheat["agrees"] == cheat["target"]).mean() > 0.9
    assert (cheat["exchanged 1"] == (cheat["target"] + 1) % 3).mean() > 0.8
    maps = pd.concat(wrong_reason.maps())
    assert maps.groupby(["network", "seed", "method"])["image"].nunique().eq(12).all()
    mean = maps.groupby(["network", "method"]).mean(numeric_only=True)
    assert mean.loc[("mark 100 %", "mask of the flower"), "AD"] > 20
    assert mean.loc[("control", "mask of the flower"), "AD"] < 5
    assert mean.loc[("control", "mask of the mark"), "mark"] == pytest.approx(100)
    assert mean.loc[("control", "everything"), "mark"] == pytest.approx(100 * 36 / 64**2, abs=1e-3)


def test_log_odds_are_those_of_the_probability(few):
    classifier = wrong_reason.network("control", 0).double()
    shown = wrong_reason.cues.pictures("test", 4)
    odds = wrong_reason.log_odds(classifier, shown.images.double(), shown.targets)
    with torch.no_grad():
        p = classifier(shown.images.double()).softmax(1).gather(1, shown.targets[:, None])[:, 0]
    torch.testing.assert_close(odds, p.logit(), rtol=1e-6, atol=1e-6)


def test_every_network_saw_every_conflict():
    table, _ = stored("introduction.shape_bias")
    assert table.groupby("network").size().eq(480).all()
    assert table["network"].nunique() == 5
    assert (table["shape"] + table["texture"]).max() == 1


def test_the_same_pictures_are_explained_for_all_networks():
    table, _ = stored("introduction.maps")
    images = table.groupby(["network", "seed", "method"])["image"].agg(["nunique", "size"])
    assert images["nunique"].eq(images["size"]).all()
    assert images["size"].nunique() == 1
    assert table["seed"].nunique() >= 3
