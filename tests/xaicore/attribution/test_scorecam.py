"""Score-CAM: against its equation, against torchcam, and at its cost."""

from __future__ import annotations

import pytest
import torch
import torchcam.methods
from torch import nn
from torch.nn import functional as F
from torchvision import models

from tests.networks import NEUTRAL, Counter, classifier, pictures
from xaicore.attribution import ScoreCAM
from xaicore.classifier import Classifier
from xaicore.masking import normalize

TARGETS = torch.tensor([1, 4, 0])


def literal(model: Classifier, image: torch.Tensor, target: int, score: str) -> torch.Tensor:
    """The definition for one image, channel by channel."""
    features = model.net[:6]((image[None] - model.mean) / model.std)[0]
    u, used = [], []
    for feature in features:
        high = F.interpolate(feature[None, None], image.shape[-2:], mode="bilinear")[0, 0]
        if high.max() == high.min():
            continue
        logits = model((image * (high - high.min()) / (high.max() - high.min()))[None])[0]
        u.append(logits.softmax(0)[target] if score == "probability" else logits[target])
        used.append(feature)
    weights = torch.stack(u)
    if score == "logit":
        weights = weights.softmax(0)
    if score == "increase":
        weights = weights - model(torch.zeros_like(image)[None])[0, target]
    return sum(w * a for w, a in zip(weights, used, strict=True)).clamp_min(0)


@pytest.mark.parametrize("score", ["logit", "increase", "probability"])
def test_score_cam_equals_its_definition(score: str) -> None:
    model, images = classifier().double(), pictures().double()
    found = ScoreCAM(model, score, batch_size=4).raw(images, TARGETS)
    with torch.no_grad():
        for image, target, saliency in zip(images, TARGETS, found, strict=True):
            expected = literal(model, image, int(target), score)
            torch.testing.assert_close(saliency[0], expected)


def full_resolution() -> nn.Sequential:
    """A network whose feature map is as large as the image."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 12, 3, 1, 1), nn.ReLU())
    return nn.Sequential(features, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 5)).eval()


@pytest.mark.parametrize(
    ("net", "layer", "tolerance"),
    [(full_resolution(), "0", 1e-8), (models.resnet18(weights=None).eval(), "layer1", 1e-3)],
    ids=["no upsampling", "ResNet-18"],
)
def test_score_cam_equals_torchcam(net: nn.Module, layer: str, tolerance: float) -> None:
    """Up to the order of normalising and upsampling: torchcam normalises first, eq. 3 second.

    torchcam counts dead channels in its softmax, which scales the map. It masks what the network
    receives, we mask pixels: the same without mean and std.
    """
    model, images = Classifier(net.double(), layer=layer, **NEUTRAL).double(), pictures(2).double()
    images = F.interpolate(images, (64, 64)) if layer == "layer1" else images
    with torchcam.methods.ScoreCAM(net, layer, batch_size=16) as peer, torch.no_grad():
        net(images)
        (maps,) = peer([1, 4], normalized=False)
    found = normalize(ScoreCAM(model).raw(images, torch.tensor([1, 4])))[:, 0]
    torch.testing.assert_close(found, normalize(maps), rtol=0, atol=tolerance)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_the_size_of_a_batch_changes_nothing_but_memory(batch_size: int) -> None:
    model, images = classifier().double(), pictures().double()
    expected = ScoreCAM(model).raw(images, TARGETS)
    found = ScoreCAM(model, batch_size=batch_size).raw(images, TARGETS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_dead_channels_cost_nothing_and_weigh_nothing() -> None:
    net = classifier().net
    with torch.no_grad():
        net[4].weight[:2], net[4].bias[:2] = 0, torch.tensor([-1.0, 2.0])  # dead; constant
    counter = Counter(net).eval()
    model = Classifier(counter, layer="net.5")
    maps = ScoreCAM(model).raw(pictures(), TARGETS)
    assert counter.forwards == 3 * (1 + 4)
    assert maps.any()
    assert counter.backwards == 0


def test_a_softmax_over_probabilities_would_be_nearly_uniform() -> None:
    """Why the variants that score probabilities take no softmax."""
    probabilities = torch.rand(512, generator=torch.Generator().manual_seed(0)) * 0.1
    weights = probabilities.softmax(0)
    assert weights.max() / weights.min() < 1.11


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="score must be one of"):
        ScoreCAM(classifier(), "logits")
    with pytest.raises(ValueError, match="batch_size"):
        ScoreCAM(classifier(), batch_size=0)
