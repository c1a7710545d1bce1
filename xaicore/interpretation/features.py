"""Which channels are relevant for which class, how surely, and at which bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from xaicore.interpretation.lasso import NormalEquations, mu_lasso
from xaicore.interpretation.responses import Layer, Responses

if TYPE_CHECKING:
    import pandas as pd

MU = 10.0
"""The bound in the authors' code, for responses on this scale (5 for their flowers)."""

FRACTIONS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Where the path is looked at, as shares of the bound from which on it binds no class."""


class Unit(NamedTuple):
    """A channel of a layer.

    Attributes:
        layer: the name of the layer, as in ``responses.Layer``.
        channel: the number of the channel.
    """

    layer: str
    channel: int


@dataclass(frozen=True, eq=False)
class RelevantFeatures:
    """The weight of every channel for every class; most are zero.

    Attributes:
        W: the weights, not negative, float64 ``(m, C)``.
        layers: the layers whose m channels the rows are.
        mu: the bound on the sum of a column.
        labels: the labels that were regressed on, ``"predicted"`` or ``"true"``.
    """

    W: Tensor
    layers: tuple[Layer, ...]
    mu: float
    labels: str

    @property
    def units(self) -> tuple[Unit, ...]:
        """The channel of each row of ``W``."""
        return tuple(Unit(name, c) for name, channels in self.layers for c in range(channels))

    @property
    def bound(self) -> Tensor:
        """Whether ``mu`` binds each class, ``(C,)``; else positivity alone made it sparse."""
        return self.W.sum(0) >= self.mu * (1 - 1e-9)

    def of_class(self, target: int) -> list[int]:
        """Return the rows that are relevant for a class, the strongest first.

        Raises:
            ValueError: there is no such class.
        """
        if not 0 <= target < self.W.shape[1]:
            raise ValueError(
                f"class {target} is out of range: the classes are 0…{self.W.shape[1] - 1}"
            )
        order = self.W[:, target].argsort(descending=True, stable=True)
        return order[self.W[order, target] > 0].tolist()

    def table(self, classes: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the relevant features: class, layer, channel and weight, the strongest first.

        Args:
            classes: the names of the classes; ``None``: their numbers.
        """
        import pandas as pd

        units = self.units
        rows = [
            {
                "class": classes[target] if classes else target,
                **units[row]._asdict(),
                "weight": self.W[row, target].item(),
            }
            for target in range(self.W.shape[1])
            for row in self.of_class(target)
        ]
        return pd.DataFrame(rows, columns=["class", "layer", "channel", "weight"])

    def shuffled(self, seed: int) -> RelevantFeatures:
        """Return as many features with the same weights, of random channels of the same layers.

        What these explain as well is not owed to the choice of channels.
        """
        generator = torch.Generator().manual_seed(seed)
        parts = self.W.split([layer.channels for layer in self.layers])
        moved = [part[torch.randperm(len(part), generator=generator)] for part in parts]
        return replace(self, W=torch.cat(moved))


def identify(
    batches: Responses | Iterable[Responses], mu: float = MU, labels: str = "predicted"
) -> RelevantFeatures:
    r"""Find the channels whose responses tell a class, by the non-negative :math:`\mu`-lasso.

    Nothing is kept but sums over the images, so the data set may have any size. Cost: that of the
    responses, and ``mu_lasso``. Source: Oramas et al., ICLR 2019, whose released code leaves this
    step out; the classes the network predicts are regressed on, for it is the network that is to
    be explained.

    Args:
        batches: what ``responses`` yields.
        mu: the bound on the sum of each class's weights; ``inf``: none.
        labels: ``"predicted"`` or ``"true"`` classes.

    Raises:
        ValueError: there are no responses, or an argument is none of what it may be.
    """
    equations = NormalEquations.of(batches, labels)
    return RelevantFeatures(mu_lasso(equations, mu), equations.layers, mu, labels)


def largest_mu(equations: NormalEquations) -> float:
    """Return the bound from which on no class is bound: the largest sum of weights without one."""
    return mu_lasso(equations, float("inf")).sum(0).amax().item()


def mu_path(
    equations: NormalEquations,
    held_out: NormalEquations | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> pd.DataFrame:
    r"""Return what the bound does to each class.

    Args:
        equations: of the images that W is fitted to.
        held_out: of others, on which the error is measured; ``None``: the same.
        fractions: bounds, as shares of ``largest_mu``; at 1 positivity alone makes W sparse.

    Returns:
        One row per fraction and class: ``fraction``, ``mu``, ``class``, ``features``, the number of
        relevant ones, ``norm``, the sum of their weights, ``bound``, whether it reaches ``mu``, and
        ``error``, the mean squared error of the regression.
    """
    import pandas as pd

    largest, rows = largest_mu(equations), []
    for fraction in fractions:
        mu = fraction * largest
        found = RelevantFeatures(mu_lasso(equations, mu), equations.layers, mu, "")
        columns = {
            "features": (found.W > 0).sum(0),
            "norm": found.W.sum(0),
            "bound": found.bound,
            "error": (held_out or equations).error(found.W),
        }
        rows.append(pd.DataFrame({"fraction": fraction, "mu": mu, **columns}))
    path = pd.concat(rows).rename_axis("class").reset_index()
    return path[["fraction", "mu", "class", "features", "norm", "bound", "error"]]


class Stability(NamedTuple):
    """How far the choice of features is a matter of the sample.

    Attributes:
        jaccard: overlap of each draw's features with those of all images, ``(draws, C)``; 1 where
            both are the same, or both empty.
        frequency: the share of draws in which each feature is chosen, ``(m, C)``.
    """

    jaccard: Tensor
    frequency: Tensor


def stability(
    found: Responses, mu: float = MU, labels: str = "predicted", draws: int = 20, seed: int = 0
) -> Stability:
    """Choose features again from images drawn with replacement.

    Of channels that respond alike the lasso takes one and leaves the others: a low overlap warns of
    that. Cost: ``draws`` times the lasso; no forward.

    Args:
        found: the responses to all images.
        mu: the bound.
        labels: ``"predicted"`` or ``"true"`` classes.
        draws: the number of samples, at least 1.
        seed: of the samples.

    Raises:
        ValueError: there is no draw, or an argument is none of what it may be.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, not {draws}")
    generator = torch.Generator().manual_seed(seed)
    whole = identify(found, mu, labels).W > 0
    chosen = torch.stack(
        [
            identify(
                found[torch.randint(len(found), (len(found),), generator=generator)], mu, labels
            ).W
            > 0
            for _ in range(draws)
        ]
    )
    both, either = (chosen & whole).sum(1).double(), (chosen | whole).sum(1).double()
    jaccard = torch.where(either > 0, both / either.clamp_min(1), 1)
    return Stability(jaccard, chosen.double().mean(0))
