"""A reader of petals that was never shown a translation: their mask, and their shape."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xaibook.translation import scenes

CHANNELS = 12
BLURRED = 0.6
"""Share of the training pictures that are blurred, so that a score does not measure sharpness."""


class Judge(nn.Module):
    """A small U-Net (Ronneberger et al., MICCAI 2015) that also names the domain."""

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        c = channels
        self.levels = nn.ModuleList(
            [
                _convolution(3, c),
                nn.Sequential(_convolution(c, 2 * c, 2), _convolution(2 * c, 2 * c)),
                nn.Sequential(_convolution(2 * c, 4 * c, 2), _convolution(4 * c, 4 * c)),
                nn.Sequential(_convolution(4 * c, 4 * c, 2), _convolution(4 * c, 4 * c)),
            ]
        )
        widths = [(8 * c, 2 * c), (4 * c, c), (2 * c, c)]
        self.up = nn.ModuleList([_convolution(*width) for width in widths])
        self.mask = nn.Conv2d(c, 1, 1)
        self.shape = nn.Linear(5 * c, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits: petals, at each pixel ``(B, 1, H, W)``, and second domain ``(B,)``."""
        h, seen = 2 * images - 1, []
        for level in self.levels:
            h = level(h)
            seen.append(h)
        deepest = seen.pop()
        for up in self.up:
            h = up(torch.cat([F.interpolate(h, scale_factor=2.0), seen.pop()], 1))
        pooled = torch.cat([deepest.mean((2, 3)), h.amax((2, 3))], 1)
        return self.mask(h), self.shape(pooled).squeeze(1)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU())


def blur(images: Tensor, sigma: float) -> Tensor:
    """Return images ``(B, 3, H, W)`` smoothed by a Gaussian of so many pixels."""
    weights = torch.exp(-(torch.arange(-3, 4.0) ** 2) / (2 * sigma**2))
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    padded = F.pad(images, [3] * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(3, 1, 7, 7), groups=3)


def train_judge(
    steps: int = 450,
    batch: int = 64,
    count: int = scenes.TRAINING,
    shapes: tuple[str, str] = scenes.DOMAINS,
    cluttered: bool = False,
) -> Judge:
    """Train a judge on rendered flowers of its own; about a minute on one processor core.

    Args:
        steps: batches.
        batch: pictures in each.
        count: flowers, each in both domains.
        shapes: the domains.
        cluttered: as in ``scenes.scene``.
    """
    drawn = [
        scenes.pictures(shape, scenes.JUDGE_FIRST, count, cluttered=cluttered) for shape in shapes
    ]
    images, petals = (torch.cat([getattr(d, n) for d in drawn]) for n in ("images", "petals"))
    second = torch.arange(2).repeat_interleave(count).float()
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judge = Judge()
    optimizer = torch.optim.Adam(judge.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (batch,), generator=generator)
        mask, shape = judge(_worsened(images[chosen], generator))
        loss = F.binary_cross_entropy_with_logits(mask, petals[chosen])
        loss += F.binary_cross_entropy_with_logits(shape, second[chosen]) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


def _worsened(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur most batches, by chance more or less, and add a little noise to all."""
    often, much, noisy = torch.rand(3, generator=generator).tolist()
    if often < BLURRED:
        images = blur(images, 0.3 + 0.6 * much)
    noise = 0.02 * noisy * torch.randn(images.shape, generator=generator)
    return (images + noise).clamp(0, 1)
