r"""Opti-CAM's objective climbed in the map, which is kept inside the cone of what channels make.

The map has :math:`N = hw` positions where the weights are hundreds, and the objective knows it up
to scale and, where it is stretched, up to a constant. So the map itself takes Adam's step, and the
weights follow: those, none of them negative, whose map is nearest to where the step led.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xaicore.attribution.ascent import Adam, project


@dataclass(frozen=True)
class Cone:
    """How far and how carefully the map climbs.

    Attributes:
        iterations: the number of steps; all of them are taken.
        learning_rate: the length of a step at each position, in ranges of the map.
        betas: the decay of Adam's first and second moments.
        rounds: how long each search for the nearest map of the cone is.
        half: whether rounding is traded for speed: bfloat16 where the device computes in it.
    """

    iterations: int
    learning_rate: float
    betas: tuple[float, float]
    rounds: int = 60
    half: bool = True


def climb(
    objective: Callable[[Tensor], Tensor],
    features: Tensor,
    weights: Tensor,
    settings: Cone,
    *,
    shifted: bool,
) -> tuple[Tensor, Tensor]:
    r"""Return the best weights that were met, and the objective of all that were.

    With the maps :math:`s = A^\top w` of range 1 and Adam's :math:`\eta, \hat m, q`, a step is

    .. math:: w \leftarrow \arg\min_{w \ge 0}\, \min_b \sum_p q_p
        \big(A^\top w + b - (s + \eta\, \hat m / q)\big)_p^2

    Cost: a forward and a backward for each step and a forward more, for the last weights.

    Args:
        objective: what maps ``(B, N)`` are worth, ``(B,)``, each by itself.
        features: the channels :math:`A`, ``(B, K, N)``.
        weights: where the search starts, ``(B, K)``, each row of sum 1; none is negative.
        settings: how far and how carefully.
        shifted: whether the objective knows maps up to a constant only.

    Returns:
        Weights ``(B, K)``, none negative, each row of sum 1, and values ``(steps + 1, B)``, those
        of the start first.
    """
    adam = Adam(settings.learning_rate, settings.betas, ahead=True, steps=settings.iterations)
    first = second = features.new_zeros(features.shape[0], features.shape[2])
    best, value, path = weights, weights.new_full(weights.shape[:1], -torch.inf), []
    for step in range(1, settings.iterations + 2):
        maps = (weights[:, None] @ features)[:, 0]
        size = _size(maps, shifted)
        weights, maps = weights / size, (maps / size).requires_grad_()
        with torch.set_grad_enabled(step <= settings.iterations):
            reached = objective(maps)
        path.append(reached.detach().to(value))
        better = ~(path[-1] <= value) & (weights != 0).any(1)  # NaN is better, to be seen
        value = torch.where(better, path[-1], value)
        best = torch.where(better[:, None], weights, best)
        if step <= settings.iterations:
            (gradient,) = torch.autograd.grad(reached.sum(), maps)
            first, second = adam.moments(first, second, gradient)
            ahead = maps.detach() + adam.step(step, first, second, gradient)
            metric = adam.metric(step, second)
            weights = project(
                features, ahead, metric, weights, rounds=settings.rounds, shifted=shifted
            )
    return best / best.sum(1, keepdim=True), torch.stack(path)


def _size(maps: Tensor, shifted: bool) -> Tensor:
    """Return what brings maps ``(B, N)`` to one scale, ``(B, 1)``: their range or their maximum."""
    highest = maps.amax(1, keepdim=True)
    size = highest - maps.amin(1, keepdim=True) if shifted else highest
    return torch.where(size > 0, size, 1)
