"""Stems for small images, and averages instead of strides."""

import pytest
import torch
from torch import nn
from torchvision import models

from xaibook.flowers.network import SmallResNet
from xaicore.models.stems import averaged_downsampling, for_small_images


@pytest.mark.parametrize("build", [models.resnet18, models.mobilenet_v2])
def test_a_stem_for_small_images_reduces_them_less(build):
    net = build(num_classes=10)
    layer = net.layer4 if isinstance(net, models.ResNet) else net.features
    shapes = []
    layer.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape[-2:])))
    images = torch.rand(1, 3, 32, 32)
    net.eval()(images)
    assert for_small_images(net) is net
    assert net(images).shape == (1, 10)
    assert shapes == [(1, 1), (4, 4)]


def test_another_network_has_no_such_stem():
    with pytest.raises(ValueError, match="not for SmallResNet"):
        for_small_images(SmallResNet(2))


@pytest.mark.parametrize("size", [(16, 16), (17, 15), (1, 1)])
def test_averages_reduce_height_and_width_as_strides_do(size):
    torch.manual_seed(0)
    net, images = SmallResNet(3, (4, 8), (2, 2)).eval(), torch.rand(2, 3, *size)
    before, weights = net.stages(net.stem(images)).shape, net.stem[0].weight
    averaged_downsampling(net)
    assert net.stages(net.stem(images)).shape == before
    assert net.stem[0].conv.weight is weights
    assert not any(m.stride == (2, 2) for m in net.modules() if isinstance(m, nn.Conv2d))


def test_averages_meet_every_position_alike():
    """With a stride of 2 and a kernel of 1, three positions of four would get no gradient."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, 2))
    images = torch.rand(1, 1, 6, 6, requires_grad=True)
    (strided,) = torch.autograd.grad(net(images).sum(), images)
    (averaged,) = torch.autograd.grad(averaged_downsampling(net)(images).sum(), images)
    assert (strided != 0).double().mean() == 0.25
    assert averaged.min() == averaged.max() != 0
