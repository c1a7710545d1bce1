"""The studies of the CA-Stream chapter hold what the chapter says of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import xaicore as xc
from studies import ca_stream, cifar, subjects
from xaibook.chapter import stored
from xaibook.data import find_data
from xaicore.training.ca_stream import RECIPES

CAMS = {"grad-cam", "grad-cam++"}
SEEDS = {f"flowers-seed{seed}" for seed in range(3)}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Six flowers, and streams that have seen hardly any."""
    monkeypatch.setattr(subjects, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(ca_stream, "TRAINING", 96)
    quick = replace(RECIPES["quick"], epochs=2, batch_size=32)
    monkeypatch.setattr(ca_stream, "RECIPES", {"quick": quick})
    return subjects.flowers(0, 6)


def test_pooling_is_compared_row_by_row(small, monkeypatch):
    variants = {
        name: ca_stream.VARIANTS[name] for name in ("CA", "S2", "uniform", "class-specific")
    }
    monkeypatch.setattr(ca_stream, "VARIANTS", variants)
    parts = list(ca_stream.pooling(small))
    table = pd.concat(parts, ignore_index=True)
    found = table.groupby("variant")["method"].agg(set)
    assert found["GAP"] == {"none", *CAMS}
    assert found["CA"] == found["S2"] == found["class-specific"] == found["GAP"] | {"raw-attention"}
    assert (table.groupby(["variant", "method"]).size() == 6).all()
    alone, maps = (part for _, part in table.groupby(table["method"] != "none"))
    assert alone[["p", "accuracy"]].notna().all(axis=None)
    streams = alone[alone["variant"] != "GAP"]
    assert streams["initial entropy"].between(0, 1 + 1e-6).all()
    even = streams[streams["variant"] == "uniform"]
    np.testing.assert_allclose(even[["entropy", "length"]], 1, atol=1e-5)
    np.testing.assert_allclose(even["room"], 1 - 1 / 64, atol=1e-6)
    assert maps[["p", "o", "RMA"]].notna().all(axis=None)
    again = pd.concat(list(ca_stream.pooling(small)), ignore_index=True)
    pd.testing.assert_frame_equal(again, table)


def test_dear_measures_are_taken_of_the_stream(small):
    table = pd.concat(list(ca_stream.curves(small)), ignore_index=True)
    assert set(table["variant"]) == {"CA"}
    maps = table[table["method"] != "none"]
    assert {*CAMS, "score-cam", "opti-cam"} < set(maps["method"])
    assert maps[["p", "o", "insertion", "deletion"]].notna().all(axis=None)


def test_streams_of_several_seeds_stand_beside_one_network(small):
    table = pd.concat(list(ca_stream.small(small)), ignore_index=True)
    assert set(table["network"]) == {f"{small.name}-seed{seed}" for seed in range(3)}
    assert (table.groupby(["network", "variant", "method"]).size() == 6).all()
    alone = table[table["method"] == "none"].groupby(["variant", "image"])["p"].nunique()
    assert (alone["GAP"] == 1).all()
    assert (alone["CA"] == 3).all()


def test_what_is_pooled_is_measured_behind_the_map_too(small):
    table = pd.concat(list(ca_stream.masked(small)), ignore_index=True)
    assert (table.groupby("variant").size() == 6).all()
    average = table[table["variant"] == "GAP"]
    images, targets = next(iter(torch.utils.data.DataLoader(small.dataset, batch_size=6)))
    with torch.no_grad():
        maps = ca_stream.untrained(small.classifier)[0].net
        features = maps.look(small.classifier.normalised(images)).features[-1]
    np.testing.assert_allclose(average["length"], features.mean((2, 3)).norm(dim=1), rtol=1e-4)
    saliency = xc.GradCAM(small.classifier)(images, targets)
    measured = xc.confidence(small.classifier, images, saliency, targets)
    for name, values in zip(("p", "o"), measured, strict=True):
        np.testing.assert_allclose(average[name], values, atol=1e-3)


def test_a_stopped_study_does_not_train_or_explain_again(small, monkeypatch):
    monkeypatch.setattr(ca_stream, "VARIANTS", {"CA": {}})
    list(ca_stream.pooling(small))

    def fail(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("xaicore.training.loop._Run.epoch", fail)
    monkeypatch.setattr("xaicore.attribution.GradCAM._map", fail)
    list(ca_stream.pooling(small))


def test_attention_is_looked_at_before_anything_is_learnt(small):
    table = pd.concat(list(ca_stream.beginning(small)), ignore_index=True)
    assert len(table) == 3 * 4 * 6
    assert list(table["tap"].unique()) == ["stem", "stages.0", "stages.1", "stages.2"]
    assert table["entropy"].between(0, 1 + 1e-6).all()
    assert table.groupby("seed")["entropy"].mean().nunique() == 3


def test_a_setting_is_chosen_on_validation_images(small, monkeypatch):
    monkeypatch.setattr(ca_stream, "RATES", (0.01,))
    table = pd.concat(list(ca_stream.validation(small)), ignore_index=True)
    assert list(table["learning rate"]) == [0.01]
    assert (table["images"] == 10).all()
    assert table["accuracy"].between(0, 1).all()


def test_streams_are_trained_apart_from_what_is_explained(small):
    training, validation = ca_stream._apart(small)
    seeds = [set(part.seeds) for part in (training, validation, small.dataset)]
    assert not (seeds[0] & seeds[1] | seeds[0] & seeds[2] | seeds[1] & seeds[2])


@pytest.fixture(scope="module")
def data():
    folder = find_data()
    if folder is None:
        pytest.skip("no real images: set XAICORE_DATA to their folder")
    return folder


def test_photographs_are_kept_apart(data):
    subject = subjects.photographs("resnet18", data, 300)
    training, validation = ca_stream._apart(subject)
    parts = [set(part.indices) for part in (subject.dataset, training, validation)]
    assert [len(part) for part in parts] == [300, 909, 91]
    assert len(set.union(*parts)) == 1300


def test_the_cifar_network_is_the_one_that_was_trained(data, monkeypatch):
    monkeypatch.setattr(cifar, "TRAINING", 20)
    subject = cifar.cifar10(data, 200)
    images, targets = next(iter(torch.utils.data.DataLoader(subject.dataset, batch_size=200)))
    assert torch.bincount(targets).tolist() == [20] * 10
    with torch.no_grad():
        share = (subject.classifier(images).argmax(1) == targets).double().mean()
    assert share > 0.7
    training, validation = ca_stream._apart(subject)
    assert len(training) + len(validation) == 20


# The stored records -------------------------------------------------------------------------------


def test_the_learning_rate_is_the_one_that_validation_images_chose():
    table, _ = stored("ca_stream.validation")
    assert set(table["network"]) == SEEDS
    tried = table.groupby("learning rate")["cross-entropy"].mean()
    assert tried.idxmin() == RECIPES["quick"].learning_rate
    assert set(tried.index) == set(ca_stream.RATES)


STORED = {
    "pooling": (SEEDS, {"GAP", *ca_stream.VARIANTS}),
    "curves": (SEEDS, {"CA"}),
    "cifar10": ({f"cifar10-seed{seed}" for seed in range(3)}, {"GAP", "CA", "sharp"}),
}


@pytest.mark.parametrize("study", STORED)
def test_stored_comparisons_are_whole(study):
    networks, variants = STORED[study]
    table, source = stored(f"ca_stream.{study}")
    counts = table.groupby(["network", "variant", "method"])["image"].agg(["nunique", "size"])
    assert (counts == 300).all(axis=None)
    found = table.groupby("variant")["network"].agg(set)
    assert all(of_variant == networks for of_variant in found)
    assert set(found.index) == variants
    assert {"command", "network", "images", "commit"} <= set(source)


def test_what_is_pooled_is_of_the_streams_that_were_compared():
    table, _ = stored("ca_stream.masked")
    keys = ["network", "variant", "image"]
    assert (table.groupby(keys[:2])["image"].agg(["nunique", "size"]) == 300).all(axis=None)
    compared = stored("ca_stream.pooling")[0].query("method == 'grad-cam'")
    both = table.merge(compared, on=keys, suffixes=("", " there"), validate="one_to_one")
    assert len(both) == len(table)
    for name in ("p", "o"):
        close = np.isclose(both[name], both[f"{name} there"], atol=2e-3)
        assert close.mean() > 0.99


def test_the_average_is_that_of_the_benchmark():
    """The same network, method and images, measured in two places."""
    here = stored("ca_stream.pooling")[0].query("variant == 'GAP' and method == 'grad-cam'")
    for seed in range(3):
        there = stored(f"benchmark.flowers-seed{seed}")[0].query("method == 'grad-cam'")
        ours = here[here["network"] == f"flowers-seed{seed}"]
        np.testing.assert_allclose(ours[["p", "o"]], there[["p", "o"]], atol=2e-3)


def test_attention_begins_nearly_even_in_networks_of_every_size():
    table, _ = stored("ca_stream.beginning")
    last = table.groupby("network")["stage"].transform("max") == table["stage"]
    assert set(table["network"]) == {*SEEDS, "cifar10", "resnet18", "resnet50"}
    assert (table[last].groupby("network")["entropy"].mean() > 0.95).all()
