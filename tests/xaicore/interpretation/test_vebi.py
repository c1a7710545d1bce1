"""VEBI keeps the contract of every explainer, and shows what it says it shows."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision import models

from tests.networks import GradientCounter, classifier, pictures, state_of
from xaicore.attribution.tokens import to_grid
from xaicore.classifier import Classifier
from xaicore.interpretation import (
    VEBI,
    Layer,
    RelevantFeatures,
    Responses,
    Unit,
    back_project,
    identify,
    responses,
)
from xaicore.masking import normalize

LAYERS = (Layer("2", 8), Layer("5", 6))


def features(
    classes: int = 5, seed: int = 0, layers: tuple[Layer, ...] = LAYERS
) -> RelevantFeatures:
    """Weights of the small network's two ReLUs, three of four of them zero."""
    generator = torch.Generator().manual_seed(seed)
    m = sum(layer.channels for layer in layers)
    W = torch.rand(m, classes, generator=generator, dtype=torch.double)
    return RelevantFeatures(W.where(W > 0.6, 0), layers, 10.0, "predicted")


def explainer(model: Classifier | None = None, **options: object) -> VEBI:
    return VEBI(model or classifier(), features(), **options)  # type: ignore[arg-type]


def headless(prefix: str = "") -> Classifier:
    """The small network, its linear layer written as a convolution of one pixel."""
    *body, _, linear = classifier().net
    head = nn.Conv2d(linear.in_features, linear.out_features, 1)
    with torch.no_grad():
        head.weight.copy_(linear.weight[..., None, None])
        head.bias.copy_(linear.bias)
    return Classifier(nn.Sequential(*body, head, nn.Flatten()).eval(), layer="5")


def test_the_strongest_features_of_the_class_are_shown_each_as_its_back_projection() -> None:
    """Literally: scores, their order, the map of each, and the maximum of all."""
    model, images = classifier().double(), pictures(4).double()
    targets = torch.tensor([1, 4, 0, 2])
    explain = VEBI(model, features())
    shown, combined = explain.decoupled(images, targets), explain(images, targets)
    x = Responses.join(responses(model, TensorDataset(images, targets))).x
    for i, target in enumerate(targets.tolist()):
        w = features().W[:, target]
        s = {row: float(x[i, row] * w[row] / w.sum()) for row in range(14)}
        best = sorted((row for row in s if s[row] > 0), key=lambda row: -s[row])[:3]
        units = [Unit("2", row) if row < 8 else Unit("5", row - 8) for row in best]
        assert list(shown.units[i]) == units
        assert shown.scores[i].tolist() == pytest.approx([s[row] for row in best])
        maps = []
        for unit in units:
            g = back_project(model, images[i : i + 1], unit.layer, unit.channel)
            maps.append(normalize((g.clamp(min=0) ** 2).sum(1, keepdim=True).sqrt())[0, 0])
        torch.testing.assert_close(shown.maps[i], torch.stack(maps))
        torch.testing.assert_close(combined[i, 0], torch.stack(maps).amax(0))


def test_fewer_features_than_asked_for_leave_empty_maps() -> None:
    W = torch.zeros(14, 5, dtype=torch.double)
    W[9, 0], W[3, 1], W[12, 1] = 1, 2, 3
    explain = VEBI(classifier(), RelevantFeatures(W, LAYERS, 10.0, "true"))
    shown = explain.decoupled(pictures(3), torch.tensor([0, 1, 2]))
    assert [len(units) for units in shown.units] == [1, 2, 0]
    assert shown.maps.flatten(2).any(2).tolist() == [
        [True, False, False],
        [True, True, False],
        [False, False, False],
    ]
    assert (explain(pictures(1), 2) == 0).all()


def test_the_class_decides_which_features_are_shown_and_nothing_else() -> None:
    """Two classes with one column of weights have one map."""
    same = features()
    same.W[:, 3] = same.W[:, 0]
    explain = VEBI(classifier(), same)
    assert torch.equal(explain(pictures(), 0), explain(pictures(), 3))
    assert not torch.equal(explain(pictures(), 0), explain(pictures(), 1))


@settings(max_examples=8, deadline=None)
@given(
    count=st.integers(0, 3),
    height=st.integers(8, 21),
    width=st.integers(8, 21),
    seed=st.integers(0, 99),
)
def test_saliency_has_the_promised_shape_and_range(
    count: int, height: int, width: int, seed: int
) -> None:
    for channels in (6, 8):  # which may look like a height
        halved = torch.empty(1, channels, -(-height // 2), -(-width // 2))
        assume(to_grid(halved, (height, width)) is halved)
    explain, images = explainer(), pictures(count, height, width, seed)
    maps, shown = explain(images), explain.decoupled(images)
    assert maps.shape == (count, 1, height, width)
    assert shown.maps.shape == (count, 3, height, width)
    assert shown.scores.shape == (count, 3)
    assert len(shown.units) == len(shown.targets) == count
    assert not maps.requires_grad
    assert not shown.maps.requires_grad
    for found in (maps, shown.maps):
        assert ((found >= 0) & (found <= 1)).all()


def test_a_batch_gives_what_its_images_give() -> None:
    explain, images = explainer(classifier().double()), pictures(5).double()
    singles = torch.cat([explain(image[None]) for image in images])
    torch.testing.assert_close(explain(images), singles, rtol=0, atol=1e-9)


def test_a_batch_gives_the_bits_of_its_images_where_the_network_does() -> None:
    model, images = headless(), pictures(5)
    explain = VEBI(model, features())
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        singles = torch.cat([explain(image[None]) for image in images])
        for count in range(2, 6):
            assert torch.equal(explain(images[:count]), singles[:count])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_changes_nothing(mode: type) -> None:
    model, images = classifier(inplace=True), pictures()
    expected = explainer(classifier(inplace=True))(images)
    model.requires_grad_(False)
    with mode():
        found = explainer(model)(images.clone())
    assert torch.equal(found, expected)


def test_the_model_and_the_random_state_are_left_as_they_were() -> None:
    model = classifier(inplace=True)
    before, random = state_of(model), torch.get_rng_state()
    explain = explainer(model)
    expected = explain(pictures())
    explain(pictures(2, seed=5), 1)
    assert torch.equal(explain(pictures()), expected)
    assert state_of(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    pickle.loads(pickle.dumps(model))


def test_an_exception_inside_the_model_leaves_no_trace() -> None:
    explain = explainer()

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    handle = explain.classifier.net[6].register_forward_pre_hook(fail)
    before = state_of(explain.classifier)
    with pytest.raises(RuntimeError, match="boom"):
        explain(pictures())
    assert state_of(explain.classifier) == before
    handle.remove()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_it_runs_in_the_networks_precision(dtype: torch.dtype) -> None:
    expected, model = explainer()(pictures(), 1), classifier().to(dtype)
    found = explainer(model)(pictures(), 1)
    assert found.isfinite().all()
    assert (found - expected).abs().mean() < 0.15


def test_the_cost_is_one_forward_and_one_backward_for_each_feature() -> None:
    counter = GradientCounter(classifier().net).eval()
    model = Classifier(counter, layer="net.5")
    layers = tuple(Layer(f"net.{layer.name}", layer.channels) for layer in LAYERS)
    VEBI(model, features(layers=layers), count=2)(pictures(3), 1)
    assert counter.forwards == 3
    assert counter.backwards == 3 * 2


def test_it_explains_a_residual_network_whose_modules_run_twice() -> None:
    torch.manual_seed(0)
    model = Classifier(models.resnet18(weights=None, num_classes=4).eval())
    images = pictures(6, 40, 33)
    data = TensorDataset(images, torch.zeros(6, dtype=torch.long))
    chosen = identify(responses(model, data, ["layer1.0.relu", "layer2.1.relu"]), labels="true")
    assert any(unit.layer.endswith(":1") for unit in chosen.units)
    before: list[object] = state_of(model)
    assert VEBI(model, chosen)(images, 0).shape == (6, 1, 40, 33)
    assert state_of(model) == before


def test_it_explains_the_convolutions_of_a_vgg() -> None:
    torch.manual_seed(0)
    body = models.vgg.make_layers([8, "M", 12, "M", 16, 16, "M"])
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)).eval()
    model, images = Classifier(net, layer="0"), pictures(6, 32, 40)
    data = TensorDataset(images, torch.arange(6) % 3)
    chosen = identify(responses(model, data), labels="true")
    assert [layer.channels for layer in chosen.layers] == [8, 12, 16, 16]
    maps = VEBI(model, chosen)(images, 0)
    assert maps.shape == (6, 1, 32, 40)
    assert maps.flatten(1).amax(1).tolist() == pytest.approx([1] * 6)


def test_bad_input_is_refused() -> None:
    model = classifier()
    with pytest.raises(TypeError, match=r"features must be the RelevantFeatures .* not Tensor"):
        VEBI(model, torch.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count must be at least 1"):
        explainer(count=0)
    with pytest.raises(ValueError, match="class 9 is out of range"):
        explainer()(pictures(), 9)
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]"):
        explainer()(pictures() * 2)
    wrong: list[Tensor | RelevantFeatures] = [
        features(classes=4),
        features(layers=(Layer("2", 8), Layer("5", 7))),
        features(layers=(Layer("2", 8), Layer("5:1", 6))),
    ]
    for other in wrong:
        with pytest.raises(ValueError, match="identified for another network"):
            VEBI(model, other)(pictures())  # type: ignore[arg-type]
