"""Maps that know nothing of the network: what a method must beat to have explained anything."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.capture import full_precision
from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier


class Floor(Explainer):
    """A map of the image alone, the same for every network and every class.

    The network never runs, so a class that it does not have goes unnoticed.
    """

    family = "no explanation"
    cost = "none"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return self._draw(full_precision(images.detach()))

    @abstractmethod
    def _draw(self, images: Tensor) -> Tensor:
        """Return the maps ``(B, 1, H, W)`` of pixels that are float32 at least."""


class FakeCAM(Floor):
    """A map that explains nothing: one everywhere, zero at the top-left pixel.

    It keeps nearly the whole image, so a metric that it wins does not measure explanation.
    Cost: nothing. Source: Poppi et al., CVPR Workshops 2021.

    Example:
        >>> xc.FakeCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "fake-cam"
    label = "Fake-CAM"

    def _draw(self, images: Tensor) -> Tensor:
        maps = torch.ones_like(images[:, :1])
        maps[..., 0, 0] = 0
        return maps


class Noise(Floor):
    """Uniform noise, the same for every image of a size.

    Cost: nothing.

    Args:
        classifier: the classifier, in evaluation mode.
        seed: of the noise; another one for each image gives independent noise.

    Example:
        >>> xc.Noise(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "noise"
    label = "Noise"

    def __init__(self, classifier: Classifier, seed: int = 0) -> None:
        super().__init__(classifier)
        self.seed = seed

    def _draw(self, images: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.rand(1, 1, *images.shape[-2:], generator=generator)
        return noise.to(images).repeat(len(images), 1, 1, 1)


class Centre(Floor):
    """A Gaussian in the centre of each image.

    Cost: nothing.

    Args:
        classifier: the classifier, in evaluation mode.
        sigma: its standard deviation, as a share of the image's shorter side.

    Raises:
        ValueError: ``sigma`` is not positive.

    Example:
        >>> xc.Centre(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "centre"
    label = "Centre"

    def __init__(self, classifier: Classifier, sigma: float = 0.25) -> None:
        super().__init__(classifier)
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, not {sigma}")
        self.sigma = sigma

    def _draw(self, images: Tensor) -> Tensor:
        width = self.sigma * min(images.shape[-2:])
        y, x = (torch.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
        gaussian = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * width**2))
        return gaussian.to(images).repeat(len(images), 1, 1, 1)


class Edges(Floor):
    """The edges of each image: the length of the Sobel gradient of its luminance.

    The image is continued by its border pixels, so the border is no edge. Cost: nothing.

    Example:
        >>> xc.Edges(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "edges"
    label = "Edges"

    def _draw(self, images: Tensor) -> Tensor:
        grey = F.pad(luminance(images), (1, 1, 1, 1), mode="replicate")
        down = grey[..., :-2, :] + 2 * grey[..., 1:-1, :] + grey[..., 2:, :]
        right = grey[..., :-2] + 2 * grey[..., 1:-1] + grey[..., 2:]
        across = down[..., 2:] - down[..., :-2]
        along = right[..., 2:, :] - right[..., :-2, :]
        return torch.hypot(across, along)


class Colour(Floor):
    """How far each pixel's colour is from the mean colour of its image.

    Cost: nothing.

    Example:
        >>> xc.Colour(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "colour"
    label = "Colour"

    def _draw(self, images: Tensor) -> Tensor:
        return (images - images.mean((2, 3), keepdim=True)).norm(dim=1, keepdim=True)


def luminance(images: Tensor) -> Tensor:
    """Return how bright pixels are ``(B, 1, H, W)``; the mean of other channels than three."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    return (0.2989 * red).add(green, alpha=0.587).add(blue, alpha=0.114)
