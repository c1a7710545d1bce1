"""The stored records hold what the chapters say of them, and one command makes them again."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import records
import xaicore as xc
from studies import benchmark, gradients_seeds, steadiness, subjects, transfer, transformers
from studies.boxes import CROPPED, Cropped, in_crop
from xaibook.chapter import RECORDS, stored
from xaibook.photographs import PHOTOGRAPHS
from xaibook.travel import NOBODY
from xaibook.variants import sliced_boxes
from xaibook.wide import to_records
from xaicore import attribution as methods
from xaicore.attribution import METHODS
from xaicore.evaluation.dataset import Truth
from xaicore.metrics import MEASURES

ATTENTION = {"raw-attention", "rollout", "tibav"}
FLOORS = ["noise", "centre", "edges"]
FLOWERS = [*records.FLOWERS]
SETS = [*FLOWERS, *records.NETWORKS]


@pytest.mark.parametrize("name", SETS)
def test_stored_records_are_whole(name):
    table, source = stored(f"benchmark.{name}")
    images = 300 if name in FLOWERS else 200
    found = table.groupby("method")["image"].agg(["nunique", "size"])
    assert (found == images).all(axis=None)
    missing = set(METHODS) - ATTENTION - set(found.index)
    assert missing <= {"cam", "extremal-perturbation", "colour"}
    assert set(found.index) >= set(FLOORS)
    assert table[["p", "o"]].notna().all(axis=None)
    followed = table if name in FLOWERS else table[~table["method"].isin(FLOORS)]
    assert followed[["insertion", "deletion"]].notna().all(axis=None)
    assert table.groupby("image")["p"].nunique().eq(1).all()
    local = {"IoU-AUC", "RMA", "RRA"} if name in FLOWERS else {"OM", "LE", "F1", "SP", "EP", "SM"}
    assert local == set(MEASURES) & set(table) - {"insertion", "deletion"}
    assert {"command", "network", "images", "settings", "precision", "commit"} <= set(source)


@pytest.mark.parametrize("name", SETS)
def test_identities_hold_on_every_stored_image(name):
    """AD · AG = 0 and AI = 1 where AG > 0; on GAP networks XGrad- and HiRes-CAM are Grad-CAM."""
    table, _ = stored(f"benchmark.{name}")
    wide = to_records(table).pivot(index=["method", "image"], columns="metric", values="value")
    assert (wide["AD"] * wide["AG"] == 0).all()
    assert (wide["AI"] == (wide["AG"] > 0)).all()
    if name != "squeezenet1_0":  # without global average pooling they differ
        for twin in ("xgrad-cam", "hires-cam"):
            np.testing.assert_allclose(wide.loc[twin, "AD"], wide.loc["grad-cam", "AD"], atol=1e-3)


def test_boxes_are_where_they_were_drawn():
    """A white rectangle of a wide and of a tall picture, squashed and cropped, fills its box."""
    squashed = torch.zeros(3, 224, 224)
    squashed[:, 56:168, 28:112] = 1
    shares = torch.tensor([[28, 56, 112, 168]]) / 224
    ratios = torch.tensor([1.5, 0.75])
    shown = Cropped([(squashed, 0)] * 2, ratios)
    for i, ratio in enumerate(ratios):
        box = in_crop(shares, ratio)
        mask = sliced_boxes([box], torch.zeros(1, 1, 224, 224), swapped=False, clipped=True)
        assert ((shown[i][0][0] > 0.5) != mask[0, 0].bool()).float().mean() < 0.01
    assert in_crop(shares, ratios[0])[0, 0] == 28 / 224 * 336 - 56  # it begins beyond the crop


def test_stored_boxes_are_whole_and_drawn_from_the_same_corners():
    table, _ = stored("benchmark.drawn-boxes")
    lone = table[table["method"] == "fake-cam"]
    assert lone.groupby(["network", "boxes", "part"])["image"].nunique().eq(300).all()
    np.testing.assert_allclose(lone["EP"], lone["area"], atol=1e-4)  # of a map that is the same
    areas = lone[lone["part"] == "B"].pivot(index="image", columns=["network", "boxes"])["area"]
    assert {*lone["network"]} == {*CROPPED}
    for network in CROPPED:
        same = areas[network]
        np.testing.assert_allclose(same["right"], same["swapped"], atol=1e-6)
        np.testing.assert_allclose(same["not clipped"], same["as released"], atol=1e-6)
        assert (same["not clipped"] <= same["right"] + 1e-6).all()


def test_the_records_of_a_transformer_are_whole():
    table, source = stored("opti_cam.transformers")
    counted = table.groupby("method")["image"].nunique()
    assert set(counted.index) == {*transformers.METHODS}
    assert counted.nunique() == 1
    assert counted.iloc[0] >= 100
    assert (table.groupby("method").size() == counted).all()
    assert table[["p", "o", "OM", "LE", "F1", "SP", "EP", "SM"]].notna().all(axis=None)
    assert table.groupby("image")["p"].nunique().eq(1).all()
    assert {"settings", "precision", "images", "commit"} <= set(source)


@pytest.mark.parametrize(
    ("name", "variants"), [("objectives", 6), ("iterations", 2), ("unnormalised", 2)]
)
def test_options_are_compared_on_the_same_photographs(name, variants):
    table, source = stored(f"opti_cam.photographs-{name}")
    study = records.STUDIES[f"opti_cam.photographs-{name}"]
    (count,) = study.photographs.values()
    of_each = table.groupby([c for c in ("method", "variant") if c in table])["image"]
    assert of_each.nunique().eq(count).all()
    assert of_each.size().eq(count).all()
    assert table["variant"].nunique() == variants
    assert table[["p", "o"]].notna().all(axis=None)
    if name != "unnormalised":
        assert table.groupby("image")["p"].agg(np.ptp).max() < 2e-6
    assert {"network", "images", "commit", "seconds"} <= set(source)


def test_robustness_is_measured_on_as_many_photographs_as_is_said():
    table, source = stored("opti_cam.photographs-robustness")
    for name, count in steadiness.PHOTOGRAPHED.items():
        measured = table.dropna(subset=name).groupby("method")["image"]
        assert measured.nunique().eq(count).all()
        assert measured.max().eq(count - 1).all()
    assert source["measured on"] == steadiness.PHOTOGRAPHED


def test_every_objective_taught_every_seed():
    table, _ = stored("gradients.seeds")
    assert {*table["variant"]} == {*gradients_seeds.OBJECTIVES}
    counts = table.groupby(["variant", "network", "method"])["image"].nunique()
    assert counts.eq(gradients_seeds.EXPLAINED).all()
    assert table["network"].nunique() == len(gradients_seeds.SEEDS)


def test_networks_are_compared_on_the_same_photographs():
    names = ("photographs", "networks", "transformers")
    found = pd.concat([stored(f"opti_cam.{name}")[0] for name in names])
    rivals = found[found["method"].isin(["fake-cam", "grad-cam", "grad-cam++", "opti-cam"])]
    shown = rivals.groupby(["network", "method"])["image"].agg(["min", "max", "nunique"])
    assert len(shown) == 4 * 6
    assert (shown["min"] == 0).all()
    assert (shown["max"] == shown["nunique"] - 1).all()
    assert (shown["nunique"] >= 100).all()
    true = rivals.drop_duplicates(["network", "image"]).groupby("image")["target"]
    assert true.nunique().eq(1).all()


def test_flower_networks_judge_each_others_maps():
    table, source = stored("opti_cam.transfer")
    makers = {*records.FLOWERS, NOBODY}
    assert set(table["network"]) == makers
    assert set(table["judge"]) == {*records.FLOWERS}
    counted = table.groupby(["network", "judge", "method"])["image"].agg(["nunique", "size"])
    assert (counted == 300).all(axis=None)
    assert table.groupby(["judge", "image"])["p"].nunique().eq(1).all()
    assert {"judges", "network", "images", "commit"} <= set(source)


def test_networks_of_other_architectures_judge_maps_of_photographs():
    table, source = stored("opti_cam.photographs-transfer")
    assert set(table["network"]) == {*transfer.OPTIMISED, NOBODY}
    assert set(table["judge"]) == {*transfer.JUDGES}
    counted = table.groupby(["network", "judge", "method"])["image"].agg(["nunique", "size"])
    assert (counted == 300).all(axis=None)
    assert set(source["judges"].split(", ")) == {*transfer.JUDGES}


def test_what_a_maker_says_of_its_maps_is_what_the_benchmark_says():
    table, _ = stored("opti_cam.transfer")
    own = table[(table["network"] == table["judge"]) & (table["method"] == "grad-cam")]
    for name in records.FLOWERS:
        there = stored(f"benchmark.{name}")[0].query("method == 'grad-cam'").sort_values("image")
        here = own[own["judge"] == name].sort_values("image")
        np.testing.assert_allclose(here["o"], there["o"], atol=2e-3)


def test_the_floor_and_the_truth_of_flowers_are_stored_in_full():
    """A map that hides one pixel moves a probability by less than eight digits hold."""
    table, _ = stored("opti_cam.floors")
    assert (table.groupby(["network", "method"])["image"].nunique() == 300).all()
    assert not (table["p"] == table["o"]).any()
    truth = table[table["method"] == "mask"]
    assert truth["RRA"].min() > 0.99
    assert truth["RMA"].mean() > 0.9


def test_stored_attention_is_of_photographs_that_may_be_shown():
    table, _ = stored("background.attention")
    assert set(table["photograph"]) == set(PHOTOGRAPHS)
    of_map = table.groupby(["photograph", "method"])
    assert (of_map.size() == 14 * 14).all()
    assert of_map["o"].nunique().eq(1).all()
    attention = table["method"].isin(["raw-attention", "rollout"])
    assert table.loc[attention, "value"].between(0, 1).all()
    assert (of_map["value"].sum()[:, "raw-attention"] <= 1).all()


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(subjects, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(benchmark, "CHEAP", {"grad-cam": methods.GradCAM})
    heavy = {"rise": partial(methods.RISE, masks=4), "guided-backprop": methods.GuidedBackprop}
    return replace(benchmark.flower_benchmark(0, 3), heavy=heavy)


@pytest.fixture
def tokens(monkeypatch, tmp_path):
    """A small random transformer that looks at three flowers, in whose corner the class is."""
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(subjects, "KEPT", tmp_path / "kept")
    for name in ("METHODS", "FOLLOWED"):
        chosen = {"tibav": methods.TIBAV, "rollout": methods.AttentionRollout}
        kept = chosen if name == "METHODS" else {"rollout": chosen["rollout"]}
        monkeypatch.setattr(transformers, name, kept)
    torch.manual_seed(0)
    size = {"img_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 9}
    net = timm.create_model("vit_tiny_patch16_224", **size).eval()
    classifier = xc.Classifier(net, layer=net.blocks[-1].norm1)
    truth = Truth(boxes=[torch.tensor([[0.0, 0.0, 32.0, 32.0]])] * 3)
    return replace(subjects.flowers(0, 3), name="tokens", classifier=classifier, truth=truth)


def test_a_transformer_is_masked_placed_and_followed(tokens, monkeypatch):
    (table,) = transformers.transformer(tokens)
    assert table.groupby("method").size().to_dict() == {"rollout": 3, "tibav": 3}
    assert table[["p", "o", "LE", "SP", "seconds"]].notna().all(axis=None)
    assert (table["seconds"] > 0).all()
    known = table[["insertion", "deletion"]].notna().all(axis=1)
    assert (known == table["method"].eq("rollout")).all()

    def fail(*_: object) -> None:
        raise AssertionError("explained again")

    monkeypatch.setattr(methods.TIBAV, "_raw", fail)
    (again,) = transformers.transformer(tokens)
    pd.testing.assert_frame_equal(again, table)


def test_a_benchmark_makes_one_row_per_image_and_map(small):
    table = small.records()
    assert list(table["method"].unique()) == ["grad-cam", "rise", "guided-backprop", *FLOORS]
    assert (table.groupby("method").size() == 3).all()
    assert (table.loc[table["method"].isin(["rise", "grad-cam"]), "seconds"] > 0).all()
    assert small.facts()["settings"] == {"rise": {"masks": 4}}


def test_maps_that_were_made_are_kept(small, monkeypatch):
    first = small.records().drop(columns="seconds")

    def fail(*_: object) -> None:
        raise AssertionError("explained again")

    monkeypatch.setattr(methods.RISE, "_raw", fail)
    monkeypatch.setattr(methods.GradCAM, "_map", fail)
    pd.testing.assert_frame_equal(small.records().drop(columns="seconds"), first)


def test_a_run_that_was_stopped_goes_on(small, monkeypatch):
    """Maps on disk are a beginning: more images of the same settings are added to them."""
    whole = small.maps("grad-cam", methods.GradCAM)["maps"]
    (subjects.KEPT / "flowers-seed0.grad-cam.pt").unlink()
    fewer = replace(small, subject=subjects.flowers(0, 2))
    begun = fewer.maps("grad-cam", methods.GradCAM)
    added = small.maps("grad-cam", methods.GradCAM)
    torch.testing.assert_close(added["maps"][:2], begun["maps"], atol=0, rtol=0)
    torch.testing.assert_close(added["maps"], whole)
    assert len(added["seconds"]) == 3
    assert len(fewer.maps("grad-cam", methods.GradCAM)["maps"]) == 2


def test_other_settings_start_anew(small):
    few = small.maps("rise", partial(methods.RISE, masks=4))["maps"]
    more = small.maps("rise", partial(methods.RISE, masks=8))["maps"]
    assert len(few) == len(more) == 3
    assert not torch.allclose(few, more)


def test_the_command_stores_table_and_provenance(small, monkeypatch, tmp_path):
    monkeypatch.setattr(records, "RECORDS", tmp_path)
    records.store("benchmark.small", ".csv.gz", small.records, small.facts())
    table = pd.read_csv(tmp_path / "benchmark.small.csv.gz")
    source = json.loads((tmp_path / "benchmark.small.provenance.json").read_text())
    assert len(table) == 6 * 3
    assert source["network"] == "the book's own, seed 0"
    assert source["torch"]
    assert tmp_path != RECORDS
