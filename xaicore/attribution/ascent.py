"""Gradient ascent on many rows at once, each as if it were alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

EPSILON = 1e-8

FLAT = 1e-4
"""What share of the longest column's length one must have to shape a map."""


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
        return rate * mean / self.metric(t, second)

    def metric(self, t: int, second: Tensor) -> Tensor:
        r"""Return :math:`\sqrt{\hat v} + \epsilon`, by which step ``t`` is measured.

        The step goes as far as a rise of :math:`\hat m \cdot \Delta u` is worth its length
        :math:`\sum_p q_p\, \Delta u_p^2 / 2 \eta` in this metric :math:`q`.
        """
        return (second / (1 - self.betas[1] ** t)).sqrt() + EPSILON


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


def project(
    features: Tensor,
    target: Tensor,
    metric: Tensor,
    weights: Tensor,
    *,
    rounds: int,
    shifted: bool = True,
) -> Tensor:
    r"""Return the weights of the point of a cone that is nearest to a target, about.

    .. math:: \arg\min_{w \ge 0}\, \min_b \sum_p q_p \Big(\sum_k w_k A_{kp} + b - z_p\Big)^2

    These are non-negative least squares, by accelerated projected gradients on columns of length 1,
    with a restart for each row by itself. Channels that are flat in the metric receive 0. Cost: 4 K
    P multiplications a round and row; no pass. Sources: Beck and Teboulle, SIAM J. Imaging Sciences
    2 (2009); O'Donoghue and Candès, Found. Comput. Math. 15 (2015).

    Args:
        features: the vectors :math:`A` that span the cone, ``(B, K, P)``.
        target: :math:`z`, ``(B, P)``.
        metric: :math:`q`, positive, ``(B, P)``.
        weights: where the search starts, ``(B, K)``.
        rounds: how many gradients are followed. Sixty come close; ten times as many are exact.
        shifted: whether the constant :math:`b` is free, or 0.
    """
    share = metric / metric.sum(1, keepdim=True)
    if shifted:
        features = features - (share[:, None] * features).sum(2, keepdim=True)
        target = target - (share * target).sum(1, keepdim=True)
    columns, wanted = features * share.sqrt()[:, None], (target * share.sqrt())[:, None]
    length = columns.norm(dim=2)[:, None]
    alive = length > FLAT * length.amax(2, keepdim=True)
    length = torch.where(alive, length, 1)
    columns = columns * (alive / length).mT
    found = _nearest(columns, wanted, weights[:, None] * length * alive, rounds)
    return (found / length)[:, 0]


def _nearest(columns: Tensor, wanted: Tensor, found: Tensor, rounds: int) -> Tensor:
    """Return the weights, none negative, whose sum of columns is nearest to what is wanted."""
    rows = (columns.mT / _largest(columns, columns.mT)).contiguous()
    ahead, momenta = found.clone(), _momenta(rounds).to(found)
    since = torch.full_like(found[:, :, :1], -1, dtype=torch.long)  # rounds since a restart
    nothing, one = found.new_zeros(1), since.new_ones(1)  # a number would be made one each round
    for _ in range(rounds):
        stepped = (ahead - ahead.bmm(columns).sub_(wanted).bmm(rows)).relu_()
        moved = stepped - found
        over = ahead.sub_(stepped).mul_(moved).sum(2, keepdim=True) > nothing
        since.add_(one).masked_fill_(over, 0)
        ahead = torch.addcmul(stepped, momenta.take(since), moved)
        found = stepped
    return found


def _momenta(rounds: int) -> Tensor:
    """Return Nesterov's momentum of each round since the last restart."""
    clocks = [1.0]
    for _ in range(rounds):
        clocks.append((1 + sqrt(1 + 4 * clocks[-1] ** 2)) / 2)
    ratios = [(now - 1) / after for now, after in pairwise(clocks)]
    return torch.tensor(ratios, dtype=torch.float64)


def _largest(columns: Tensor, rows: Tensor) -> Tensor:
    """Return a close upper bound of the largest eigenvalue of each Gram matrix, ``(B, 1, 1)``.

    That is the root of degree 8 of the sum of the eigenvalues' powers of that degree.
    """
    small = columns @ rows if columns.shape[1] < columns.shape[2] else rows @ columns
    scale = small.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    scale = torch.where(scale > 0, scale, 1)
    power = small / scale
    for _ in range(2):
        power = power @ power
    bound = scale * power.square().sum((1, 2), keepdim=True) ** (1 / 8)
    return torch.where(bound > 0, bound, 1)
