"""The studies of the introduction measure what they say."""

import pandas as pd
import pytest

from studies import wrong_reason
from xaibook import cheats
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
    maps = pd.concat(wrong_reason.maps())
    assert maps.groupby(["network", "seed", "method"])["image"].nunique().eq(12).all()
    mean = maps.groupby(["network", "method"]).mean(numeric_only=True)
    assert mean.loc[("cheat", "mask of the flower"), "AD"] > 20
    assert mean.loc[("control", "mask of the flower"), "AD"] < 5
    assert mean.loc[("control", "mask of the mark"), "mark"] == pytest.approx(100)
    assert mean.loc[("control", "everything"), "mark"] == pytest.approx(100 * 36 / 64**2, abs=1e-3)
