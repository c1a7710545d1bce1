"""A folded classifier: what it answers, what it keeps, and what it refuses."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import xaicore as xc
from tests.networks import classifier, pictures
from xaibook.flowers.trained import flower_classifier
from xaicore.classifier import Classifier
from xaicore.evaluation import fingerprint
from xaicore.folding import _pairs, folded


def seasoned(net: nn.Module) -> nn.Module:
    """A network whose normalisations have seen something."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, (low, high) in {
                module.weight: (0.5, 1.5),
                module.bias: (-0.5, 0.5),
                module.running_mean: (-0.5, 0.5),
                module.running_var: (0.5, 2.0),
            }.items():
                nn.init.uniform_(values, low, high)
    return net.eval()


class Twice(nn.Module):
    """One convolution is called twice, and one is looked at by two."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.seen = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.own, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(self.shared(self.shared(images)))
        seen = self.seen(x)
        return self.norm(self.own(self.second(seen) + seen)).mean((2, 3))


class Branching(nn.Module):
    """Its code looks at the values it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.norm(self.conv(images)).mean((2, 3))
        return logits if images.mean() < 0 else 2 * logits


@pytest.mark.parametrize("build", [models.mobilenet_v2, models.resnet18])
def test_a_folded_network_answers_and_is_explained_as_before(build: type) -> None:
    model = Classifier(seasoned(build(num_classes=5)))
    before = copy.deepcopy(model.state_dict())
    images = pictures(2, 64, 64)
    light = folded(model, images)
    assert not any(type(module) is nn.BatchNorm2d for module in light.net.modules())
    assert light.layer_name == model.layer_name
    torch.testing.assert_close(light(images), model(images), rtol=1e-4, atol=1e-4)
    maps = [xc.GradCAM(one)(images, 1) for one in (light, model)]
    torch.testing.assert_close(*maps, rtol=0, atol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert fingerprint.model(light)["folded"] is True
    assert "folded" not in fingerprint.model(model)


def test_what_a_folded_classifier_is_told_stays_with_it() -> None:
    model = flower_classifier()
    light = folded(model, torch.rand(2, 3, 64, 64))
    assert (light.classes, light.activation) == (model.classes, model.activation)
    assert torch.equal(light.mean, model.mean)


def test_a_convolution_that_others_need_is_left_alone() -> None:
    assert list(_pairs(Classifier(Twice().eval(), layer="seen"))) == [("own", "norm")]
    model = Classifier(seasoned(Twice()), layer="own")
    with pytest.raises(ValueError, match="nothing to fold"):
        folded(model, pictures())
    model = Classifier(seasoned(Twice()), layer="seen")
    heard: list[Tensor] = []
    model.net.own.register_forward_hook(lambda _m, _i, output: heard.append(output))
    with pytest.raises(ValueError, match="nothing to fold"):
        folded(model, pictures())


def test_a_convolution_that_does_not_mean_what_it_says_is_found_out() -> None:
    class Centred(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    net = nn.Sequential(Centred(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match="answers otherwise"):
        folded(Classifier(seasoned(net), layer="1"), pictures())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Classifier(Branching().eval(), layer="conv"), "its code looks at values"),
        (classifier().double(), "only float32 is folded, not torch.float64"),
        (Classifier(classifier().net[6:].eval(), layer="6"), "nothing to fold"),
    ],
)
def test_what_cannot_be_folded_is_refused(model: Classifier, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        folded(model, pictures())


def test_a_network_that_learns_is_not_folded() -> None:
    model = classifier()
    model.net[1].train()
    with pytest.raises(ValueError, match="training mode: call eval"):
        folded(model, pictures())
    model.net.eval()
    assert folded(model, pictures()).net[1] is not model.net[1]
