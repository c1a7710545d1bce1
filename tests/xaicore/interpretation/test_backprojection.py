"""Back-projection: a gradient by the plain rule, guided backprop by the other, and no grid."""

from __future__ import annotations

import contextlib

import pytest
import torch
from captum import attr
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from tests.networks import NEUTRAL, classifier, pictures, state_of
from xaibook.flowers.network import SmallResNet
from xaicore.attribution.capture import hooked
from xaicore.classifier import Classifier
from xaicore.interpretation import BackwardRules, back_project, phase_spread


def resnet() -> Classifier:
    torch.manual_seed(0)
    return Classifier(models.resnet18(weights=None).double().eval())


def small(inplace: bool = False) -> Classifier:
    return classifier(inplace).double()


def energy(model: Classifier, images: Tensor, layer: str, channels: Tensor) -> Tensor:
    """Half the squared norm of one channel of each image, ``(B,)``; the last run of the layer."""
    seen: list[Tensor] = []
    module = model.net.get_submodule(layer)
    with hooked([module], lambda _m, _i, output: seen.append(output.clone())):
        model(images)
    maps = seen[-1][torch.arange(len(images)), channels]
    return maps.square().sum((1, 2)) / 2


CASES = {
    "small": (small, "5", "5", 16),
    "before a ReLU that works in place": (lambda: small(True), "4", "4", 16),
    "after a ReLU that works in place": (lambda: small(True), "5", "5", 16),
    "residual": (resnet, "layer2.1.relu", "layer2.1.relu:1", 40),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sizes", [(0, 0), (3, 5)])
def test_under_the_plain_rule_it_is_the_gradient_of_half_the_energy(
    case: str, sizes: tuple[int, int]
) -> None:
    build, module, name, side = CASES[case]
    model, channels = build(), torch.tensor([1, 3, 2])
    images = pictures(3, side + sizes[0], side + sizes[1]).double()
    found = back_project(model, images, name, channels, guided=False, smooth=False)
    images.requires_grad_()
    (expected,) = torch.autograd.grad(energy(model, images, module, channels).sum(), images)
    assert expected.any()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


class Energy(nn.Module):
    """Half the energy of every channel of the first layers, as the logits of captum's method."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).square().sum((2, 3)) / 2


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_the_guided_rule_is_captums_guided_backprop_of_half_the_energy() -> None:
    torch.manual_seed(0)
    net = SmallResNet(4).double().eval()
    model, images = Classifier(net, layer="stages.2", **NEUTRAL), pictures(2, 32, 32).double()
    body = Energy(nn.Sequential(net.stem, net.stages[:2])).eval()
    expected = attr.GuidedBackprop(body).attribute(images.requires_grad_(), target=7)
    found = back_project(model, images, "stages.1", 7, smooth=False)
    assert expected.any()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


def literal(model: Classifier, images: Tensor, channel: int) -> Tensor:
    """Guided back-projection of the small network's second ReLU, layer by layer, without a grid."""
    conv1, norm1, _, conv2, norm2, _ = model.net[:6]
    x = (images - model.mean) / model.std
    first = norm1(conv1(x))
    second = norm2(conv2(first.relu()))
    g = torch.zeros_like(second)
    g[:, channel] = second.relu()[:, channel]
    g = g.clamp_min(0) * (second > 0) * scale(norm2)
    g = F.conv_transpose2d(g, conv2.weight, padding=1)
    g = g.clamp_min(0) * (first > 0) * scale(norm1)
    side = [n + 2 * 1 - 3 + 1 for n in x.shape[-2:]]
    g = F.interpolate(g, size=side, mode="nearest")
    return F.conv_transpose2d(g, conv1.weight, padding=1) / model.std


def scale(norm: nn.BatchNorm2d) -> Tensor:
    return (norm.weight / torch.sqrt(norm.running_var + norm.eps))[None, :, None, None]


@pytest.mark.parametrize("inplace", [False, True])
def test_it_equals_the_rules_written_out_layer_by_layer(inplace: bool) -> None:
    model, images = small(inplace), pictures(2, 18, 13).double()
    with torch.no_grad():
        expected = literal(small(), images, 4)
    torch.testing.assert_close(back_project(model, images, "5", 4), expected)


def rectified(activation: type[nn.Module]) -> Classifier:
    """Two convolutions, each with an activation, of which many values are above 6."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3), activation(), nn.Conv2d(4, 5, 3), activation()]
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)).double()
    nn.init.normal_(net[0].weight, std=10)
    nn.init.normal_(net[2].weight, std=0.2)
    return Classifier(net.eval(), layer="3", **NEUTRAL)


def test_relu6_passes_what_is_positive_between_its_ends() -> None:
    model, images = rectified(nn.ReLU6), pictures(2).double()
    with torch.no_grad():
        first = model.net[0](images)
        second = model.net[2](first.clamp(0, 6))
        seed = torch.zeros_like(second)
        seed[:, 2] = second[:, 2].clamp(0, 6)
        g = F.conv_transpose2d(seed * ((second > 0) & (second < 6)), model.net[2].weight)
        assert ((first > 6) & (g > 0)).any()
        g = F.conv_transpose2d(g.clamp_min(0) * ((first > 0) & (first < 6)), model.net[0].weight)
    torch.testing.assert_close(back_project(model, images, "3", 2), g)


def test_what_has_no_guided_rule_is_refused_unless_the_rule_is_off() -> None:
    model, images = rectified(nn.GELU), pictures(2).double()
    with pytest.raises(ValueError, match="this network has GELU"):
        back_project(model, images, "3", 2)
    found = back_project(model, images, "3", torch.tensor([2, 2]), guided=False)
    images.requires_grad_()
    (expected,) = torch.autograd.grad(
        energy(model, images, "3", torch.tensor([2, 2])).sum(), images
    )
    torch.testing.assert_close(found, expected)


def strided(kernel: int = 5, stride: int = 2) -> Classifier:
    """Four convolutions, the first two with a stride, with random weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs, s in ((3, 16, stride), (16, 32, stride), (32, 64, 1), (64, 64, 1)):
        k = kernel if s > 1 else 3
        layers += [nn.Conv2d(inputs, outputs, k, s, k // 2), nn.BatchNorm2d(outputs), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 4)]
    return Classifier(nn.Sequential(*layers, *head).double().eval(), layer="11", **NEUTRAL)


def to_maps(signal: Tensor) -> Tensor:
    return signal.clamp_min(0).norm(dim=1, keepdim=True)


def test_smoothing_takes_the_grid_out_of_strided_convolutions() -> None:
    """48 maps of a network with random weights; periods of the first stride and of both."""
    model = strided()
    images = torch.rand(
        12, 3, 64, 64, dtype=torch.double, generator=torch.Generator().manual_seed(1)
    )
    spread = {}
    for smooth in (False, True):
        maps = [to_maps(back_project(model, images, "11", c, smooth=smooth)) for c in range(4)]
        spread[smooth] = phase_spread(torch.cat(maps), 2).mean()
    assert spread[False] > 0.2
    assert spread[True] <= spread[False] / 10


def test_without_a_stride_smoothing_changes_nothing() -> None:
    model, images = strided(stride=1), pictures(2, 24, 24).double()
    pooled = nn.Sequential(*model.net[:3], nn.MaxPool2d(2), *model.net[3:]).eval()
    for net, layer in ((model.net, "11"), (pooled, "12")):
        model = Classifier(net, layer=layer, **NEUTRAL)
        plain, smooth = (back_project(model, images, layer, 2, smooth=s) for s in (False, True))
        assert torch.equal(plain, smooth)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "groups"),
    [
        ((13, 18), 3, 2, 0, 1, 1),
        ((20, 17), (5, 3), (3, 2), (2, 1), 1, 1),
        ((16, 16), 4, 4, 0, 1, 2),
        ((19, 19), 3, (1, 2), 2, 2, 1),
        ((9, 9), 1, 3, 0, 1, 1),
    ],
)
def test_every_geometry_of_a_convolution_comes_back_at_the_size_it_came_from(
    size: tuple[int, int],
    kernel: object,
    stride: object,
    padding: object,
    dilation: int,
    groups: int,
) -> None:
    """Against a loop: every output of stride 1 has the value of the nearest output there is."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups).double()
    x = torch.rand(2, 4, *size, dtype=torch.double, requires_grad=True)
    with BackwardRules():
        y = conv(x)
    torch.testing.assert_close(y, conv(x))
    signal = torch.rand_like(y)
    (found,) = torch.autograd.grad(y, x, signal)
    dense = F.conv2d(x, conv.weight, None, 1, conv.padding, conv.dilation, groups)
    spread = torch.empty_like(dense)
    for i in range(dense.shape[2]):
        for j in range(dense.shape[3]):
            near = i * y.shape[2] // dense.shape[2], j * y.shape[3] // dense.shape[3]
            spread[:, :, i, j] = signal[:, :, *near]
    (expected,) = torch.autograd.grad(dense, x, spread)
    torch.testing.assert_close(found, expected)


def test_the_rules_change_no_output() -> None:
    model, images = resnet(), pictures(2, 40, 40).double()
    expected = model(images)
    with BackwardRules():
        assert torch.equal(model(images), expected)


def test_a_batch_gives_what_its_images_give() -> None:
    model, images, channels = small(), pictures(3).double(), torch.tensor([5, 0, 3])
    together = back_project(model, images, "5", channels)
    singles = [back_project(model, images[i : i + 1], "5", channels[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(singles), rtol=0, atol=1e-12)
    assert back_project(model, images[:0], "5", 1).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    "mode", [contextlib.nullcontext, torch.no_grad, torch.inference_mode], ids=str
)
@pytest.mark.parametrize("frozen", [False, True], ids=["trainable", "frozen"])
def test_modes_change_nothing_and_the_model_is_left_as_it_was(mode: type, frozen: bool) -> None:
    model, images = small(inplace=True), pictures().double()
    expected = back_project(small(inplace=True), images, "5", 2)
    model.requires_grad_(not frozen)
    before = state_of(model)
    with mode():
        found = back_project(model, images.clone(), "5", 2)
    assert torch.equal(found, expected)
    assert state_of(model) == before
    assert not found.requires_grad


def test_what_does_not_exist_is_refused() -> None:
    model, images = small(), pictures().double()
    with pytest.raises(ValueError, match="no module called '55'"):
        back_project(model, images, "55", 0)
    with pytest.raises(ValueError, match="channel 6 is out of range: the layer has 6"):
        back_project(model, images, "5", 6)
    with pytest.raises(ValueError, match=r"'5:1' did not run"):
        back_project(model, images, "5:1", 0)


def test_the_phase_spread_of_known_maps() -> None:
    """A map of ones has none; ones in one phase of four have the spread of (1, 0, 0, 0)."""
    maps = torch.ones(3, 1, 8, 8)
    maps[1] = 0
    maps[1, :, ::2, ::2] = 5.0
    maps[2] = 0
    assert phase_spread(maps, 2).tolist() == pytest.approx([0, 3**0.5, 0])
    assert phase_spread(maps, 1).tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    with pytest.raises(ValueError, match="stride must be from 1"):
        phase_spread(maps, 9)
