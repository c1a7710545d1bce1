"""The studies of the chapter on interpretable gradients hold what the chapter says of them."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from studies import gradients_cifar, subjects, vebi
from studies import interpretable_gradients as studies
from xaibook.chapter import stored
from xaibook.cifar.network import resnet20
from xaicore.training.interpretable_gradients import InterpretableGradient


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A dozen flowers, and one network that has seen hardly any."""
    monkeypatch.setattr(subjects, "KEPT", tmp_path / "kept")
    for name, value in {"TEST": 12, "WATCHED": 8, "FIRST_COUNT": 64, "MORE_COUNT": 32}.items():
        monkeypatch.setattr(studies, name, value)
    monkeypatch.setattr(studies, "FIRST", replace(studies.FIRST, epochs=1))
    monkeypatch.setattr(studies, "MORE", replace(studies.MORE, epochs=3, batch_size=16))
    monkeypatch.setattr(studies, "SEEDS", (0,))
    for cached in (studies.pictures, studies.shown):
        cached.cache_clear()
    yield
    for cached in (studies.pictures, studies.shown):
        cached.cache_clear()


def test_every_objective_is_described(small):
    table = pd.concat(list(studies.networks(studies.VARIANTS)), ignore_index=True)
    assert (table.groupby("variant").size() == 12).all()
    assert set(table["variant"]) == set(studies.VARIANTS)
    assert table.notna().all(axis=None)
    assert table[["RMA", "accuracy", "insertion", "p"]].stack().between(0, 1).all()
    again = pd.concat(list(studies.networks({"plain": studies.VARIANTS["plain"]})))
    pd.testing.assert_frame_equal(again, table[table["variant"] == "plain"])


def test_averages_take_the_place_of_strides(small):
    table = pd.concat(list(studies.networks(studies.AVERAGED)), ignore_index=True)
    assert set(table["variant"]) == set(studies.AVERAGED)


def test_networks_learn_with_an_objective_from_the_first_step(small):
    table = pd.concat(list(studies.from_scratch()), ignore_index=True)
    assert set(table["variant"]) == set(studies.SCRATCH)
    assert table.notna().all(axis=None)
    plain, other = (studies.learnt(0, name).fc.weight for name in ("plain", "loss 1"))
    assert not torch.equal(plain, other)


def test_averaging_is_described_beside_the_gradient_it_averages(small, monkeypatch):
    monkeypatch.setattr(studies, "AVERAGING", {"plain": studies.AVERAGING["plain"]})
    table = pd.concat(list(studies.averaging()), ignore_index=True)
    assert set(table["variant"]) == {"plain"}
    assert table.notna().all(axis=None)
    plain = next(studies.from_scratch())
    shared = ["image", "RMA", "insertion", "roughness"]
    pd.testing.assert_frame_equal(table[shared], plain[shared])


def test_the_stored_networks_are_those_of_the_first_seed(small, monkeypatch, tmp_path):
    monkeypatch.setattr(studies, "stored_weights", lambda name: tmp_path / f"{name}.pt")
    studies.store_taught()
    kept = torch.load(tmp_path / "log-probability.pt")["fc.weight"]
    torch.testing.assert_close(kept, studies.learnt(0, "log-probability 1").fc.weight.half())


def test_alignment_is_watched_from_the_start_to_the_end(small):
    table = pd.concat(list(studies.training({"plain": studies.VARIANTS["plain"]})))
    assert (table.groupby("look").size() == 8).all()
    assert table["look"].nunique() == studies.LOOKS


def test_maps_of_several_networks_are_scored(small, monkeypatch):
    monkeypatch.setattr(studies, "EXPLAINED", ("plain", "loss 1"))
    table = pd.concat(list(studies.explanations()), ignore_index=True)
    found = table.groupby("variant")["method"].agg(set)
    assert found["loss 1"] == set(studies.EXPLAINERS)
    assert found["plain"] == found["loss 1"] | {"smoothgrad"}
    assert table.notna().all(axis=None)


def test_a_balanced_error_is_worth_the_cosine_s_share(small):
    net = studies.learnt(0).eval()
    images, targets = studies.pictures("validation", 8)
    both = studies.both_gradients(net, images, targets, "logit")
    pair = both.plain.flatten(1), both.guided.flatten(1)
    for error in ("histogram", "mae", "mse"):
        objective = studies._balanced(studies.balanced(error, 0.1), net)
        assert isinstance(objective, InterpretableGradient)
        worth = objective.weight * studies.ERRORS[error](*pair).mean()
        torch.testing.assert_close(worth, 0.1 * studies.ERRORS["cosine"](*pair).mean())


@pytest.fixture
def unreal(monkeypatch, tmp_path):
    """Noise in the place of CIFAR-10, a network that has learnt nothing, two objectives."""
    for module in (subjects, vebi):
        monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    generator = torch.Generator().manual_seed(0)
    noise = {n: torch.rand(n, 3, 32, 32, generator=generator) for n in (16, 8)}
    split = {"train": (noise[16], torch.arange(16) % 10), "test": (noise[8], torch.arange(8))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = resnet20()
    chosen = {n: gradients_cifar.OBJECTIVES[n] for n in ("plain", "log-probability 16")}
    for name, value in {
        "pictures": split.__getitem__,
        "pretrained": lambda: net,
        "OBJECTIVES": chosen,
        "EXPLAINED": tuple(chosen),
        "SEEDS": (0, 1),
        "MORE": replace(gradients_cifar.MORE, batch_size=8),
    }.items():
        monkeypatch.setattr(gradients_cifar, name, value)
    return net


def test_copies_of_a_pretrained_network_are_described_beside_it(unreal):
    before = {name: value.clone() for name, value in unreal.state_dict().items()}
    table = pd.concat(list(gradients_cifar.networks()), ignore_index=True)
    found = table.groupby("variant")["network"].agg(set)
    assert found["pretrained"] == {"cifar10"}
    assert found["plain"] == found["log-probability 16"] == {"cifar10-seed0", "cifar10-seed1"}
    assert (table.groupby(["variant", "network"]).size() == 8).all()
    assert table.notna().all(axis=None)
    assert "RMA" not in table
    assert table.groupby(["variant", "network"])["p"].mean().nunique() == 5
    for name, value in unreal.state_dict().items():
        assert torch.equal(value, before[name])


def test_maps_of_copies_are_kept_and_come_back_the_same(unreal, monkeypatch):
    shown = {("grad-cam", "ablation-cam"): 8, ("grad-cam++",): 4}
    monkeypatch.setattr(gradients_cifar, "SHOWN", shown)
    table = pd.concat(list(gradients_cifar.explanations()), ignore_index=True)
    counts = table.groupby(["method", "variant", "network"]).size()
    assert (counts[["grad-cam", "ablation-cam"]] == 8).all()
    assert (counts["grad-cam++"] == 4).all()
    assert len(counts) == 12
    assert table.notna().all(axis=None)
    monkeypatch.setattr(gradients_cifar, "learnt", None)
    again = pd.concat(list(gradients_cifar.explanations()), ignore_index=True)
    pd.testing.assert_frame_equal(again, table)


def test_roughness_and_grid_are_what_they_say():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    flat, board = torch.ones(1, 1, 8, 8), board.float()[None, None]
    assert studies.roughness(flat) == studies.grid(flat) == 0
    assert studies.roughness(board) == 112 / 64
    assert studies.grid(board) == 1


def test_what_is_stored_says_what_the_chapter_says():
    """Aligning the log-probability moves gradients onto the flower; aligning the loss, off it."""
    table, source = stored("gradients.networks")
    assert source["images"] == "500 rendered flowers, test"
    assert set(table["variant"]) == set(studies.VARIANTS)
    assert table.groupby("variant")["network"].nunique().eq(3).all()
    means = table.groupby("variant")[["RMA", "cosine of log-probability"]].mean()
    for column in means:
        assert means.loc["log-probability 1", column] > means.loc["plain", column]
        assert means.loc["loss 1", column] < means.loc["plain", column]


def test_what_is_stored_of_real_pictures_says_what_the_chapter_says():
    """The sign decides about roughness as on flowers; the strongest weight ruins the network."""
    table, source = stored("gradients.cifar10-networks")
    assert source["images"].startswith("500 test images of CIFAR-10")
    counts = table.groupby("variant")[["network", "image"]].nunique()
    assert set(counts.index) == {"pretrained", *gradients_cifar.OBJECTIVES}
    assert (counts["image"] == 500).all()
    assert (counts["network"].drop("pretrained") == 3).all()
    means = table.groupby("variant").mean(numeric_only=True)
    rough = means["roughness"]
    assert rough["loss 1"] > rough["plain"] > rough["log-probability 1"]
    assert rough["log-probability 1"] > rough["log-probability 4"]
    assert means.loc["log-probability 16", "accuracy"] < 0.2


def test_stored_maps_of_real_pictures_are_whole():
    table, _ = stored("gradients.cifar10-explanations")
    assert table.notna().all(axis=None)
    found = table.groupby(["variant", "method", "network"])["image"].nunique()
    for names, images in gradients_cifar.SHOWN.items():
        for name in names:
            assert (found.xs(name, level="method") == images).all()
    assert len(found) == len(gradients_cifar.EXPLAINED) * len(studies.EXPLAINERS) * 3
