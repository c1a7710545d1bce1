"""Flowers before a plain backdrop, in two domains that differ in nothing but the outline of petals.

Number, direction and tilt of the petals are drawn whatever their shape, and so are all colours. A
flower of one domain therefore has exactly one partner in the other, which a translation can be held
against; ``ray`` has a number of petals of its own, and no partner.
"""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xaibook.flowers.dataset import FLOWER_PARTS
from xaibook.flowers.rendering import RGB, SUBPIXELS, Flower, Layout, Scene

DOMAINS = ("round", "pointed")
SIZE = 32
LAYOUT = Layout(
    radius=(0.44, 0.48),
    disc=(0.28, 0.38),
    room_below=1.15,
    distractors=(0, 0),
    blobs=(0, 0),
    palette=("red",),
    palette_share=0.0,
    petals=(5, 5),
)
"""One large flower with five petals and nothing beside it: a product photograph."""

FIRST = {"round": 0, "pointed": 10_000}
"""Seed of the first training picture of each domain: no flower is in both."""

TRAINING = 3000
PAIRS = 512
JUDGE_FIRST = 500_000
TEST_FIRST = 900_000
COLOURS = 101
"""Second word of the seed that colours are drawn from, apart from those of the renderer."""


class Pictures(NamedTuple):
    """Rendered flowers and all that is known of them.

    Attributes:
        images: pixels ``(N, 3, H, W)`` in ``[0, 1]``.
        parts: the share of each pixel that shows each of ``FLOWER_PARTS``, ``(N, 4, H, W)``.
        geometry: how each flower stands, ``(N, 7)``, in the order of ``Scene.geometry``.
    """

    images: Tensor
    parts: Tensor
    geometry: Tensor

    @property
    def petals(self) -> Tensor:
        """The share of each pixel that shows petals, ``(N, 1, H, W)``."""
        return self.parts[:, :1]

    def take(self, which: Tensor) -> Pictures:
        """Return some of the pictures."""
        return Pictures(*(field[which] for field in self))


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> RGB:
    hue, *rest = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    red, green, blue = (int(255 * channel) for channel in colorsys.hsv_to_rgb(hue, *rest))
    return red, green, blue


def scene(seed: int, shape: str, layout: Layout = LAYOUT, cluttered: bool = False) -> Scene:
    """Return a flower of a domain; the same seed gives its partner in another domain.

    Args:
        seed: decides everything but the outline of the petals.
        shape: the domain, one of ``xaibook.flowers.rendering.SHAPES``.
        layout: how the scene is composed.
        cluttered: whether the flower stands on the ground of the other chapters, at times with a
            leaf across its head, and not before a plain backdrop.
    """
    rng = np.random.default_rng([seed, COLOURS])
    petal = _colour(rng, (0.5, 0.95), (0.35, 0.85))
    centre = _colour(rng, (0.5, 0.95), (0.2, 0.9))
    flower = Flower(shape, petal, centre, stem=_colour(rng, (0.4, 0.8), (0.3, 0.6)))
    backdrop = None if cluttered else _colour(rng, (0, 0.25), (0.85, 1))
    return Scene(flower, None, layout, seed, seed, seed, backdrop=backdrop)


def pictures(
    shape: str, first: int, count: int, size: int = SIZE, cluttered: bool = False
) -> Pictures:
    """Render flowers of a domain; about a millisecond each.

    Args:
        shape: the domain.
        first: seed of the first one.
        count: how many, at least one.
        size: their width and height.
        cluttered: as in ``scene``.
    """
    scenes = [scene(seed, shape, cluttered=cluttered) for seed in range(first, first + count)]
    drawn = [some.render(size) for some in scenes]
    images = torch.from_numpy(np.stack([one.image for one in drawn])).permute(0, 3, 1, 2) / 255
    shown = np.stack([[one.coverage[part] for part in FLOWER_PARTS] for one in drawn])
    stands = torch.tensor([list(some.geometry().values()) for some in scenes])
    return Pictures(images.contiguous(), torch.from_numpy(shown) / SUBPIXELS, stands)


def training(shape: str, count: int = TRAINING, size: int = SIZE) -> Pictures:
    """Return training pictures of a domain: no flower of which the other domain shows."""
    return pictures(shape, FIRST[shape], count, size)


def paired(shape: str, count: int = PAIRS, size: int = SIZE) -> Pictures:
    """Return test pictures of a domain: the same flowers in each."""
    return pictures(shape, TEST_FIRST, count, size)
