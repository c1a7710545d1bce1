"""Networks as people bring them, small, and with answers that are known without the package."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

import xaicore as xc
from xaicore.classifier import Classifier

P = torch.tensor([5.0], dtype=torch.float64).sigmoid().item()
"""The probability of each of the two things in the picture of ``Halves``."""


def network(channels: int = 3, classes: int = 4) -> nn.Sequential:
    """A convolution, ReLU, average pooling and a linear layer; a CAM looks at layer 1."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    ).eval()


def classifier(
    net: nn.Module, channels: int = 3, layer: object = "1", **more: object
) -> Classifier:
    """A network as a classifier; its pixels are normalised to -1…1."""
    return Classifier(net, (0.5,) * channels, (0.5,) * channels, layer=layer, **more)  # type: ignore[arg-type]


def images(channels: int = 3, n: int = 2) -> Tensor:
    return torch.rand(n, channels, 12, 16, generator=torch.Generator().manual_seed(1))


def of_volumes() -> nn.Sequential:
    """A network of volumes (B, 1, D, H, W)."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()


def of_one_logit() -> nn.Sequential:
    """A network of one logit, which is about -2."""
    net = network(classes=1)
    nn.init.constant_(net[4].bias, -2)  # type: ignore[arg-type]
    return net


def of_nan() -> nn.Sequential:
    """A network with a weight that is NaN."""
    net = network()
    nn.init.constant_(net[0].weight, torch.nan)  # type: ignore[arg-type]
    return net


def small_resnet(kind: type[models.ResNet] = models.ResNet) -> models.ResNet:
    """A ResNet of four blocks and four classes."""
    torch.manual_seed(0)
    return kind(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=4).eval()


def segmentation(logits: Tensor) -> Tensor:
    """Logits for each of 5 x 5 places."""
    return logits[:, :, None, None].expand(-1, -1, 5, 5)


class Halves(nn.Module):
    """A multi-label network: its first class is in the left half, its second in the right."""

    def __init__(self) -> None:
        super().__init__()
        self.feat = nn.Conv2d(3, 2, 1, bias=False)
        nn.init.constant_(self.feat.weight, 1 / 3)

    def forward(self, x: Tensor) -> Tensor:
        f = self.feat(x)
        left, right = f[:, 0, :, :8].mean((1, 2)), f[:, 1, :, 8:].mean((1, 2))
        return torch.stack([8 * left - 3, 8 * right - 3, -5 + 0 * left], 1)


class Returning(nn.Module):
    """A network that returns its logits as its author liked."""

    def __init__(self, form: object) -> None:
        super().__init__()
        self.form, self.net = form, network()

    def forward(self, x: Tensor) -> object:
        return self.form(self.net(x))  # type: ignore[operator]


class Cut(nn.Module):
    """A network whose author cut the graph between its layers and its logits."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net, self.how = network(), how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return self.net(x)
        if self.how == "detach":
            return self.net[2:](self.net[:2](x).detach())
        return torch.from_numpy(np.asarray(self.net(x).detach()))


def shape(model: Classifier, shown: Tensor, target: object = 1, method: str = "GradCAM") -> str:
    """Explain images, and tell the shape of the maps."""
    maps = getattr(xc, method)(model)(shown, target)
    assert 0 <= maps.min() <= maps.max() <= 1
    return f"maps of shape {tuple(maps.shape)}"


# Functions for --model --------------------------------------------------------------------------


def colour() -> nn.Module:
    return network()


def grey() -> nn.Module:
    return network(1)


def binary() -> nn.Module:
    return network(classes=1)


def flat() -> nn.Module:
    """A network that sees nothing: its maps are constant."""
    net = network()
    nn.init.zeros_(net[0].weight)  # type: ignore[arg-type]
    return net


class Broken(nn.Module):
    """A network with a slip of the pen."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.hed(x)  # type: ignore[operator]


def broken() -> nn.Module:
    return Broken().eval()


class Interrupted(nn.Module):
    """A network during which its user presses Ctrl-C."""

    def forward(self, x: Tensor) -> Tensor:
        raise KeyboardInterrupt


def interrupted() -> nn.Module:
    return Interrupted().eval()


def scores() -> nn.Module:
    """A network whose logits have another name."""
    return Returning(lambda y: {"scores": y}).eval()


class Brightest(nn.Module):
    """Says of which of four colours a picture is: black, red, green or blue."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.new_full((len(x), 1), -1), x.mean((2, 3))], 1)


def named() -> Classifier:
    """The network of colours with the names of its classes."""
    classes = ["black", "red", "green", "deep blue"]
    return Classifier(Brightest().eval(), (0.5,) * 3, (0.5,) * 3, classes=classes)


def nameless() -> nn.Module:
    return Brightest().eval()
