"""Pixel gradients: against captum, their equations, closed forms, and at their cost."""

from __future__ import annotations

import contextlib
import pickle
import warnings

import numpy as np
import pytest
import torch
from captum import attr
from captum.attr._core.gradient_shap import InputBaselineXGradient
from torch import Tensor, nn
from torchvision import models

from tests.networks import NEUTRAL, GradientCounter, LinearPixels, classifier, pictures
from xaicore.attribution.gradient import (
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    PixelGradient,
    Saliency,
    SmoothGrad,
    evidence,
    magnitude,
)
from xaicore.classifier import Classifier
from xaicore.masking import removed

TARGETS = torch.tensor([1, 4, 0])
METHODS = {
    "saliency": Saliency,
    "input x gradient": InputXGradient,
    "guided": GuidedBackprop,
    "integrated": lambda model: IntegratedGradients(model, steps=9),
    "smooth": lambda model: SmoothGrad(model, samples=7),
    "shap": lambda model: GradientShap(model, samples=7),
}
MODES = [contextlib.nullcontext, torch.no_grad, torch.inference_mode]


def autograd(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    images = images.detach().clone().requires_grad_()
    model(images).gather(1, targets[:, None]).sum().backward()
    assert images.grad is not None
    return images.grad


def test_pooling_rules_on_one_pixel() -> None:
    pixel = torch.tensor([1.0, -4.0, 2.0]).view(1, 3, 1, 1)
    assert magnitude(pixel).item() == 4
    assert evidence(pixel).item() == 0
    assert evidence(-pixel).item() == 1


def test_saliency_and_input_x_gradient_equal_autograd_and_captum() -> None:
    model, images = classifier().double(), pictures().double()
    leaf = images.clone().requires_grad_()
    expected = attr.Saliency(model).attribute(leaf, TARGETS, abs=False)
    assert torch.equal(Saliency(model).attribution(images, TARGETS), expected)
    expected = attr.InputXGradient(model).attribute(leaf, TARGETS)
    assert torch.equal(InputXGradient(model).attribution(images, TARGETS), expected.detach())
    gradient = autograd(model, images, TARGETS)
    found = Saliency(model).raw(images, TARGETS)
    torch.testing.assert_close(found, gradient.abs().amax(1, keepdim=True), rtol=0, atol=1e-14)
    found = InputXGradient(model).raw(images, TARGETS)
    expected = (images * gradient).sum(1, keepdim=True).clamp_min(0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
def test_integrated_gradients_equal_captum_and_are_complete(baseline: str) -> None:
    model, images = classifier().double(), pictures().double()
    explain = IntegratedGradients(model, steps=300, baseline=baseline)
    found = explain.attribution(images, TARGETS)
    start = removed(images, baseline, model.mean).expand_as(images)
    expected = attr.IntegratedGradients(model).attribute(images, start, TARGETS, n_steps=300)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gain = (model(images) - model(start)).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), gain.detach(), rtol=0, atol=5e-3)


def test_smoothgrad_equals_its_equation_with_the_same_draws() -> None:
    model, images = classifier().double(), pictures().double()
    generator = torch.Generator().manual_seed(3)
    total = torch.zeros_like(images)
    for _ in range(6):
        field = torch.randn(3, 16, 16, generator=generator).double()
        copies = [x + 0.2 * (x.max() - x.min()) * field for x in images]
        total += autograd(model, torch.stack(copies), TARGETS)
    found = SmoothGrad(model, samples=6, noise=0.2, seed=3).raw(images, TARGETS)
    expected = (total / 6).abs().amax(1, keepdim=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_smoothgrad_agrees_with_captums_noise_tunnel_in_expectation() -> None:
    model, image = classifier().double(), pictures(1).double()
    torch.manual_seed(0)
    spread = float(image.max() - image.min())
    expected = attr.NoiseTunnel(attr.Saliency(model)).attribute(
        image, nt_samples=4000, stdevs=0.15 * spread, target=2, abs=False, nt_samples_batch_size=500
    )
    found = SmoothGrad(model, samples=4000, batch_size=500).attribution(image, TARGETS[:1] * 0 + 2)
    error = (found - expected).norm() / expected.norm()
    assert error < 0.05  # one draw of each: about the square root of 2 / 4000 times the spread


def test_without_noise_smoothgrad_is_saliency() -> None:
    model, images = classifier().double(), pictures().double()
    found = SmoothGrad(model, samples=3, noise=0).raw(images, TARGETS)
    torch.testing.assert_close(found, Saliency(model).raw(images, TARGETS))


@pytest.mark.parametrize("pictured", [False, True], ids=["black", "backgrounds"])
def test_gradient_shap_equals_captums_step_with_the_same_draws(
    pictured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = classifier().double(), pictures().double()
    backgrounds = pictures(4, seed=9).double() if pictured else torch.zeros(1, 3, 16, 16).double()
    settings = {"baseline": backgrounds} if pictured else {}
    explain = GradientShap(model, samples=5, noise=0.1, seed=2, **settings)
    generator = torch.Generator().manual_seed(2)
    choices = torch.randint(len(backgrounds), (5,), generator=generator)
    places = torch.rand(5, generator=generator)
    total = torch.zeros_like(images)
    for choice, place in zip(choices, places, strict=True):
        field = torch.randn(3, 16, 16, generator=generator).double()
        copies = torch.stack([x + 0.1 * (x.max() - x.min()) * field for x in images])
        alpha = float(place)
        monkeypatch.setattr(np.random, "uniform", lambda _l, _h, n, a=alpha: np.full(n, a))
        step = InputBaselineXGradient(model)
        total += step.attribute(copies, backgrounds[choice][None].expand(3, -1, -1, -1), TARGETS)
    found = explain.attribution(images, TARGETS)
    torch.testing.assert_close(found, total.detach() / 5, rtol=0, atol=1e-12)


def test_gradient_shap_without_noise_tends_to_integrated_gradients() -> None:
    model, images = classifier().double(), pictures().double()
    expected = IntegratedGradients(model).attribution(images, TARGETS)
    found = GradientShap(model, samples=3000, noise=0, batch_size=300).attribution(images, TARGETS)
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_on_a_linear_network_every_attribution_is_the_pixel() -> None:
    """The logit is the sum of one colour: its gradient is 1, the attribution the pixel itself."""
    model = Classifier(LinearPixels().eval(), layer="features", **NEUTRAL)
    images = pictures()
    for name, method in METHODS.items():
        if name == "guided":
            continue
        explain = method(model)
        if name == "shap":
            explain.noise = 0
        found = explain.raw(images, 1)
        expected = torch.ones(3, 16, 16) if name in ("saliency", "smooth") else images[:, 1]
        torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)


class GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, top: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.top = top
        return u.clamp(0, top)

    @staticmethod
    def backward(ctx, delta: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return delta.clamp_min(0) * (u > 0) * (u < ctx.top), None


class GuidedModule(nn.Module):
    def __init__(self, top: float) -> None:
        super().__init__()
        self.top = top

    def forward(self, u: Tensor) -> Tensor:
        return GuidedReLU.apply(u, self.top)


def guided(module: nn.Module) -> nn.Module:
    """Put the guided rule in the place of every ReLU and ReLU6."""
    tops = {nn.ReLU: torch.inf, nn.ReLU6: 6.0}
    for name, child in module.named_children():
        top = tops.get(type(child))
        setattr(module, name, guided(child) if top is None else GuidedModule(top))
    return module


class Rectified(nn.Module):
    """One ReLU used twice, as in a residual network."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.relu = nn.ReLU(inplace)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.second(self.relu(self.first(x)))).mean((2, 3))


@pytest.mark.parametrize(
    "build",
    [
        lambda: classifier().net,
        lambda: classifier(inplace=True).net,
        lambda: Rectified(False),
        lambda: Rectified(True),
        lambda: models.resnet18(weights=None),  # reused in-place ReLUs
        lambda: models.mobilenet_v2(weights=None),  # ReLU6
    ],
    ids=["plain", "in place", "reused", "reused in place", "resnet18", "mobilenet_v2"],
)
def test_guided_backprop_equals_the_rule_written_as_a_function(build) -> None:
    torch.manual_seed(0)
    net = build().double().eval()
    images = pictures(2, 32, 32).double()
    twin = guided(pickle.loads(pickle.dumps(net))).eval()
    expected = autograd(Classifier(twin), images, TARGETS[:2])
    found = GuidedBackprop(Classifier(net)).attribution(images, TARGETS[:2])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
@pytest.mark.parametrize(
    "build", [lambda: classifier().net, lambda: models.resnet18(weights=None)], ids=["small", "18"]
)
def test_guided_backprop_equals_captums_on_networks_of_relu(build) -> None:
    torch.manual_seed(0)
    model, images = Classifier(build().double().eval()), pictures(3, 32, 32).double()
    expected = attr.GuidedBackprop(model).attribute(images.requires_grad_(), TARGETS)
    found = GuidedBackprop(model).attribution(images.detach(), TARGETS)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        (nn.GELU(), "has GELU"),
        (nn.Hardtanh(), "has Hardtanh"),
        (nn.Hardswish(), "has Hardswish"),
        (nn.ELU(inplace=True), "has ELU"),
        (nn.Identity(), "no such activation ran in this Sequential"),
    ],
)
def test_guided_backprop_refuses_networks_without_a_guided_rule(
    activation: nn.Module, words: str
) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), activation, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=words):
        GuidedBackprop(Classifier(net.eval()))(pictures())


def state_of(model: nn.Module) -> list[object]:
    parts: list[object] = []
    for name, module in model.named_modules():
        hooks = [len(v) for k, v in vars(module).items() if k.endswith("hooks")]
        parts += [name, module.training, hooks, sorted(vars(module))]
    for name, p in model.named_parameters():
        parts += [name, p.requires_grad, p.grad, id(p), p._version]
    return parts


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_modes_change_no_map_and_no_call_changes_the_model(name: str, frozen: bool) -> None:
    model, images = classifier(inplace=True), pictures()
    model.requires_grad_(not frozen)
    explain: PixelGradient = METHODS[name](model)
    before, random = state_of(model), (torch.get_rng_state(), np.random.get_state()[1].copy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps = []
        for mode in MODES:
            with mode():
                maps.append(explain(images.clone(), TARGETS.clone()))
    assert all(torch.equal(maps[0], m) for m in maps)
    assert not maps[0].requires_grad
    assert state_of(model) == before
    assert torch.equal(torch.get_rng_state(), random[0])
    assert (np.random.get_state()[1] == random[1]).all()
    pickle.loads(pickle.dumps(model))


def test_an_exception_inside_the_model_leaves_no_hook_of_guided_backprop() -> None:
    model = classifier()

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    handle = model.net[6].register_forward_pre_hook(fail)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="boom"):
        GuidedBackprop(model)(pictures())
    assert state_of(model) == before
    handle.remove()


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_gives_its_singles(name: str) -> None:
    model, images = classifier().double(), pictures(3, 13, 17).double()
    explain: PixelGradient = METHODS[name](model)
    whole = explain.raw(images, TARGETS)
    assert whole.shape == (3, 1, 13, 17)
    singles = [explain.raw(images[i : i + 1], TARGETS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(whole, torch.cat(singles), rtol=0, atol=1e-12)
    assert explain(images[:0]).shape == (0, 1, 13, 17)


@pytest.mark.parametrize("name", ["integrated", "smooth", "shap"])
def test_copies_of_an_image_are_summed_alike_whatever_stands_beside_it(name: str) -> None:
    """Every forward holds copies of one image: equal bits, even where the network gives others."""
    model, images = classifier(), pictures(3, 13, 17)
    explain: PixelGradient = METHODS[name](model)
    explain.batch_size = 4
    whole = explain.raw(images, TARGETS)
    singles = [explain.raw(images[i : i + 1], TARGETS[i : i + 1]) for i in range(3)]
    assert torch.equal(whole, torch.cat(singles))


@pytest.mark.parametrize("name", METHODS)
def test_predicted_classes_and_classes_that_do_not_exist(name: str) -> None:
    model, images = classifier(), pictures()
    explain: PixelGradient = METHODS[name](model)
    torch.testing.assert_close(explain(images), explain(images, model(images).argmax(1)))
    with pytest.raises(ValueError, match="class 9 is out of range"):
        explain(images, 9)
    assert images.grad is None
    assert not images.requires_grad


@pytest.mark.parametrize("method", [IntegratedGradients, SmoothGrad, GradientShap])
def test_the_batch_size_changes_the_memory_and_not_the_map(method) -> None:
    model, images = classifier().double(), pictures(2).double()
    maps = [method(model, 11, batch_size=size).raw(images, 1) for size in (1, 6, 100)]
    torch.testing.assert_close(maps[0], maps[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(maps[0], maps[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "forwards", "backwards"),
    [
        ("saliency", 1, 1),
        ("input x gradient", 1, 1),
        ("guided", 1, 1),
        ("integrated", 10, 9),
        ("smooth", 8, 7),
        ("shap", 8, 7),
    ],
)
def test_the_cost_is_the_stated_bound(name: str, forwards: int, backwards: int) -> None:
    counter = GradientCounter(classifier().net).eval()
    model = Classifier(counter)
    explain = METHODS[name](model)
    explain.batch_size = 7
    explain(pictures(3), TARGETS)
    assert counter.forwards == 3 * forwards
    assert counter.backwards == 3 * backwards
    assert counter.largest <= 7
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_bad_settings_are_refused() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="IntegratedGradients needs steps >= 1"):
        IntegratedGradients(model, steps=0)
    for method in (SmoothGrad, GradientShap):
        with pytest.raises(ValueError, match="needs samples >= 1"):
            method(model, samples=0)
        with pytest.raises(ValueError, match="needs noise >= 0"):
            method(model, noise=-0.1)
        with pytest.raises(ValueError, match="needs batch_size >= 1"):
            method(model, batch_size=0)
    with pytest.raises(ValueError, match="backgrounds must have shape"):
        GradientShap(model, baseline=torch.zeros(3, 16, 16))(pictures())
