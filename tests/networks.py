"""Small networks whose answers are known or quick to compute, shared by the tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xaicore.attribution import METHODS
from xaicore.classifier import Classifier

QUICK = {
    "opti-cam": {"iterations": 3},
    "rise": {"masks": 20},
    "occlusion": {"window": 4, "stride": 3},
    "extremal-perturbation": {"iterations": 4},
    "integrated-gradients": {"steps": 4},
    "smoothgrad": {"samples": 4},
    "gradient-shap": {"samples": 4},
}
"""Options that make costly methods quick enough for a test of all; the others have none."""

ATTENTION = {name for name, method in METHODS.items() if method.family == "attention"}

NEUTRAL = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def pooled_network(inplace: bool = False, channels: int = 6, classes: int = 5) -> nn.Sequential:
    """Two convolutions, ReLU, global average pooling and a linear layer, in evaluation mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace),
        nn.Conv2d(8, channels, 3, 1, 1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    ).eval()


def classifier(inplace: bool = False, layer: str = "5", **settings: object) -> Classifier:
    """The pooled network as a classifier that looks at its last ReLU."""
    return Classifier(pooled_network(inplace), layer=layer, **settings)  # type: ignore[arg-type]


def pictures(count: int = 3, height: int = 16, width: int = 16, seed: int = 1) -> Tensor:
    """Random pixels in [0, 1], smooth enough for the networks to tell them apart."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").clamp(0, 1)


class LinearPixels(nn.Module):
    """Logits that are sums of pixels: class c scores the sum of colour channel c."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).sum(dim=(2, 3))


class Counter(nn.Module):
    """Counts the images that pass forward and the gradients that come back to the input."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.forwards = 0
        self.backwards = 0

    def forward(self, images: Tensor) -> Tensor:
        self.forwards += len(images)
        if images.requires_grad:
            images.register_hook(self._came_back)
        return self.net(images)

    def _came_back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


class GradientCounter(Counter):
    """Also keeps the largest batch, and sees to it that gradients are asked of images alone."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.largest = 0

    def forward(self, images: Tensor) -> Tensor:
        self.largest = max(self.largest, len(images))
        if images.requires_grad:
            assert not any(parameter.requires_grad for parameter in self.parameters())
        return super().forward(images)


def state_of(model: nn.Module) -> list[object]:
    """Everything about a model that a call could disturb."""
    parts: list[object] = []
    for name, module in model.named_modules():
        hooks = [len(v) for k, v in vars(module).items() if k.endswith("hooks")]
        parts += [name, module.training, hooks]
    for name, parameter in model.named_parameters():
        parts += [name, parameter.requires_grad, parameter.grad, id(parameter), parameter._version]
    parts += [(name, id(buffer), buffer._version) for name, buffer in model.named_buffers()]
    return parts
