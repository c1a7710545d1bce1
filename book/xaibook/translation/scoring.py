"""How right a translation is, against the picture it should have been. Values are per picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xaibook.translation.judge import Judge
from xaibook.translation.model import Pair
from xaibook.translation.scenes import Pictures

LEAST = 4
"""Pixels of petal that source and answer must share for colours to be compared on them."""


def regions(source: Tensor, answer: Tensor) -> dict[str, Tensor]:
    """Return masks ``(B, 1, H, W)`` of two partners, from the shares that show petals.

    Args:
        source: the share of each pixel that shows petals, ``(B, 1, H, W)``.
        answer: the same of the partner.

    Returns:
        ``"core"``: petal in both; ``"gone"``: only in the source; ``"new"``: only in the answer;
        ``"rest"``: in neither. Pixels on an edge are in none of them. Pointed petals lie within
        round ones: one way next to nothing is new, the other way next to nothing goes.
    """
    return {
        "core": (source == 1) & (answer == 1),
        "gone": (source > 0.5) & (answer < 0.2),
        "new": (answer > 0.5) & (source < 0.2),
        "rest": (source == 0) & (answer == 0),
    }


def mean_in(images: Tensor, mask: Tensor) -> Tensor:
    """Return the mean ``(B, channels)`` of each picture over its mask ``(B, 1, H, W)``."""
    weight = mask.to(images.dtype)
    return (images * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Return intersection over union of masks ``(B, H, W)``, ``(B,)``; 0 where both are empty."""
    both, either = (one & other).flatten(1).sum(1), (one | other).flatten(1).sum(1)
    return both / either.clamp_min(1)


@dataclass(frozen=True)
class Task:
    """Pictures to translate, and the answers.

    Attributes:
        source: pictures of one domain.
        answer: their partners in the other.
        second: whether the other is the second domain.
        judge: tells outline and shape.
    """

    source: Pictures
    answer: Pictures
    second: bool
    judge: Judge

    @torch.inference_mode()
    def score(self, images: Tensor) -> dict[str, Tensor]:
        """Return how right pictures are, each value ``(B,)``.

        Args:
            images: what is to show the flowers of the source with the petals of the answer, pixels
                ``(B, 3, H, W)``. Their number is that of the source.

        Returns:
            ``outline``: intersection over union of the petals that the judge sees with the true
            ones; ``other``: with those of the next flower, chance; ``shape``: whether the judge
            names the domain of the answer; ``colour``: distance of the mean colours of the core;
            ``deviation``: the same of the mean colour of all answers; ``core`` and ``rest``: mean
            absolute error in these regions; ``l1``: over all. What has no core has no colours: NaN.
        """
        masks = regions(self.source.petals, self.answer.petals)
        seen, logit = self.judge(images)
        petals, truth = seen[:, 0] > 0, self.answer.petals[:, 0] > 0.5
        error = (images - self.answer.images).abs().mean(1, keepdim=True)
        known = masks["core"].flatten(1).sum(1) >= LEAST
        found, right = (mean_in(x, masks["core"]) for x in (images, self.answer.images))
        blank = torch.full((len(images),), torch.nan)
        return {
            "outline": overlap(petals, truth),
            "other": overlap(petals, truth.roll(1, 0)),
            "shape": ((logit > 0) == self.second).float(),
            "colour": torch.where(known, (found - right).norm(dim=1), blank),
            "deviation": torch.where(known, (right - right[known].mean(0)).norm(dim=1), blank),
            "core": torch.where(known, mean_in(error, masks["core"])[:, 0], blank),
            "rest": mean_in(error, masks["rest"])[:, 0],
            "l1": error.mean((1, 2, 3)),
        }


def explained(colour: Tensor, deviation: Tensor) -> float:
    """Return R², the share of the variance of colours that is explained; below 0 if permuted.

    Args:
        colour: the column of ``Task.score``, ``(B,)``.
        deviation: the column of that name.
    """
    return 1 - (colour.square().nansum() / deviation.square().nansum()).item()


def spread(images: Tensor, answers: Tensor) -> float:
    """Return the mean distance of pictures from one another, relative to that of the answers.

    It is below 1 where different flowers become alike.
    """
    half = len(images) // 2

    def apart(x: Tensor) -> Tensor:
        return (x[:half] - x[half : 2 * half]).abs().mean()

    return (apart(images) / apart(answers)).item()


def tasks(first: Pictures, second: Pictures, judge: Judge) -> dict[str, Task]:
    """Return both directions: ``"forth"``, into the second domain, and ``"back"``."""
    return {
        "forth": Task(first, second, True, judge),
        "back": Task(second, first, False, judge),
    }


@torch.inference_mode()
def round_trip(pair: Pair, images: Tensor, direction: str) -> Tensor:
    """Return the mean absolute error of pictures translated there and back, ``(B,)``."""
    one, other = (pair.forth, pair.back) if direction == "forth" else (pair.back, pair.forth)
    return (other(one(images)) - images).abs().mean((1, 2, 3))


def floors(task: Task, others: Tensor) -> dict[str, Tensor]:
    """Return pictures that no translation should be worse than.

    Args:
        task: what is to be translated.
        others: real pictures of the answer's domain, ``(N, 3, H, W)``: none of the answers.

    Returns:
        ``unchanged``, the ``mean`` of the others, the ``nearest`` of them by their means of 2x2
        pixels, the same with ``colours moved`` to the source's mean and deviation, and a ``random``
        one.
    """
    source = task.source.images
    nearest = others[nearest_of(source, others)]
    generator = torch.Generator().manual_seed(0)
    return {
        "unchanged": source,
        "mean": others.mean(0, keepdim=True).expand_as(source),
        "nearest": nearest,
        "nearest, colours moved": recoloured(nearest, source),
        "random": others[torch.randint(len(others), (len(source),), generator=generator)],
    }


def nearest_of(images: Tensor, others: Tensor) -> Tensor:
    """Return which other picture is nearest to each by its means of 2x2 pixels, ``(B,)``."""
    small, fewer = (F.avg_pool2d(x, 2).flatten(1) for x in (images, others))
    return torch.cdist(small, fewer).argmin(1)


def recoloured(images: Tensor, like: Tensor) -> Tensor:
    """Return images whose colours have the mean and the deviation of others, by channel."""
    mean, like_mean = (x.mean((2, 3), keepdim=True) for x in (images, like))
    deviation, like_deviation = (x.std((2, 3), keepdim=True) for x in (images, like))
    scaled = (images - mean) / deviation.clamp_min(0.02) * like_deviation + like_mean
    return scaled.clamp(0, 1)
