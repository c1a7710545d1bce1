"""Ablation-CAM: closed form, upper layers alone, and whole forwards all agree."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerFeatureAblation
from torch import nn
from torchvision import models

from tests.networks import Counter, classifier, pictures
from xaicore.attribution import AblationCAM
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4, 0])


def hidden(layer: str = "1") -> Classifier:
    """A classifier with a hidden layer above its feature map."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 4, 3, 2, 1), nn.ReLU(), nn.Flatten()
    )
    return Classifier(nn.Sequential(*net, nn.Linear(64, 5)).eval(), layer=layer).double()


def literal(model: Classifier, images: torch.Tensor, cut: int) -> torch.Tensor:
    """The map from whole passes: cut the network at the layer and run the rest for each channel."""
    lower, upper = model.net[:cut], model.net[cut:]
    features = lower((images - model.mean) / model.std)
    rows = range(len(images))
    saliency = torch.zeros_like(features[:, 0])
    for k in range(features.shape[1]):
        ablated = features.clone()
        ablated[:, k] = 0
        drop = upper(features)[rows, TARGETS] - upper(ablated)[rows, TARGETS]
        saliency += drop[:, None, None] * features[:, k]
    return saliency.clamp_min(0)


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_ablation_cam_equals_its_definition(batch_size: int) -> None:
    images = pictures().double()
    for model, cut in ((hidden(), 2), (classifier().double(), 6)):
        found = AblationCAM(model, batch_size).raw(images, TARGETS)[:, 0]
        torch.testing.assert_close(found, literal(model, images, cut))


def test_ablation_cam_equals_captum_on_a_vgg_head() -> None:
    """A pooled grid, flattened, through hidden layers: all narrower than VGG's, which is slow."""
    torch.manual_seed(0)
    with torch.device("meta"):
        net = models.VGG(nn.Identity(), num_classes=5, init_weights=False)
    net.features = models.vgg.make_layers(
        [8, "M", 16, "M", 32, "M", 64, 64, "M", 64, 64, "M"], True
    )
    for place, sides in ((0, (64 * 49, 64)), (3, (64, 64)), (6, (64, 5))):
        net.classifier[place] = nn.Linear(*sides)
    model, image = Classifier(net.eval()).double(), pictures(1, 64, 64).double()
    features = model.net.features[:-1]((image - model.mean) / model.std)
    channels = torch.arange(features.shape[1])[None, :, None, None].expand_as(features)
    drops = LayerFeatureAblation(model, model.layer).attribute(
        image, target=2, layer_mask=channels, perturbations_per_eval=32
    )
    expected = (drops * features).sum(1, keepdim=True).relu().detach()
    found = AblationCAM(model).raw(image, 2)
    torch.testing.assert_close(found, expected)


def test_a_skip_connection_around_the_layer_is_kept() -> None:
    torch.manual_seed(0)
    model = Classifier(models.resnet18(weights=None).eval(), layer="layer3.1.conv2").double()
    images = pictures(2, 32, 32).double()
    with torch.no_grad():
        found = AblationCAM(model, batch_size=100).raw(images, 3)
        drops = LayerFeatureAblation(model, model.layer).attribute(
            images[:1],
            target=3,
            layer_mask=torch.arange(256)[None, :, None, None].expand(1, 256, 2, 2),
        )
    features = {}
    handle = model.layer.register_forward_hook(lambda _m, _i, out: features.update(A=out))
    model(images[:1])
    handle.remove()
    expected = (drops * features["A"]).sum(1, keepdim=True).relu().detach()
    torch.testing.assert_close(found[:1], expected)


def test_the_closed_form_costs_one_forward() -> None:
    counter = Counter(classifier().net).eval()
    AblationCAM(Classifier(counter, layer="net.5"))(pictures(), TARGETS)
    assert counter.forwards == 3


def test_only_the_layers_above_run_for_each_channel() -> None:
    """Below the layer one image per chunk of channels, above it every channel."""
    model = hidden()
    below, above = Counter(model.net[0]), Counter(model.net[2])
    model.net[0], model.net[2] = below, above
    AblationCAM(model.eval(), batch_size=2)(pictures().double(), TARGETS)
    assert below.forwards == 3 * (1 + 3)
    assert above.forwards == 3 * (1 + 6)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        AblationCAM(classifier(), batch_size=0)
