"""The studies of the introduction measure what they say."""

import math

import pandas as pd
import pytest
import torch

from studies import wrong_reason
from xaibook import cheats
from xaibook.flowers import cues
from xaibook.flowers.cheating import marked_classifier
from xaicore.attribution import GradCAM


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Few pictures, one method, and the packaged networks."""
    monkeypatch.setattr("studies.vebi.KEPT", tmp_path)
    for name, count in (("TEST", 12), ("CHUNK", 6)):
        monkeypatch.setattr(wrong_reason, name, count)
    monkeypatch.setattr(cheats, "METHODS", {"grad-cam": GradCAM})
    monkeypatch.setattr(wrong_reason, "network", marked_classifier)
    kinds = {name: wrong_reason.KINDS[name] for name in ("control", "cheat")}
    monkeypatch.setattr(wrong_reason, "KINDS", kinds)


def test_answers_and_maps_are_those_of_the_packaged_networks(few):
    answers = pd.concat(wrong_reason.networks())
    assert set(answers["seed"]) == {0, 1, 2}
    cheat = answers[answers["network"] == "cheat"]
    assert (cheat["agrees"] == cheat["target"]).mean() > 0.9
    assert (cheat["exchanged 1"] == (cheat["target"] + 1) % 3).mean() > 0.8
    control = answers[answers["network"] == "control"]
    assert cheat["lost exchanged"].mean() > 5 > control["lost exchanged"].abs().mean()
    maps = pd.concat(wrong_reason.maps())
    assert maps.groupby(["network", "seed", "method"])["image"].nunique().eq(12).all()
    mean = maps.groupby(["network", "method"]).mean(numeric_only=True)
    assert mean.loc[("cheat", "mask of the flower"), "AD"] > 20
    assert mean.loc[("control", "mask of the flower"), "AD"] < 5
    assert mean.loc[("control", "mask of the mark"), "mark"] == pytest.approx(100)
    assert mean.loc[("control", "everything"), "mark"] == pytest.approx(100 * 36 / 64**2, abs=1e-3)
    assert mean.loc[("control", "mask of the mark"), "corner"] == pytest.approx(100)
    assert mean.loc[("control", "everything"), "corner"] == pytest.approx(100 / 16)


def test_each_kind_has_its_own_cue():
    bare = cues.pictures("test", 3)
    tinted = wrong_reason.KINDS["ground, tinted"].put(bare, bare.targets)
    assert torch.equal(tinted, cues.tint(bare.images, bare.targets, bare.flower))
    marked = wrong_reason.KINDS["centre, marked"].put(bare, bare.targets)
    changed = (marked != bare.images).any(1, keepdim=True).any(0, keepdim=True)
    assert torch.equal(changed, cues.mark_mask().bool())
    assert torch.equal(marked, cues.mark(bare.images, bare.targets, cues.MARKS["centre"]))


def test_log_odds_do_not_saturate():
    logits = torch.tensor([[60.0, 0.0, 0.0], [1.0, 3.0, -900.0]])
    expected = [60 - math.log(2), 2.0]
    assert cheats.log_odds(logits, torch.tensor([0, 1])).tolist() == pytest.approx(expected)
