"""Ablation: the right channels fall silent, and the random ones are as many."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import models

from tests.networks import NEUTRAL, Counter, classifier, pictures, state_of
from xaicore.classifier import Classifier
from xaicore.interpretation import Layer, RelevantFeatures, ablation_curves

TRUE = torch.tensor([0, 1, 2, 3, 4, 0, 1])
LAYERS = (Layer("2", 8), Layer("5", 6))


def dataset() -> TensorDataset:
    return TensorDataset(pictures(7), TRUE)


def features(layers: tuple[Layer, ...] = LAYERS, classes: int = 5) -> RelevantFeatures:
    generator = torch.Generator().manual_seed(0)
    m = sum(layer.channels for layer in layers)
    W = torch.rand(m, classes, generator=generator, dtype=torch.double)
    return RelevantFeatures(W.where(W > 0.5, 0), layers, 10.0, "predicted")


def test_the_k_strongest_channels_of_the_true_class_are_silent() -> None:
    """Against the network run image by image, with channels set to zero by hand."""
    model, chosen = classifier(), features()
    records = ablation_curves(model, dataset(), chosen, most=4, draws=0)
    table = records.set_index(["image", "k"])
    lower, upper = model.net[:3], model.net[3:6]
    for i, target in enumerate(TRUE.tolist()):
        for k in range(5):
            silent = chosen.of_class(target)[:k]
            with torch.no_grad():
                first = lower((pictures(7)[i : i + 1] - model.mean) / model.std)
                first[:, [row for row in silent if row < 8]] = 0
                second = upper(first)
                second[:, [row - 8 for row in silent if row >= 8]] = 0
                logits = model.net[6:](second)[0]
            assert table.loc[(i, k), "p"] == pytest.approx(
                logits.softmax(0)[target].item(), abs=1e-6
            )
            assert table.loc[(i, k), "correct"] == (logits.argmax() == target)


def test_a_class_with_few_features_loses_all_of_its_and_no_more() -> None:
    chosen = features()
    chosen.W[:, 0] = 0
    chosen.W[9, 0] = 1
    records = ablation_curves(classifier(), dataset(), chosen, most=3, draws=2)
    own = records[records["target"] == 0].set_index(["features", "draw", "image"])
    for kind, draw in (("relevant", 0), ("random", 0), ("random", 1)):
        values = own.loc[(kind, draw, 0)].set_index("k")["p"]
        assert values[1] == values[2] == values[3]
        assert values[0] == own.loc[("relevant", 0, 0)].set_index("k")["p"][0]


def test_a_channel_that_alone_carries_a_class_is_told_from_random_ones() -> None:
    """Class c is the mean of colour c; the other nine channels of the layer reach no logit."""
    conv = nn.Conv2d(3, 12, 1, bias=False)
    head = nn.Linear(12, 3, bias=False)
    with torch.no_grad():
        conv.weight.fill_(1)
        conv.weight[:3, :, 0, 0] = torch.eye(3)
        head.weight.zero_()
        head.weight[:, :3] = 10 * torch.eye(3)
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    model = Classifier(net, layer="1", **NEUTRAL)
    images = torch.full((9, 3, 8, 8), 0.2)
    targets = torch.arange(9) % 3
    images[torch.arange(9), targets] = 0.9
    W = torch.zeros(12, 3, dtype=torch.double)
    W[:3] = torch.eye(3, dtype=torch.double)
    chosen = RelevantFeatures(W, (Layer("1", 12),), 10.0, "true")
    data = TensorDataset(images, targets)
    records = ablation_curves(model, data, chosen, most=1, draws=30)
    means = records.groupby(["features", "k"])["correct"].mean()
    assert means["relevant", 0] == means["random", 0] == 1
    assert means["relevant", 1] == 0
    assert means["random", 1] > 0.7


def test_records_have_one_row_per_image_choice_and_k_and_the_stated_cost() -> None:
    counter = Counter(classifier().net).eval()
    layers = tuple(Layer(f"net.{layer.name}", layer.channels) for layer in LAYERS)
    records = ablation_curves(Classifier(counter), dataset(), features(layers), most=2, draws=3)
    assert len(records) == 7 * 4 * 3
    assert counter.forwards == 7 * (1 + 4 * 2)
    assert records["image"].nunique() == 7
    assert set(records["features"]) == {"relevant", "random"}


def test_steps_leave_out_what_lies_between() -> None:
    model, chosen = classifier(), features()
    every, ends = (ablation_curves(model, dataset(), chosen, 4, 2, step=step) for step in (1, 4))
    expected = every[every["k"].isin([0, 4])].reset_index(drop=True)
    assert ends.equals(expected)


def test_batches_and_seeds() -> None:
    model, chosen = classifier().double(), features()
    data = TensorDataset(pictures(7).double(), TRUE)
    whole, parts, again, other = (
        ablation_curves(model, data, chosen, 2, 2, seed, batch).sort_values(
            ["features", "draw", "k", "image"], ignore_index=True
        )
        for seed, batch in ((0, 7), (0, 3), (0, 7), (5, 7))
    )
    assert whole["p"].to_numpy() == pytest.approx(parts["p"].to_numpy(), abs=1e-12)
    assert whole.equals(again)
    assert not whole["p"].equals(other["p"])


def test_a_later_run_of_a_module_and_units_without_positions_can_be_silenced() -> None:
    torch.manual_seed(0)
    resnet = Classifier(models.resnet18(weights=None, num_classes=5).eval())
    twice = features((Layer("layer4.1.relu:1", 512),))
    data = TensorDataset(pictures(7, 32, 32), TRUE)
    records = ablation_curves(resnet, data, twice, most=1, draws=0)
    by = records.pivot(index="image", columns="k", values="p")
    assert (by[0] != by[1]).any()
    net = nn.Sequential(*classifier().net, nn.ReLU(), nn.Linear(5, 4)).eval()
    units = features((Layer("9", 5),), classes=4)
    few = TensorDataset(pictures(4), TRUE[:4])
    assert len(ablation_curves(Classifier(net), few, units, most=1, draws=0)) == 8


def test_the_model_is_left_as_it_was() -> None:
    model = classifier(inplace=True)
    before, random = state_of(model), torch.get_rng_state()
    ablation_curves(model, dataset(), features(), most=2, draws=1)
    assert state_of(model) == before
    assert torch.equal(torch.get_rng_state(), random)


def test_bad_settings_are_refused() -> None:
    model, chosen = classifier(), features()
    for wrong in ({"most": 0}, {"most": 2, "step": 3}, {"step": 0}, {"draws": -1}):
        with pytest.raises(ValueError, match="1 <= step <= most and draws >= 0, got"):
            ablation_curves(model, dataset(), chosen, **wrong)
    with pytest.raises(ValueError, match="class 4 is out of range"):
        ablation_curves(model, dataset(), features(classes=4))
    empty = TensorDataset(pictures(0), TRUE[:0])
    with pytest.raises(ValueError, match="there is nothing to ablate"):
        ablation_curves(model, empty, chosen)
