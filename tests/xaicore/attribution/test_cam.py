"""Class activation maps: by hand, by identity, and against captum and torchcam."""

from __future__ import annotations

import pytest
import torch
import torchcam.methods
from captum.attr import LayerGradCam
from torch import nn
from torchvision import models

from tests.networks import NEUTRAL, Counter, LinearPixels, classifier, pictures
from xaicore.attribution import (
    CAM,
    FakeCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    OptiCAM,
    XGradCAM,
    explain_all,
)
from xaicore.attribution.capture import capture
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4, 0])


def test_grad_cam_by_hand() -> None:
    """Class c scores the sum of channel c: its weight is 1, the others' 0."""
    model = Classifier(LinearPixels().eval(), layer="features", **NEUTRAL)
    images = torch.rand(3, 3, 4, 4)
    targets = torch.tensor([2, 0, 1])
    expected = images[range(3), targets][:, None]
    torch.testing.assert_close(GradCAM(model).raw(images, targets), expected)


def test_grad_cam_is_the_positive_part_of_cam_under_global_average_pooling() -> None:
    model, images = classifier().double(), pictures().double()
    cells = 8 * 8
    expected = CAM(model).raw(images, TARGETS).relu() / cells
    torch.testing.assert_close(GradCAM(model).raw(images, TARGETS), expected)


def test_without_its_rectifier_grad_cam_is_cam_under_global_average_pooling() -> None:
    model, images = classifier().double(), pictures().double()
    whole = GradCAM(model, rectified=False).raw(images, TARGETS)
    torch.testing.assert_close(whole, CAM(model).raw(images, TARGETS) / (8 * 8))
    torch.testing.assert_close(whole.relu(), GradCAM(model).raw(images, TARGETS))


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2", "squeezenet1_1"])
def test_grad_cam_equals_captum_and_torchcam(name: str) -> None:
    torch.manual_seed(0)
    net = models.get_model(name, weights=None).eval().double()
    model, images = Classifier(net), pictures(3, 64, 64).double()
    found = GradCAM(model).raw(images, TARGETS)
    rounding = {"rtol": 1e-9, "atol": 1e-12 * float(found.max())}

    expected = LayerGradCam(model, model.layer).attribute(images, TARGETS, relu_attributions=True)
    torch.testing.assert_close(found, expected.detach(), **rounding)

    with torchcam.methods.GradCAM(net, model.layer) as peer:
        logits = net((images - model.mean) / model.std)
        (maps,) = peer(TARGETS.tolist(), logits, normalized=False)
    torch.testing.assert_close(found[:, 0], maps.detach(), **rounding)


def test_cam_equals_torchcam() -> None:
    torch.manual_seed(0)
    net = models.resnet18(weights=None).eval()
    model, images = Classifier(net), pictures(3, 64, 64)
    with torchcam.methods.CAM(net, "layer4", "fc") as peer:
        net((images - model.mean) / model.std)
        (maps,) = peer(TARGETS.tolist(), normalized=False)
    found = CAM(model).raw(images, TARGETS)
    torch.testing.assert_close(found[:, 0], maps.detach(), rtol=1e-4, atol=1e-5)


def test_cam_refuses_a_network_without_a_linear_head_on_averages() -> None:
    squeezenet = Classifier(models.squeezenet1_1(weights=None).eval())
    with pytest.raises(ValueError, match="use GradCAM"):
        CAM(squeezenet)(pictures(1, 64, 64))
    hidden = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    ).eval()
    with pytest.raises(ValueError, match="use GradCAM"):
        CAM(Classifier(hidden, layer="0"))(pictures())


def signed() -> Classifier:
    """A classifier whose logits see each position of its last layer differently."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, 2, 1), nn.ReLU(), nn.Flatten()
    )
    return Classifier(nn.Sequential(*net, nn.Linear(96, 5)).eval(), layer="3").double()


def test_grad_cam_hires_cam_and_xgrad_cam_agree_under_global_average_pooling() -> None:
    model, images = classifier().double(), pictures().double()
    expected = GradCAM(model).raw(images, TARGETS)
    torch.testing.assert_close(HiResCAM(model).raw(images, TARGETS), expected)
    torch.testing.assert_close(XGradCAM(model).raw(images, TARGETS), expected)


def test_they_differ_where_the_head_sees_positions() -> None:
    model, images = signed(), pictures().double()
    maps = [m(model)(images, TARGETS) for m in (GradCAM, HiResCAM, XGradCAM, LayerCAM)]
    assert all((a - b).abs().max() > 0.05 for i, a in enumerate(maps) for b in maps[:i])


def literal(method: str, A: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """The papers' equations for one image, channel by channel, position by position."""
    saliency = torch.zeros_like(A[0])
    for Ak, gk in zip(A, g, strict=True):
        weight = torch.zeros_like(Ak)
        for i in range(Ak.shape[0]):
            for j in range(Ak.shape[1]):
                if method == "grad-cam++" and gk[i, j] != 0:
                    alpha = gk[i, j] ** 2 / (2 * gk[i, j] ** 2 + (Ak * gk[i, j] ** 3).sum())
                    weight += alpha * gk[i, j].clamp_min(0)
                if method == "xgrad-cam" and Ak.sum() != 0:
                    weight += Ak[i, j] / Ak.sum() * gk[i, j]
                if method == "layer-cam":
                    weight[i, j] = gk[i, j].clamp_min(0)
                if method == "hires-cam":
                    weight[i, j] = gk[i, j]
        saliency += weight * Ak
    return saliency.clamp_min(0)


LITERAL = {
    "grad-cam++": GradCAMPlusPlus,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
}


@pytest.mark.parametrize("method", LITERAL)
def test_methods_equal_their_equations(method: str) -> None:
    model, images = signed(), pictures().double()
    captured = capture(model, images, TARGETS)
    found = LITERAL[method](model).raw(images, TARGETS)
    for A, g, saliency in zip(captured.features, captured.gradient, found, strict=True):
        torch.testing.assert_close(saliency[0], literal(method, A, g))


def test_grad_cam_plus_plus_does_not_depend_on_the_scale_of_the_logits() -> None:
    """Only through the gradient itself: a common factor of the gradient's cubes is no constant."""
    model, images = signed(), pictures().double()
    before = GradCAMPlusPlus(model)(images, TARGETS)
    with torch.no_grad():
        model.net[5].weight *= 1e-6
    after = GradCAMPlusPlus(model).raw(images, TARGETS)
    assert torch.isfinite(after).all()
    assert (after > 0).any()
    assert (before > 0).any()


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "squeezenet1_1"])
def test_xgrad_cam_and_layer_cam_equal_torchcam(name: str) -> None:
    torch.manual_seed(0)
    net = models.get_model(name, weights=None).eval().double()
    model, images = Classifier(net), pictures(3, 64, 64).double()
    for ours, theirs in (
        (XGradCAM, torchcam.methods.XGradCAM),
        (LayerCAM, torchcam.methods.LayerCAM),
    ):
        with theirs(net, model.layer) as peer:
            logits = net((images - model.mean) / model.std)
            (maps,) = peer(TARGETS.tolist(), logits, normalized=False)
        found = ours(model).raw(images, TARGETS)[:, 0]
        torch.testing.assert_close(found, maps.detach(), rtol=1e-4, atol=1e-5 * float(found.max()))


def test_a_dead_channel_has_weight_zero_in_xgrad_cam() -> None:
    model, images = signed(), pictures().double()
    with torch.no_grad():
        model.net[2].bias[0] = -100.0
    assert torch.isfinite(XGradCAM(model).raw(images, TARGETS)).all()


def test_one_look_serves_all_gradient_methods() -> None:
    """Six maps for one forward and one backward that ends at the layer."""
    counter = Counter(classifier().net).eval()
    model, images = Classifier(counter, layer="net.5"), pictures()
    methods = [GradCAM, GradCAMPlusPlus, XGradCAM, LayerCAM, HiResCAM, CAM]
    explainers = {method.__name__: method(model) for method in methods}
    together = explain_all(explainers, images, TARGETS)
    assert counter.forwards == 3
    assert counter.backwards == 0
    for name, explain in explainers.items():
        assert torch.equal(together[name], explain(images, TARGETS))


def test_methods_share_a_look_only_at_the_same_layer() -> None:
    net, images = classifier().net, pictures()
    low, high = Classifier(net, layer="2"), Classifier(net, layer="5")
    explainers = {"low": GradCAM(low), "high": GradCAM(high), "fake": FakeCAM(high)}
    together = explain_all({**explainers, "opti": OptiCAM(high, iterations=2)}, images)
    for name, explain in explainers.items():
        assert torch.equal(together[name], explain(images))
