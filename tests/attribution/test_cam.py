"""CAM, Grad-CAM and Fake-CAM: by hand, by identity, and against captum and torchcam."""

from __future__ import annotations

import pytest
import torch
import torchcam.methods
from captum.attr import LayerGradCam
from torch import nn
from torchvision import models

from tests.networks import NEUTRAL, LinearPixels, classifier, pictures
from xaicore.attribution import CAM, FakeCAM, GradCAM
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


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2", "squeezenet1_1"])
def test_grad_cam_equals_captum_and_torchcam(name: str) -> None:
    torch.manual_seed(0)
    net = models.get_model(name, weights=None).eval()
    model, images = Classifier(net), pictures(3, 64, 64)
    found = GradCAM(model).raw(images, TARGETS)

    expected = LayerGradCam(model, model.layer).attribute(images, TARGETS, relu_attributions=True)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6 * float(found.max()))

    with torchcam.methods.GradCAM(net, model.layer) as peer:
        logits = net((images - model.mean) / model.std)
        (maps,) = peer(TARGETS.tolist(), logits, normalized=False)
    torch.testing.assert_close(
        found[:, 0], maps.detach(), rtol=1e-5, atol=1e-6 * float(found.max())
    )


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


def test_fake_cam_is_one_but_for_one_pixel() -> None:
    maps = FakeCAM(classifier())(pictures())
    assert (maps[..., 0, 0] == 0).all()
    assert maps.sum() == maps.numel() - len(maps)
