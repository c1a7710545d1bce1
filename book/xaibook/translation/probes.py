"""What the numbers of a code say: read by ridge regression, moved along directions, swapped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from xaibook.translation.judge import Judge
from xaibook.translation.model import VAE, Pair
from xaibook.translation.scenes import Pictures
from xaibook.translation.scoring import mean_in, overlap, regions

PENALTY = 1e-2
GROUPS = {
    "petals' colour": range(3),
    "centre's colour": range(3, 6),
    "backdrop's colour": range(6, 9),
    "place and size": range(9, 13),
    "turn": range(13, 15),
    "stem": range(15, 16),
}
"""The columns of ``factors``, by what they say."""

STYLE = range(9)
"""The columns that say a colour."""


def factors(shown: Pictures) -> Tensor:
    """Return what varies between flowers of one domain, ``(N, 16)``, in columns of ``GROUPS``.

    Colours are measured where nothing but the part is seen; how a flower stands is known.
    """
    petal, centre = (shown.parts[:, k : k + 1] == 1 for k in (0, 1))
    backdrop = shown.parts.sum(1, keepdim=True) == 0
    colours = [mean_in(shown.images, mask) for mask in (petal, centre, backdrop)]
    return torch.cat([*colours, shown.geometry], 1)


class Ridge(NamedTuple):
    """A linear map from standardised inputs.

    Attributes:
        mean: of the inputs, ``(n,)``.
        scale: their standard deviations.
        weights: ``(n, m)``.
        offset: ``(m,)``.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor
    offset: Tensor

    @classmethod
    def fit(cls, inputs: Tensor, outputs: Tensor, penalty: float = PENALTY) -> Ridge:
        """Fit ``(N, n)`` to ``(N, m)``, in float64, the weights' squares times ``penalty``."""
        x, y = inputs.double(), outputs.double()
        mean, scale, offset = x.mean(0), x.std(0).clamp_min(1e-6), y.mean(0)
        q = (x - mean) / scale
        gram = q.T @ q / len(q) + penalty * torch.eye(q.shape[1], dtype=q.dtype)
        weights = torch.linalg.solve(gram, q.T @ (y - offset) / len(q))
        return cls(mean, scale, weights, offset)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs ``(N, m)``, float64."""
        return (inputs.double() - self.mean) / self.scale @ self.weights + self.offset


def r2(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the share of the variance of each column that is predicted, ``(m,)``; 1 at best."""
    true = true.double()
    return 1 - (predicted - true).square().sum(0) / (true - true.mean(0)).square().sum(0)


@dataclass(frozen=True)
class Coded:
    """Flowers of both domains and their codes.

    Attributes:
        codes: of the training flowers of each domain, ``(N, code)``; no flower is in both.
        known: their factors, ``(N, 16)``.
        test_codes: of the test flowers, the same in both domains.
        test_known: their factors.
    """

    codes: tuple[Tensor, Tensor]
    known: tuple[Tensor, Tensor]
    test_codes: tuple[Tensor, Tensor]
    test_known: tuple[Tensor, Tensor]

    @classmethod
    @torch.inference_mode()
    def of(
        cls, pair: Pair, training: tuple[Pictures, Pictures], test: tuple[Pictures, Pictures]
    ) -> Coded:
        """Encode pictures of the first and of the second domain, each by its own VAE."""
        vaes = (pair.a, pair.b)

        def encoded(shown: tuple[Pictures, Pictures]) -> tuple[Tensor, Tensor]:
            a, b = (vae.encode(some.images) for vae, some in zip(vaes, shown, strict=True))
            return a, b

        def told(shown: tuple[Pictures, Pictures]) -> tuple[Tensor, Tensor]:
            return factors(shown[0]), factors(shown[1])

        return cls(encoded(training), told(training), encoded(test), told(test))

    def read(self) -> dict[str, tuple[float, float]]:
        """Return how well each group of factors is read, in the own domain and in the other.

        A probe is fitted to the codes of one domain, and reads test codes of the same domain or of
        the other: R², the mean over columns and both directions.
        """
        own, other = [], []
        for here, there in ((0, 1), (1, 0)):
            probe = Ridge.fit(self.codes[here], self.known[here])
            own.append(r2(probe(self.test_codes[here]), self.test_known[here]))
            other.append(r2(probe(self.test_codes[there]), self.test_known[there]))
        means = [torch.stack(found).mean(0) for found in (own, other)]
        return {
            name: (means[0][list(g)].mean().item(), means[1][list(g)].mean().item())
            for name, g in GROUPS.items()
        }

    def domain(self) -> float:
        """Return how often a linear probe names the domain of a test code; chance is a half."""
        labels = torch.tensor([0.0, 1.0]).repeat_interleave(len(self.codes[0]))[:, None]
        probe = Ridge.fit(torch.cat(self.codes), labels)
        right = [(probe(codes) > 0.5) == bool(i) for i, codes in enumerate(self.test_codes)]
        return torch.cat(right).double().mean().item()

    def partner(self) -> float:
        """Return how often the nearest code of the other domain is the partner's."""
        distance = torch.cdist(*self.test_codes)
        own = torch.arange(len(distance))
        found = [distance.argmin(1) == own, distance.argmin(0) == own]
        return torch.cat(found).double().mean().item()

    def importance(self) -> Tensor:
        """Return how much each number of the code says of each group and of the shape.

        Returns:
            Squared weights of probes of standardised factors, the mean over the columns of a group,
            ``(code, groups + 1)``; the last column is the shape.
        """
        codes, known = torch.cat(self.codes), torch.cat(self.known)
        standard = (known - known.mean(0)) / known.std(0)
        squared = Ridge.fit(codes, standard).weights ** 2
        shape = torch.tensor([-1.0, 1.0]).repeat_interleave(len(self.codes[0]))[:, None]
        columns = [squared[:, list(group)].mean(1) for group in GROUPS.values()]
        return torch.stack([*columns, Ridge.fit(codes, shape).weights[:, 0] ** 2], 1)


def disentanglement(importance: Tensor) -> float:
    """Return the D of Eastwood and Williams (ICLR 2018): 1 if each number says one thing only.

    Args:
        importance: not negative, ``(numbers, things)``.
    """
    shares = importance / importance.sum(1, keepdim=True).clamp_min(1e-30)
    entropy = -torch.xlogy(shares, shares).sum(1) / math.log(importance.shape[1])
    return ((importance.sum(1) / importance.sum()) * (1 - entropy)).sum().item()


def directions(codes: Tensor, known: Tensor) -> Tensor:
    """Return how a code changes with each factor alone, by least squares, ``(16, code)``."""
    ones = torch.ones(len(known), 1, dtype=torch.float64)
    solved = torch.linalg.lstsq(torch.cat([known.double(), ones], 1), codes.double()).solution
    return solved[:-1].float()


def along(codes: Tensor, known: Tensor, wanted: Tensor, moves: Tensor, columns: range) -> Tensor:
    """Return codes shifted from the factors they have to those they shall have, some columns only.

    Args:
        codes: ``(B, code)``.
        known: their factors, ``(B, 16)``.
        wanted: the factors to reach, ``(B, 16)``.
        moves: of ``directions``.
        columns: which factors to change.
    """
    chosen = list(columns)
    return codes + (wanted - known)[:, chosen] @ moves[chosen]


class Moved(NamedTuple):
    """What a change of codes did to the decoded pictures.

    Attributes:
        colour: share of the way that the petals' colour went to that of the other flower.
        outline: intersection over union of the petals with those before.
        other: the same with those of the other flower.
    """

    colour: float
    outline: float
    other: float


@dataclass(frozen=True)
class Mover:
    """Changes codes towards those of the next flower, and measures what moves.

    Attributes:
        vae: decodes.
        judge: sees the petals.
        codes: of some flowers, ``(N, code)``.
        petals: the share of each pixel that shows their petals, ``(N, 1, H, W)``.
    """

    vae: VAE
    judge: Judge
    codes: Tensor
    petals: Tensor

    def swapped(self, order: Tensor, count: int) -> Tensor:
        """Return codes whose first ``count`` numbers in an order are the next flower's."""
        changed = self.codes.clone()
        changed[:, order[:count]] = self.codes.roll(1, 0)[:, order[:count]]
        return changed

    @torch.inference_mode()
    def measure(self, changed: Tensor) -> Moved:
        """Say what changed codes ``(N, code)`` do; towards the next flower's is the way."""
        before, after = self.vae.decoder(self.codes), self.vae.decoder(changed)
        core = regions(self.petals, self.petals.roll(1, 0))["core"]
        kept = core.flatten(1).sum(1) >= 8
        start, end, now = (mean_in(x, core)[kept] for x in (before, before.roll(1, 0), after))
        way = end - start
        seen, masks = self.judge(before)[0][:, 0] > 0, self.judge(after)[0][:, 0] > 0
        return Moved(
            (((now - start) * way).sum() / way.square().sum()).item(),
            overlap(masks, seen).mean().item(),
            overlap(masks, seen.roll(1, 0)).mean().item(),
        )
