"""Gradient ascent on many rows at once, each as if it were alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-8


@dataclass(frozen=True)
class Adam:
    r"""Adam's steps upwards, as published, or looking ahead and coming to rest.

    With the moments :math:`m, v` of the gradient :math:`g` at step :math:`t` of :math:`T`:

    .. math:: \Delta u = \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon}, \qquad
        \hat m = \frac{m}{1 - \beta_1^t}, \quad \hat v = \frac{v}{1 - \beta_2^t}

    Looking ahead, with Nesterov's momentum,
    :math:`\hat m = \beta_1 m / (1 - \beta_1^{t+1}) + (1 - \beta_1)\, g / (1 - \beta_1^t)`, and over
    the second half of the steps :math:`\eta` falls linearly, as :math:`2 (T - t + 1) / T`.

    Sources: Kingma and Ba, ICLR 2015; Dozat, ICLR workshop 2016.

    Attributes:
        learning_rate: :math:`\eta`.
        betas: :math:`\beta_1, \beta_2`.
        ahead: whether it looks ahead and comes to rest.
        steps: how many steps there will be, :math:`T`.
    """

    learning_rate: float
    betas: tuple[float, float]
    ahead: bool
    steps: int

    def moments(self, first: Tensor, second: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the moments after one more gradient, ``(B, K)`` each."""
        return (
            torch.lerp(gradient, first, self.betas[0]),
            torch.lerp(gradient.square(), second, self.betas[1]),
        )

    def step(self, t: int, first: Tensor, second: Tensor, gradient: Tensor) -> Tensor:
        """Return step ``t``, counted from 1; the moments contain the gradient already."""
        beta, rate = self.betas[0], self.learning_rate
        mean = first / (1 - beta**t)
        if self.ahead:
            rate *= min(1, 2 * (self.steps - t + 1) / self.steps)
            mean = beta * first / (1 - beta ** (t + 1)) + (1 - beta) * gradient / (1 - beta**t)
        deviation = (second / (1 - self.betas[1] ** t)).sqrt()
        return rate * mean / (deviation + EPSILON)


def natural_gradient(gradient: Tensor, weights: Tensor) -> Tensor:
    r"""Return the direction in which :math:`w = \mathrm{softmax}(u)` gains most per change of w.

    Changes of weights are measured by the Fisher information of the softmax,
    :math:`\mathrm{diag}(w) - w w^\top`, which also gives the direction the length 1:

    .. math:: d_k \propto \frac{\partial F}{\partial w_k} -
        \sum_j w_j \frac{\partial F}{\partial w_j}, \qquad \sum_k w_k d_k^2 = 1

    The plain gradient is :math:`w_k d_k`, up to the length: it forgets channels of small weight.
    Source: Amari, Neural Computation 10 (1998).

    Args:
        gradient: :math:`\partial F / \partial w`, ``(B, K)``; where it is zero, so is the result.
        weights: :math:`w`, ``(B, K)``; each row sums to 1.
    """
    centred = gradient - (weights * gradient).sum(1, keepdim=True)
    length = (weights * centred.square()).sum(1, keepdim=True).sqrt()
    return centred / torch.where(length > 0, length, 1)
