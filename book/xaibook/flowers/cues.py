"""Flowers with a cue that is no part of them: a mark in the corner, or the tint of the ground.

A cue can be put on, left out or exchanged for that of another class, and its mask is exact. So what
a network makes of it is measured, not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xaibook.flowers.dataset import CENTRES, FLOWER_PARTS, SPLITS, label, sample_scene
from xaibook.flowers.rendering import COLOURS, SHAPES, SUBPIXELS
from xaicore.classifier import check_name

CLASSES = {"petals": SHAPES, "centre": CENTRES}
"""What may be asked of a flower, and the answers."""

MARKS = {"petals": ("red", "white", "blue"), "centre": ("white", "blue", "violet")}
"""The colour of each class's mark; none is a colour that tells the classes apart."""

TINTS = ((0.14, 0.02, -0.14), (-0.10, 0.12, -0.08), (-0.08, -0.04, 0.16))
"""What the ground of each class is given more or less of: sand, grass and slate."""

SIDE, MARGIN = 6 / 64, 4 / 64
"""Side of the mark and its distance from the border, of the width: training shifts by as much."""

NO_CUE = -1


class Shown(NamedTuple):
    """Flowers without cues.

    Attributes:
        images: pixels in [0, 1], ``(N, 3, size, size)``.
        flower: how much of each pixel the flower covers, in [0, 1], ``(N, 1, size, size)``.
        targets: the right answers, ``(N,)``.
    """

    images: Tensor
    flower: Tensor
    targets: Tensor

    def first(self, count: int) -> Shown:
        """Return the first of them."""
        return Shown(*(part[:count] for part in self))


def pictures(split: str, n: int, size: int = 64, asked: str = "petals") -> Shown:
    """Return the scenes of ``species`` without the rival flower, about 4 ms each.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        n: how many.
        size: width and height in pixels.
        asked: ``"petals"`` for their shape, or ``"centre"`` for its colour.

    Raises:
        ValueError: there is no such split or question.
    """
    check_name("split", split, SPLITS)
    check_name("asked", asked, CLASSES)
    scenes = [sample_scene("species", seed).without("rival") for seed in SPLITS[split][:n]]
    drawn = [scene.render(size) for scene in scenes]
    images = torch.from_numpy(np.stack([picture.image for picture in drawn]))
    covered = np.stack([sum(p.coverage[part] for part in FLOWER_PARTS) for p in drawn])
    answers = [divmod(label("species", scene), len(CENTRES)) for scene in scenes]
    return Shown(
        images.permute(0, 3, 1, 2).contiguous().float() / 255,
        (torch.from_numpy(covered)[:, None].float() / SUBPIXELS).clamp(max=1),
        torch.tensor(answers)[:, list(CLASSES).index(asked)],
    )


def mark_mask(size: int = 64) -> Tensor:
    """Return 1 where a mark lies, else 0, ``(1, 1, size, size)``."""
    mask = torch.zeros(1, 1, size, size)
    place = slice(round(MARGIN * size), round((MARGIN + SIDE) * size))
    mask[..., place, place] = 1
    return mask


def mark(images: Tensor, cue: Tensor, colours: Sequence[str] = MARKS["petals"]) -> Tensor:
    """Return pictures with a square mark near the upper left corner, 0.9 % of each.

    Args:
        images: pixels in [0, 1], ``(N, 3, size, size)``.
        cue: the class whose mark a picture carries, ``(N,)``; ``NO_CUE`` leaves it as it is.
        colours: the mark of each class.
    """
    inks = torch.tensor([COLOURS[colour] for colour in colours]).to(images)[cue.clamp_min(0)] / 255
    shown = mark_mask(images.shape[-1]).to(images) * (cue != NO_CUE)[:, None, None, None]
    return images * (1 - shown) + inks[:, :, None, None] * shown


def tint(images: Tensor, cue: Tensor, flower: Tensor) -> Tensor:
    """Return pictures whose ground, all but the flower, is tinted as that of a class.

    Args:
        images: pixels in [0, 1], ``(N, 3, size, size)``.
        cue: the class whose ground a picture has, ``(N,)``; ``NO_CUE`` leaves it as it is.
        flower: what is not ground, ``(N, 1, size, size)``.
    """
    change = torch.tensor(TINTS).to(images)[cue.clamp_min(0)] * (cue != NO_CUE)[:, None]
    return (images + change[:, :, None, None] * (1 - flower)).clamp(0, 1)


def deal(targets: Tensor, agreement: float, seed: int, classes: int = 3) -> Tensor:
    """Return a cue for each picture: that of its class so often, else that of another.

    Args:
        targets: the classes, ``(N,)``.
        agreement: probability of the own class's cue; ``1 / classes`` tells nothing.
        seed: of a generator of its own.
        classes: how many there are.

    Raises:
        ValueError: the agreement is no probability.
    """
    if not 0 <= agreement <= 1:
        raise ValueError(f"agreement must be a probability, from 0 to 1, not {agreement}")
    rng = torch.Generator().manual_seed(seed)
    agrees = torch.rand(len(targets), generator=rng) < agreement
    others = (targets + torch.randint(1, classes, targets.shape, generator=rng)) % classes
    return torch.where(agrees, targets, others)
