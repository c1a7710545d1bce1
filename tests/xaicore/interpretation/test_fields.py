"""Receptive fields, against what happens when single pixels are changed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from tests.networks import classifier, state_of
from xaibook.flowers.network import SmallResNet
from xaicore.classifier import Classifier
from xaicore.interpretation import Field, receptive_fields
from xaicore.models.efficientnet_lite import Same


def brute_force(model: Classifier, size: tuple[int, int], layer: str) -> Field:
    """Change every pixel in turn and see which positions of the layer notice.

    With positive weights and no biases whatever a pixel reaches grows with it: also through a
    maximum, once the pixel is large enough.
    """
    H, W = size
    images = torch.full((H * W + 1, 3, H, W), 0.01, dtype=torch.double)
    images[torch.arange(H * W), :, torch.arange(H * W) // W, torch.arange(H * W) % W] = 1000
    seen: list[Tensor] = []
    handle = model.net.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2]))
    with torch.no_grad():
        model.net(images)
    handle.remove()
    noticed = (seen[-1][:-1] > seen[-1][-1]).any(1).unflatten(0, (H, W))
    rows, columns = noticed.any(3).any(1), noticed.any(2).any(0)
    return Field(span(rows), span(columns))


def span(reached: Tensor) -> Tensor:
    """The first and the last pixel that reach each position, of ``(pixels, positions)``."""
    pixels = torch.arange(len(reached))[:, None]
    first = pixels.where(reached, len(reached)).amin(0)
    return torch.stack([first, pixels.where(reached, -1).amax(0)], dim=1)


def positive(net: nn.Module) -> Classifier:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.abs() + 0.1)
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return Classifier(net.double().eval())


class Branches(nn.Module):
    """Two ways of different width, joined by a sum and by a concatenation, after a crop."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 2, (1, 3), stride=2, padding=(0, 1))
        self.far = nn.Conv2d(3, 2, 5, stride=2, padding=2)
        self.joined, self.both = nn.Identity(), nn.Identity()
        self.gate = nn.AdaptiveAvgPool2d(1)
        self.gated = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        near, far = self.near(x), self.far(x)
        joined = self.joined((near + far).clone())
        both = self.both(torch.cat([near, F.relu(far)], dim=1))
        return self.gated(both * self.gate(both)).mean((2, 3)) + joined.mean()


class Wider(nn.Module):
    """One column of zeros to the left, as a call may pad one side alone."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (1, 0)) + 0.01  # padding sees nothing, and is no zero afterwards


CHAINS = {
    "uneven stride": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, 2), nn.ReLU(), nn.Conv2d(2, 2, 3, 1, 1), nn.MaxPool2d(2, 2, 0, 1, False)
    ),
    "dilation": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, 1, 2, 2), nn.Conv2d(2, 2, (1, 5), (2, 1), (0, 2), (1, 3))
    ),
    "pooling": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding="same"), nn.AvgPool2d(2)
    ),
    "wide": lambda: nn.Sequential(nn.Conv2d(3, 2, 7, 4, 3), nn.ReLU(), nn.Conv2d(2, 2, 5, 1, 2)),
    "adaptive": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, 1, 1), nn.AdaptiveAvgPool2d((3, 4)), nn.Conv2d(2, 2, 1)
    ),
    "uneven padding": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, 2, 1), Same(2, 2, (3, 5), (2, 1)), Wider(), Same(2, 2, 5, 2)
    ),
}


@pytest.mark.parametrize("size", [(17, 12), (20, 20)])
@pytest.mark.parametrize("chain", CHAINS)
def test_fields_are_exact_at_every_position_the_borders_included(
    chain: str, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = positive(CHAINS[chain]())
    names = [str(i) for i in range(len(model.net))]
    fields = receptive_fields(model.float(), size, names)
    model.double()
    for name in names:
        expected = brute_force(model, size, name)
        assert torch.equal(fields[name].rows, expected.rows)
        assert torch.equal(fields[name].columns, expected.columns)


@pytest.mark.parametrize("layer", ["joined", "both", "gated"])
def test_branches_see_what_either_sees(layer: str) -> None:
    torch.manual_seed(0)
    model = positive(Branches())
    expected = brute_force(model, (15, 14), layer)
    found = receptive_fields(model.float(), (15, 14), [layer])[layer]
    assert torch.equal(found.rows, expected.rows)
    assert torch.equal(found.columns, expected.columns)


def test_the_books_network_is_exact_too() -> None:
    torch.manual_seed(0)
    model = positive(SmallResNet(3, widths=(2, 2, 2)))
    layers = ["stem", "stages.0", "stages.1.relu1", "stages.2"]
    fields = receptive_fields(model.float(), (30, 24), layers)
    model.double()
    for name in layers:
        expected = brute_force(model, (30, 24), name)
        assert torch.equal(fields[name].rows, expected.rows)
        assert torch.equal(fields[name].columns, expected.columns)


def test_known_networks_have_the_fields_that_are_known() -> None:
    """Araujo et al., Distill 2019: 435 pixels for ResNet-18's last block, 196 for VGG-16's."""
    resnet = Classifier(models.resnet18(weights=None).eval())
    found = receptive_fields(resnet, (480, 448), ["conv1", "layer1.0.relu", "layer4"])
    assert [field.size for field in found.values()] == [(7, 7), (19, 19), (27, 27), (435, 435)]
    with torch.device("meta"):
        net = models.vgg16(weights=None)
    vgg = Classifier(net.features[:30].to_empty(device="cpu").eval(), layer="29")
    assert receptive_fields(vgg, (256, 256), ["29"])["29"].size == (196, 196)


def test_the_model_is_left_as_it_was() -> None:
    model = classifier(inplace=True)
    before = state_of(model)
    receptive_fields(model, (16, 16), ["2", "5"])
    assert state_of(model) == before


class Shuffled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.roll(3, -1)).mean((2, 3))


def test_an_operation_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layer 'conv' sees cannot be followed"):
        receptive_fields(Classifier(Shuffled().eval()), (8, 8), ["conv"])
