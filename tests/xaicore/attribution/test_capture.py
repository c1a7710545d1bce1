"""The capture is exact and leaves no trace, whatever the caller's modes are."""

from __future__ import annotations

import contextlib
import pickle

import pytest
import torch
from captum._utils.gradient import compute_layer_gradients_and_eval
from torch import nn
from torchvision import models

from tests.networks import classifier, pictures, state_of
from xaicore.attribution.capture import capture, frozen, watched
from xaicore.classifier import Classifier

CASES = {
    "plain": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def reference(model: Classifier, images: torch.Tensor, target: int) -> tuple[torch.Tensor, ...]:
    images = images.contiguous(memory_format=torch.channels_last)  # as the capture does
    gradient, features = compute_layer_gradients_and_eval(model, model.layer, images, target)
    return features[0].detach(), gradient[0].detach()


@pytest.mark.parametrize("mode", CASES)
@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
@pytest.mark.parametrize("layer", ["4", "5"], ids=["before in-place ReLU", "after"])
def test_capture_equals_captum_in_every_mode(mode: str, frozen: bool, layer: str) -> None:
    model, images = classifier(inplace=True, layer=layer), pictures()
    features, gradient = reference(model, images, 2)
    model.requires_grad_(not frozen)
    with CASES[mode]():
        captured = capture(model, images, torch.full((3,), 2))
        found = captured.gradient
    assert torch.equal(captured.features, features)
    assert torch.equal(found, gradient)


@pytest.mark.parametrize("layer", ["layer4.1.bn2", "layer4.1.conv2", "layer4", "layer3"])
def test_capture_equals_captum_on_a_resnet_with_in_place_operations(layer: str) -> None:
    torch.manual_seed(0)
    model = Classifier(models.resnet18(weights=None).eval(), layer=layer)
    images = pictures(2, 64, 64)
    features, gradient = reference(model, images, 7)
    captured = capture(model, images, torch.full((2,), 7))
    assert torch.equal(captured.features, features)
    assert torch.equal(captured.gradient, gradient)


@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_capture_leaves_the_model_as_it_was(frozen: bool) -> None:
    model = classifier(inplace=True)
    model.requires_grad_(not frozen)
    before = state_of(model)
    assert capture(model, pictures(), torch.zeros(3, dtype=torch.long)).gradient.any()
    assert state_of(model) == before
    pickle.loads(pickle.dumps(model))


def test_capture_leaves_gradients_of_a_training_user_alone() -> None:
    model, images = classifier(), pictures()
    model(images).sum().backward()
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    images.requires_grad_()
    assert capture(model, images, torch.zeros(3, dtype=torch.long)).gradient.any()
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(map(torch.equal, before, after))
    assert images.grad is None


def test_an_exception_inside_the_model_leaves_no_hook() -> None:
    model = classifier()

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    handle = model.net[6].register_forward_pre_hook(fail)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="boom"):
        capture(model, pictures())
    assert state_of(model) == before
    handle.remove()
    capture(model, pictures())


def test_a_model_built_in_inference_mode_can_be_explained() -> None:
    with torch.inference_mode():
        model, images = classifier(), pictures()
    expected = capture(classifier(), pictures())
    captured = capture(model, images, torch.zeros(3, dtype=torch.long))
    assert torch.equal(captured.features, expected.features)
    assert captured.gradient.shape == (3, 6, 8, 8)


def test_filters_with_channels_last_are_no_obstacle() -> None:
    model, images = classifier(), pictures()
    expected = capture(model, images).gradient
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(capture(model, images).gradient, expected)


def test_only_the_part_above_the_layer_is_recorded() -> None:
    model, images = classifier(layer="5"), pictures()
    saved: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.shape) or t,  # type: ignore[func-returns-value]
        lambda t: t,
    ):
        capture(model, images)
    assert torch.Size([3, 8, 8, 8]) not in saved  # the activations of the first convolution


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, 1, 1)
        self.unused = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv(x)).mean(dim=(2, 3))


def test_a_layer_that_runs_twice_or_never_is_refused_with_the_count() -> None:
    with pytest.raises(ValueError, match="ran 2 times"):
        capture(Classifier(Reused().eval(), layer="conv"), pictures())
    with pytest.raises(ValueError, match="ran 0 times"):
        capture(Classifier(Reused().eval(), layer="unused"), pictures())


def test_a_layer_without_a_feature_map_is_refused() -> None:
    with pytest.raises(ValueError, match="not a feature map"):
        capture(classifier(layer="8"), pictures())


def test_a_class_that_does_not_depend_on_the_layer_is_refused_by_name() -> None:
    """A vision transformer reads its class token: patches of its last norm reach no logit."""
    vit = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(vit.heads.head.weight)
    with pytest.raises(ValueError, match=r"encoder\.ln.*layer='encoder\.layers.*_1\.ln_1'"):
        assert capture(Classifier(vit, layer="encoder.ln"), pictures(2, 32, 32)).gradient.any()
    assert capture(Classifier(vit), pictures(2, 32, 32)).gradient.shape == (2, 16, 4, 4)


def test_a_gradient_that_is_zero_everywhere_is_refused() -> None:
    model = classifier()
    with torch.no_grad():
        model.net[8].weight[3] = 0
    assert capture(model, pictures(), torch.tensor([1, 2, 4])).gradient.any()
    with pytest.raises(ValueError, match=r"layer '5' is zero everywhere for image 1 .*choose"):
        assert capture(model, pictures(), torch.tensor([1, 3, 3])).gradient.any()


@pytest.mark.parametrize("layout", [torch.preserve_format, torch.channels_last], ids=str)
def test_frozen_parameters_take_no_part_in_the_graph(layout: torch.memory_format) -> None:
    model, images = classifier(), pictures().requires_grad_()
    before = state_of(model)
    logits = frozen(model, layout)(images)
    torch.testing.assert_close(logits, model(images))
    logits.sum().backward()
    assert images.grad is not None
    assert state_of(model) == before


def test_filters_brought_to_half_precision_once_give_what_autocast_gives() -> None:
    model, images = classifier(), pictures()
    before = state_of(model)
    whole = frozen(model, torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        each_time = whole(images)
        once = frozen(model, torch.channels_last)(images)
    torch.testing.assert_close(once, each_time, rtol=2**-7, atol=2**-7)
    assert once.dtype == torch.bfloat16
    assert state_of(model) == before


def test_half_precision_leaves_double_precision_alone() -> None:
    model, images = classifier().double(), pictures().double()
    with torch.autocast("cpu", torch.bfloat16):
        halved = frozen(model, torch.channels_last)(images)
    assert torch.equal(halved, frozen(model, torch.channels_last)(images))


def test_several_layers_are_watched_and_changed_in_one_forward() -> None:
    model, images = classifier(), pictures()
    before, seen = state_of(model), {}

    def see(name: str, output: torch.Tensor) -> torch.Tensor | None:
        seen[name] = output.shape
        return torch.zeros_like(output) if name == "5" else None

    with watched(model, ["2", "5"], see):
        logits = model(images)
    assert seen == {"2": (3, 8, 8, 8), "5": (3, 6, 8, 8)}
    torch.testing.assert_close(logits, model.net[8].bias.expand(3, -1))
    assert state_of(model) == before


def test_the_later_runs_of_a_watched_layer_are_numbered() -> None:
    names: list[str] = []
    model = Classifier(Reused().eval(), layer="conv")
    for _ in range(2):
        with watched(model, ["conv"], lambda name, _: names.append(name)):
            model(pictures())
    assert names == ["conv", "conv:1"] * 2
    with pytest.raises(ValueError, match=r"layers: the network has no module called 'convo'.*conv"):
        watched(model, ["convo"], lambda *_: None).__enter__()
