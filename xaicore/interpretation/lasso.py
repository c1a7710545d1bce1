r"""The non-negative :math:`\mu`-lasso, solved exactly along its path.

For responses :math:`X`, one image per column, and one-hot labels :math:`L`,

.. math:: W^* = \arg\min_W \lVert X^\top W - L^\top \rVert_F^2 \quad \text{s.t.} \quad
    W \ge 0, \ \lVert w_j \rVert_1 \le \mu \ \text{for every class } j

The columns are independent and see the data through :math:`G = X X^\top` and :math:`B = X L^\top`
alone. With a multiplier :math:`\lambda` for the sum, a column :math:`w` is optimal if and only if

.. math:: w \ge 0, \quad \textstyle\sum_i w_i \le \mu, \quad b - G w \le \lambda, \quad
    \lambda \ge 0, \quad w^\top (\lambda - b + G w) = 0, \quad
    \lambda \, (\mu - \textstyle\sum_i w_i) = 0

As :math:`\lambda` falls from :math:`\max b`, where :math:`w = 0`, the solution moves along
straight lines: a feature joins when its correlation :math:`b - G w` meets :math:`\lambda`, and
leaves when its weight falls to 0. Osborne, Presnell and Turlach, IMA Journal of Numerical Analysis
20 (2000); Efron et al., Annals of Statistics 32 (2004).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.interpretation.responses import Layer, Responses

Vector = npt.NDArray[np.float64]

DEPENDENT = 1e-10
"""A feature whose part outside the span of the others is a smaller share of it adds nothing."""

STEPS_PER_FEATURE = 20
"""How many events one column may have for each feature, before the path is given up."""


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """What the least squares needs to know of the data; it adds up over batches.

    Attributes:
        G: the Gram matrix of the features, float64 ``(m, m)``.
        B: their products with the labels, float64 ``(m, C)``.
        counts: how many images each class has, float64 ``(C,)``.
        layers: what the features are.
    """

    G: Tensor
    B: Tensor
    counts: Tensor
    layers: tuple[Layer, ...]

    @staticmethod
    def of(batches: Responses | Iterable[Responses], labels: str = "predicted") -> NormalEquations:
        """Sum over responses, of any number of images, by ``"predicted"`` or ``"true"`` classes.

        Raises:
            ValueError: there are no responses, or of other layers in one batch than in another.
        """
        parts = [batches] if isinstance(batches, Responses) else batches
        total: NormalEquations | None = None
        for part in parts:
            own = _of_one(part, labels)
            total = own if total is None else total + own
        if total is None:
            raise ValueError("there are no responses: the data set is empty")
        return total

    def __add__(self, other: NormalEquations) -> NormalEquations:
        if self.layers != other.layers:
            raise ValueError("responses of different layers do not add up: give the same layers")
        return NormalEquations(
            self.G + other.G, self.B + other.B, self.counts + other.counts, self.layers
        )

    def error(self, W: Tensor) -> Tensor:
        """Return the mean squared error of each class's regression, ``(C,)``; W is ``(m, C)``."""
        squares = (W * (self.G @ W - 2 * self.B)).sum(0) + self.counts
        return squares / self.counts.sum()


def _of_one(batch: Responses, labels: str) -> NormalEquations:
    x = batch.x.double()
    L = F.one_hot(batch.labels(labels), batch.num_classes).double()
    return NormalEquations(x.T @ x, x.T @ L, L.sum(0), batch.layers)


def mu_lasso(equations: NormalEquations, mu: float) -> Tensor:
    """Return the optimal W, float64 ``(m, C)``; ``mu = inf`` leaves non-negativity alone.

    Cost per class: about twice as many small linear systems as there are features in the solution.

    Args:
        equations: the normal equations of m features and C classes.
        mu: the bound on the sum of each class's weights, not negative. It means nothing without
            the scale of the responses.

    Raises:
        ValueError: ``mu`` is negative or not a number.
    """
    if not mu >= 0:
        raise ValueError(f"mu must be 0 or more, not {mu}")
    G, B = equations.G.numpy(), equations.B.numpy()
    columns = [_column(G, b, mu) for b in B.T]
    return torch.from_numpy(np.stack(columns, axis=1))


def kkt_residual(equations: NormalEquations, W: Tensor, mu: float) -> Tensor:
    r"""Return how far each class is from optimal, ``(C,)``: 0 if and only if it is.

    The largest violation of the conditions: of correlations as a share of :math:`\max |b|`, of
    weights as a share of the sum.

    Args:
        equations: the normal equations.
        W: the weights, ``(m, C)``.
        mu: the bound they were found under.
    """
    total = W.clamp_min(0).sum(0)
    correlation = equations.B - equations.G @ W
    carried = (correlation * W).sum(0) / total.where(total > 0, 1)
    full = total >= mu * (1 - 1e-9)
    bound = torch.where(full, torch.where(total > 0, carried, correlation.amax(0)), 0).clamp_min(0)
    above = (correlation - bound).clamp_min(0)
    slack = torch.where(W > 0, (bound - correlation).abs(), 0)
    scale = equations.B.abs().amax(0)
    dual = torch.maximum(above, slack).amax(0) / scale.where(scale > 0, 1)
    over = (total - mu).clamp_min(0) if mu < float("inf") else torch.zeros_like(total)
    primal = torch.maximum(-W.amin(0), over) / total.where(total > 0, 1)
    return torch.maximum(dual, primal)


class _Event(NamedTuple):
    """The next thing that happens as the multiplier falls."""

    at: float
    feature: int | None = None
    joins: bool = False


def _column(G: Vector, b: Vector, mu: float) -> Vector:
    """Follow one class's path down to where the weights sum to mu, or the multiplier is 0."""
    w = np.zeros(len(b))
    at = float(b.max())
    if at <= 0 or mu == 0:
        return w
    active, barred = [int(b.argmax())], set[int]()
    for _ in range(STEPS_PER_FEATURE * len(b)):
        ends, falls = _solve(G, b, active)
        event = _next(G, b, (active, ends, falls), at, mu, barred)
        if event.feature is None:
            w[active] = np.maximum(ends - event.at * falls, 0)
            return w
        at = event.at
        if not event.joins:
            active.remove(event.feature)
            barred = set()
        elif _depends(G, active, event.feature):
            barred.add(event.feature)
        else:
            active.append(event.feature)
            barred = set()
    raise ValueError(
        "the path of the lasso goes on and on: features are too close to being multiples of each "
        "other; leave layers out"
    )


def _solve(G: Vector, b: Vector, active: list[int]) -> tuple[Vector, Vector]:
    """Return u and d of the weights u - lambda d of the active features."""
    both = np.stack([b[active], np.ones(len(active))], axis=1)
    u, d = np.linalg.solve(G[np.ix_(active, active)], both).T
    return u, d


def _next(
    G: Vector,
    b: Vector,
    line: tuple[list[int], Vector, Vector],
    at: float,
    mu: float,
    barred: set[int],
) -> _Event:
    """Return the event at the largest multiplier that is not above ``at``."""
    active, u, d = line
    events = [_Event(0.0)]
    if np.isfinite(mu):
        events.append(_Event(max(0.0, float((u.sum() - mu) / d.sum()))))
    slope = G[:, active] @ d
    rising = slope < 1
    rising[[*active, *barred]] = False
    meets = np.full(len(b), -np.inf)
    meets[rising] = (b - G[:, active] @ u)[rising] / (1 - slope[rising])
    first = int(meets.argmax())
    events.append(_Event(min(float(meets[first]), at), first, True))
    empties = np.where(d < 0, u / np.where(d < 0, d, 1), -np.inf)
    last = int(empties.argmax())
    events.append(_Event(min(float(empties[last]), at), active[last]))
    return max(events, key=lambda event: event.at)


def _depends(G: Vector, active: list[int], feature: int) -> bool:
    """Whether a feature lies in the span of the active ones, to within rounding."""
    shared = G[active, feature]
    apart = G[feature, feature] - shared @ np.linalg.solve(G[np.ix_(active, active)], shared)
    return bool(apart <= DEPENDENT * G[feature, feature])
