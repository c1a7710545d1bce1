"""Changes to how a network reduces height and width."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

from torch import nn

from xaicore.classifier import torchvision_class

Net = TypeVar("Net", bound=nn.Module)


def for_small_images(net: Net) -> Net:
    """Let a torchvision network see images of 32 pixels: its first layers reduce them less.

    Of a ResNet the first convolution becomes 3x3 with stride 1, with new random weights, and the
    max-pooling goes; of a MobileNet-V2 the first two strides become 1 and all weights stay.

    Args:
        net: a ResNet or a MobileNet-V2 of torchvision; it is changed and returned.

    Raises:
        ValueError: the network is another.
    """
    known: Any = net
    kind = torchvision_class(net)
    if kind == "ResNet":
        known.conv1 = nn.Conv2d(3, known.conv1.out_channels, 3, 1, 1, bias=False)
        known.maxpool = nn.Identity()
    elif kind == "MobileNetV2":
        strided = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
        for convolution in strided[:2]:
            convolution.stride = (1, 1)
    else:
        raise ValueError(
            f"net: a stem for small images is known for torchvision's ResNet and MobileNetV2, not "
            f"for {type(net).__name__}"
        )
    return net


def averaged_downsampling(net: Net) -> Net:
    """Let a network reduce height and width by averages, where strides skip positions.

    A convolution of stride 2 becomes one of stride 1 and an average over 2x2; one of 1x1, which
    would see a quarter of the positions, follows the average instead. With strides, the gradient of
    the pixels carries the grid of the positions that are met (He et al., CVPR 2019; Zhang, ICML
    2019). No weight changes; odd sizes are rounded up, as with strides. Cost: up to four times
    that of each strided 3x3 convolution.

    Args:
        net: a network; it is changed and returned. Its state dict keeps its tensors, and each
            changed convolution's is called ``….conv.weight``.
    """
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                setattr(parent, name, _averaged(child))
    return net


def _averaged(convolution: nn.Conv2d) -> nn.Sequential:
    convolution.stride = (1, 1)
    average = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
    steps = [("conv", convolution), ("average", average)]
    if convolution.kernel_size == (1, 1):
        steps.reverse()
    return nn.Sequential(OrderedDict[str, nn.Module](steps))
