"""The studies over many seeds and draws, and of removals, on a handful of pictures."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from studies import gradients_seeds, removals, streams_cifar, subjects
from studies import interpretable_gradients as gradients
from studies.subjects import flowers
from xaibook.cifar.network import resnet20


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(subjects, "KEPT", tmp_path)
    monkeypatch.setattr("studies.vebi.KEPT", tmp_path)


def test_every_seed_learns_with_every_objective(monkeypatch):
    monkeypatch.setattr(gradients, "FIRST_COUNT", 32)
    for cached in (gradients.pictures, gradients.shown):
        cached.cache_clear()
    monkeypatch.setattr(gradients, "TEST", 4)
    settings = {"SEEDS": (0, 1), "FIRST_COUNT": 32, "EXPLAINED": 3, "METHODS": ("grad-cam",)}
    settings |= {"RECIPE": replace(gradients_seeds.RECIPE, epochs=1)}
    for name, value in settings.items():
        monkeypatch.setattr(gradients_seeds, name, value)
    table = pd.concat(list(gradients_seeds.seeds()), ignore_index=True)
    counts = table.groupby(["network", "variant", "method"]).size()
    assert len(counts) == 2 * len(gradients_seeds.OBJECTIVES) * 2
    assert (counts == 3).all()
    assert table.groupby(["network", "variant"])["p"].nunique().gt(1).all()
    again = pd.concat(list(gradients_seeds.seeds()), ignore_index=True)  # from disk
    pd.testing.assert_frame_equal(again, table)
    for cached in (gradients.pictures, gradients.shown):
        cached.cache_clear()


def test_the_pages_strengths_are_those_that_are_trained():
    losses = [v.loss for name, v in gradients_seeds.OBJECTIVES.items() if name != "plain"]
    assert [(loss.target, loss.weight) for loss in losses] == [
        ("loss", 0.0075),
        ("log-probability", 0.0075),
        ("loss", 0.075),
    ]


@pytest.fixture
def seen(monkeypatch):
    """What a network that learnt nothing shows of random pictures."""
    torch.manual_seed(0)
    net = resnet20()
    monkeypatch.setattr(streams_cifar, "resnet20", lambda _: net)
    monkeypatch.setattr(subjects, "real_images", lambda: subjects.KEPT)
    monkeypatch.setattr(streams_cifar, "RECIPE", replace(streams_cifar.RECIPE, batch_size=8))
    stream = streams_cifar.untrained("CA", 0)
    with torch.no_grad():
        features = stream.net.look(torch.randn(24, 3, 32, 32)).features
    halves = [maps.half().numpy() for maps in features]
    return streams_cifar.Kept(halves, torch.arange(24) % 10)


def weights(stream):
    return torch.cat([p.detach().flatten() for p in stream.stream.parameters()])


def test_streams_that_learn_together_learn_what_each_learns_alone(seen, monkeypatch, tmp_path):
    monkeypatch.setattr(streams_cifar, "DRAWS", (0, 1))
    together = streams_cifar.learnt("CA", seen)
    assert not torch.equal(weights(together[0]), weights(together[1]))
    monkeypatch.setattr(streams_cifar, "DRAWS", (1,))
    monkeypatch.setattr(subjects, "KEPT", tmp_path / "alone")
    (alone,) = streams_cifar.learnt("CA", seen)
    torch.testing.assert_close(weights(alone), weights(together[1]), rtol=1e-4, atol=1e-6)


def test_the_even_control_needs_the_averages_alone(seen, monkeypatch):
    monkeypatch.setattr(streams_cifar, "DRAWS", (0,))
    (control,) = streams_cifar.learnt("uniform", streams_cifar.averaged(seen))
    pictures = seen[torch.arange(4)]
    whole = control.net.pool(pictures._replace(features=pictures.features[-1:]))
    assert np.ptp(whole.attention[0].detach().numpy()) == pytest.approx(0, abs=1e-7)
    means = streams_cifar.averaged(seen)[torch.arange(4)]
    torch.testing.assert_close(whole.query, control.net.pool(means).query, rtol=1e-3, atol=1e-4)


def test_each_method_is_deleted_under_each_removal(monkeypatch):
    chosen = {name: removals.SOME[name] for name in ("grad-cam", "noise")}
    monkeypatch.setattr(removals, "SOME", chosen)
    monkeypatch.setattr(removals, "SAMPLES", 4)
    table = pd.concat(list(removals.removals(flowers(0, 3))), ignore_index=True)
    assert table.groupby("method")["image"].apply(list).tolist() == [[0, 1, 2]] * 2
    curves = [f"{kind}, {name}" for kind in ("deletion", "insertion") for name in removals.REMOVED]
    assert table[[*curves, "infidelity"]].stack().between(0, 1).all()
    assert table["sensitivity-n"].between(-1, 1).all()
    noise = table[table["method"] == "noise"]
    assert (noise["deletion, linear"] > noise["deletion, black"]).all()
