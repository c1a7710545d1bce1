"""The study of what a step buys, on a few flowers."""

import pandas as pd
import pytest
import torch

import xaicore as xc
from studies import cone, subjects, transfer


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Two networks, three flowers, few steps."""
    monkeypatch.setattr(subjects, "KEPT", tmp_path)
    monkeypatch.setattr(transfer, "SEEDS", (0, 1))
    monkeypatch.setattr(cone, "STEPS", {"paper": (2,), "cone": (1, 2)})
    return subjects.flowers(0, 3)


def test_every_map_is_judged_by_every_network(few):
    table = pd.concat(cone.frontier(few), ignore_index=True)
    assert (table.groupby(["network", "judge", "preset", "steps"]).size() == 3).all()
    assert set(table["judge"]) == {"flowers-seed0", "flowers-seed1"}
    own = table.query("judge == 'flowers-seed0' and preset == 'cone' and steps == '2'")
    images, targets = few.dataset.images, few.dataset.targets
    explain = xc.OptiCAM(few.classifier, 2, preset="cone")
    maps = explain(images, targets)
    logits = few.classifier(images * maps).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(own["objective"].to_numpy()), logits.detach())
    share = xc.metrics.relevance_mass_accuracy(maps, few.truth.masks)
    torch.testing.assert_close(torch.tensor(own["RMA"].to_numpy()).to(share), share)


def test_maps_are_kept_by_preset_and_steps(few):
    for preset in ("paper", "cone"):
        cone.kept_maps(few, preset, 2)
    kept = {file.name for file in subjects.KEPT.iterdir()}
    assert kept == {"flowers-seed0.opti-cam paper 2.pt", "flowers-seed0.opti-cam cone 2.pt"}
