"""Two variational autoencoders, and who says whether what they make looks real.

All sizes are for pictures of 32x32 pixels; any multiple of four will do.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CODE = 32
WIDTH = 16
CELL = 4
"""Width of the squares of pixels that become one cell of channels."""

SLOPE = 0.2


class Block(nn.Module):
    """A residual block that sees 7x7 cells, for its second convolution is dilated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels, 3, padding=1)
        self.far = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to the same shape."""
        return h + self.far(F.leaky_relu(self.near(F.leaky_relu(h, SLOPE)), SLOPE))


class Encoder(nn.Module):
    """From pictures to the mean and the logarithm of the variance of their codes."""

    def __init__(self, size: int, width: int, code: int) -> None:
        super().__init__()
        cells = (size // CELL) ** 2
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(CELL),
            nn.Conv2d(3 * CELL**2, 2 * width, 3, padding=1),
            Block(2 * width),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(2 * width * cells, 2 * code),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map pixels ``(B, 3, H, W)`` to two tensors ``(B, code)``."""
        mean, log_variance = self.layers(2 * x - 1).chunk(2, 1)
        return mean, log_variance.clamp(-10, 4)


class Decoder(nn.Sequential):
    """From codes ``(B, code)`` to pixels ``(B, 3, H, W)`` in (0, 1)."""

    def __init__(self, size: int, width: int, code: int) -> None:
        side = size // CELL
        super().__init__(
            nn.Linear(code, 2 * width * side**2),
            nn.Unflatten(1, (2 * width, side, side)),
            Block(2 * width),
            Block(2 * width),
            nn.Conv2d(2 * width, 3 * CELL**2, 3, padding=1),
            nn.PixelShuffle(CELL),
            nn.Sigmoid(),
        )


class VAE(nn.Module):
    """A variational autoencoder whose code is a vector (Kingma and Welling, ICLR 2014).

    Args:
        size: width and height of the pictures, a multiple of 4.
        width: half the channels of a block.
        code: numbers in a code.

    Raises:
        ValueError: the size is no multiple of 4.
    """

    def __init__(self, size: int = 32, width: int = WIDTH, code: int = CODE) -> None:
        super().__init__()
        if size % CELL or size < CELL:
            raise ValueError(f"size must be a multiple of {CELL}, not {size}")
        self.size, self.code = size, code
        self.encoder, self.decoder = Encoder(size, width, code), Decoder(size, width, code)

    def encode(self, images: Tensor) -> Tensor:
        """Return the means of the codes ``(B, code)`` of pixels ``(B, 3, H, W)`` in [0, 1]."""
        mean: Tensor = self.encoder(images)[0]
        return mean

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode, draw a code, decode.

        Args:
            images: pixels ``(B, 3, H, W)`` in [0, 1].
            noise: standard normal, ``(B, code)``.

        Returns:
            The decoded pixels, the code, and its mean and the logarithm of its variance.
        """
        code, mean, log_variance = self.sample(images, noise)
        return self.decoder(code), code, mean, log_variance

    def sample(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a code drawn for each picture, and the mean and log-variance it comes from."""
        mean, log_variance = self.encoder(images)
        return mean + (log_variance / 2).exp() * noise, mean, log_variance


class Pair(nn.Module):
    """A VAE for each domain; what one encodes, the other can decode.

    Attributes:
        a: the VAE of the first domain.
        b: the VAE of the second.
    """

    def __init__(self, a: VAE, b: VAE) -> None:
        super().__init__()
        self.a, self.b = a, b

    @torch.inference_mode()
    def forth(self, images: Tensor) -> Tensor:
        """Translate pictures of the first domain, ``(B, 3, H, W)``, into the second."""
        translated: Tensor = self.b.decoder(self.a.encode(images))
        return translated

    @torch.inference_mode()
    def back(self, images: Tensor) -> Tensor:
        """Translate pictures of the second domain into the first."""
        translated: Tensor = self.a.decoder(self.b.encode(images))
        return translated


class Discriminator(nn.Module):
    """How much a picture looks like each domain: two heads on one body.

    A head adds the mean of what it says of overlapping patches, 22 pixels wide, and what it says of
    the whole.
    """

    def __init__(self, size: int = 32, width: int = WIDTH) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        self.patch = nn.Conv2d(4 * width, 2, 1)
        self.whole = nn.Linear(4 * width * (size // 8) ** 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores ``(B, 2)`` of pixels ``(B, 3, H, W)``: 1 real, 0 not."""
        h = self.body(2 * x - 1)
        scores: Tensor = self.patch(h).mean((2, 3)) + self.whole(h.flatten(1))
        return scores
