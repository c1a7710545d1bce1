"""The studies of the options and the robustness of Opti-CAM, on some flowers: two seconds."""

from functools import partial

import pandas as pd
import pytest
import torch

from studies import opti_cam, steadiness, subjects
from studies.subjects import flowers
from xaicore.attribution import GradCAM, OptiCAM
from xaicore.metrics import aopc, max_sensitivity


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(subjects, "KEPT", tmp_path)


@pytest.fixture(scope="module")
def subject():
    return flowers(0, 3)


def all_of(parts):
    return pd.concat(list(parts), ignore_index=True)


def test_steps_are_those_that_are_asked_for(subject):
    table = all_of(opti_cam.steps_taken(subject, (1, 4)))
    assert table["variant"].to_list() == ["1"] * 3 + ["4"] * 3
    reached = table.groupby("variant")["objective"].mean()
    assert reached["4"] > reached["1"]


def test_a_network_is_fed_both_ways_by_every_method(subject):
    quick = {"grad-cam": GradCAM, "opti-cam": partial(OptiCAM, iterations=2)}
    table = all_of(opti_cam.unnormalised(subject, quick))
    counts = table.groupby(["method", "variant"]).size()
    assert len(counts) == 3 * 2
    assert (counts == 3).all()
    p = table.groupby(["image", "variant"])["p"].agg(["nunique", "first"])
    assert (p["nunique"] == 1).all()
    assert not p["first"].unstack("variant").eval("normalised == unnormalised").any()
    usual = table.query("method == 'grad-cam' and variant == 'normalised'")
    alone = all_of(opti_cam.comparison(subject, {"grad-cam": GradCAM})).query(
        "method == 'grad-cam'"
    )
    assert usual["o"].to_numpy() == pytest.approx(alone["o"].to_numpy(), abs=1e-6)


def test_dear_measures_are_taken_of_the_first_pictures_alone(subject, monkeypatch):
    monkeypatch.setattr(steadiness, "QUICK", {"grad-cam": GradCAM})
    monkeypatch.setattr(steadiness, "PHOTOGRAPHED", {"AOPC": 3, "ADCC": 2, "MS": 1})
    table = all_of(steadiness.photographed(subject))
    assert table[["AOPC", "ADCC", "MS"]].notna().sum().to_list() == [3, 2, 1]
    explain = GradCAM(subject.classifier)
    images = torch.stack([image for image, _ in subject.dataset])
    targets = torch.tensor([target for _, target in subject.dataset])
    order = aopc(subject.classifier, images, explain(images, targets), targets)
    assert table["AOPC"].to_numpy() == pytest.approx(order.numpy(), abs=1e-6)
    radius = 0.2 * float(subject.classifier.std.mean())
    moved = max_sensitivity(explain, images[:1], targets[:1], radius)
    assert table["MS"][0] == pytest.approx(float(moved[0]), abs=1e-6)


def test_on_flowers_all_are_measured_with_noise_on_pixels(subject, monkeypatch):
    monkeypatch.setattr(steadiness, "RIVALS", {"grad-cam": GradCAM})
    table = all_of(steadiness.robustness(subject))
    assert table[["AOPC", "ADCC", "MS"]].notna().all(axis=None)
    image, target = subject.dataset[0]
    moved = max_sensitivity(GradCAM(subject.classifier), image[None], target, 0.2)
    assert table["MS"][0] == pytest.approx(float(moved[0]), abs=1e-6)
