"""The studies of whose evidence a map is, on a few flowers."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
from torch.utils.data import Subset

import xaicore as xc
from studies import adversary, subjects, transfer
from studies.scoring import batches
from tests.networks import pictures
from xaibook.travel import NOBODY, gains
from xaicore.attribution import FakeCAM, GradCAM, OptiCAM


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Two networks, three flowers, two steps."""
    monkeypatch.setattr(subjects, "KEPT", tmp_path)
    monkeypatch.setattr(transfer, "SEEDS", (0, 1))
    quick = partial(OptiCAM, iterations=2)
    monkeypatch.setattr(transfer, "OPTIMISED", dict.fromkeys(["flowers-seed0"], quick))
    return transfer.jury(subjects.flowers(0, 3))


def test_every_map_is_judged_by_every_network_as_confidence_says(few):
    parts = [part for maker in few for part in transfer.judged(maker)]
    table = pd.concat(parts, ignore_index=True)
    kinds = {"opti-cam", "channel mean", "grad-cam", "another's"}
    counted = table.groupby("network")["method"].agg(set)
    assert counted["flowers-seed0"] == counted["flowers-seed1"] == kinds
    assert counted[NOBODY] == {"fake-cam", "truth"}
    assert (table.groupby(["network", "method", "judge"]).size() == 3).all()
    maker, judge = (subject.classifier for subject in few)
    ((_, images, targets),) = batches(few[0])
    found = table.set_index(["network", "method", "judge"])
    for name, maps in {
        ("flowers-seed0", "grad-cam"): GradCAM(maker)(images, targets),
        ("flowers-seed0", "another's"): OptiCAM(maker, iterations=2)(images, targets).roll(-1, 0),
        (NOBODY, "fake-cam"): FakeCAM(maker)(images),
    }.items():
        p, o = xc.confidence(judge, images, maps, targets)
        rows = found.loc[(*name, "flowers-seed1")]
        torch.testing.assert_close(torch.tensor(rows["p"].to_numpy()), p, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(torch.tensor(rows["o"].to_numpy()), o, rtol=1e-4, atol=1e-6)
    assert set(gains(table)["seen"]) == {"its maker", "another network", "no maker"}


def test_what_was_judged_before_is_not_judged_again(few, monkeypatch):
    subject = few[0]
    first = transfer.probabilities(
        replace(subject, dataset=Subset(subject.dataset, range(2))), "whole"
    )
    more = transfer.probabilities(subject, "whole")
    assert more[:2].tolist() == first.tolist()
    assert len(more) == 3
    monkeypatch.setattr(type(subject.classifier), "forward", None)  # it cannot be asked any more
    assert transfer.probabilities(subject, "whole").tolist() == more.tolist()


def test_groups_of_channels_hold_each_channel_once():
    features = torch.rand(2, 10, 3, 3, dtype=torch.float64)
    mean = features.mean(1, keepdim=True)
    torch.testing.assert_close(adversary.pooled(features, 1), mean)
    torch.testing.assert_close(adversary.pooled(features, 5).mean(1, keepdim=True), mean)
    alone = adversary.pooled(features, 10)
    assert alone.sum((0, 2, 3)).sort().values.tolist() == pytest.approx(
        features.sum((0, 2, 3)).sort().values.tolist()
    )


def test_a_wrong_class_is_another_one():
    true = torch.arange(12)
    wrong = adversary.others(true, 12)
    assert (wrong != true).all()
    assert ((wrong >= 0) & (wrong < 12)).all()
    assert (adversary.others(torch.zeros(5, dtype=torch.long), 2) == 1).all()


def test_what_is_asked_is_told_with_its_rank(few):
    subject = few[0]
    shown = torch.ones(3, 1, 8, 8)
    shown[:, :, 0, 0] = 0
    wrong = torch.tensor([3, 4, 5])
    table = adversary.asked(subject, shown, wrong, "wrong class")
    logits = subject.classifier(torch.stack([subject.dataset[i][0] for i in range(3)]))
    ranks = [(row > row[c]).sum().item() for row, c in zip(logits, wrong, strict=True)]
    assert table["above p"].tolist() == ranks
    assert table["target"].tolist() == wrong.tolist()
    p = subject.classifier.probability(logits, wrong)
    assert table["p"].tolist() == pytest.approx(p.tolist(), rel=1e-4)


def test_a_forgetful_network_answers_otherwise(few):
    trained = few[0].classifier
    forgot = adversary.forgetful(trained)
    images = pictures(2, 64, 64)
    assert (forgot(images) - trained(images)).abs().max() > 0.1
    kept = dict(forgot.net.stem.state_dict())
    assert set(kept) == set(trained.net.stem.state_dict())
