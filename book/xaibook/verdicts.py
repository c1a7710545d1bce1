r"""The rule by which a claim is judged: pure functions of numbers.

A comparison takes a difference :math:`d` of two quantities in units that are independent: images,
or, where the claim is about training, networks. With mean :math:`\bar d` and standard error
:math:`s` over :math:`n` units its 95 % interval is :math:`I = \bar d \pm q s`, where :math:`q` is
1.96 for images and Student's quantile for networks. The comparison states the range :math:`R` that
the difference should lie in; the sign that is claimed is that of R, or, where two quantities are
said to be about equal, that of the published difference. It then

* *holds* if I lies in R;
* has the *same direction, another size* if all of I has the claimed sign, and none of it lies in R;
* is *contradicted here* if all of I has the other sign, or, of two that are said to be equal, lies
  outside R with no published sign to agree with;
* is *undecided here* otherwise; and also where networks that were trained alike disagree, or where
  the contradiction would not survive the number of comparisons that its chapter makes (Holm).

So a margin, which is ours, never turns the sign that a paper claims into a contradiction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from scipy.special import stdtr, stdtrit

HOLDS = "holds"
SAME_DIRECTION = "same direction, another size"
UNDECIDED = "undecided here"
CONTRADICTED = "contradicted here"
NOT_TESTABLE = "not testable here"
VERDICTS = (HOLDS, SAME_DIRECTION, UNDECIDED, CONTRADICTED, NOT_TESTABLE)

LEVEL = 0.05
"""How often an interval may miss, and how often a chapter may contradict a claim by chance."""

COUNTLESS = 100_000
"""More units than anybody has: a difference that needs so many is next to nothing."""


@dataclass(frozen=True)
class Claimed:
    """What is claimed of a difference.

    Attributes:
        low: the lower end of R.
        high: the upper end of R.
        sign: 1 or -1 for the sign that is claimed, 0 if none is.
        order: whether the sign itself is the claim, and R only says how large.
    """

    low: float
    high: float
    sign: int
    order: bool


@dataclass(frozen=True)
class Difference:
    """A measured difference.

    Attributes:
        mean: over the units.
        error: the standard error of the mean; NaN with one unit.
        n: the number of units.
        unit: ``"image"`` or ``"network"``.
        networks: the mean of each network, where several were trained alike.
    """

    mean: float
    error: float
    n: int
    unit: str = "image"
    networks: Sequence[float] = ()

    def quantile(self, level: float = LEVEL) -> float:
        """Return how many standard errors an interval extends that misses so often."""
        return _quantile(self.unit, self.n, level)

    @property
    def half_width(self) -> float:
        """The half-width of the 95 % interval."""
        return self.quantile() * self.error

    def p_value(self, value: float) -> float:
        """Return how probable a mean so far from a value is, on both sides; 1 where unknown."""
        away = abs(self.mean - value)
        if math.isnan(self.error):
            return 1.0
        if self.error == 0:
            return 0.0 if away else 1.0
        return _tail(self.unit, self.n, away / self.error)


@dataclass(frozen=True)
class Finding:
    """What came out of a comparison.

    Attributes:
        outcome: one of the verdicts.
        p: the p-value of a contradiction, 1 where the difference does not contradict.
        agree: how many of the networks are as claimed.
    """

    outcome: str
    p: float
    agree: int


def compare(difference: Difference, claimed: Claimed) -> Finding:
    """Judge one comparison by itself.

    Args:
        difference: what was measured.
        claimed: what is claimed of it.
    """
    low = difference.mean - difference.half_width
    high = difference.mean + difference.half_width
    outcome = _position(low, high, claimed)
    points = [_position(mean, mean, claimed) for mean in difference.networks]
    if any(not _agree(point, outcome) for point in points):
        outcome = UNDECIDED
    p = 1.0
    if outcome == CONTRADICTED:
        p = difference.p_value(0 if claimed.order else _nearest(difference.mean, claimed))
    return Finding(outcome, p, sum(_as_claimed(mean, claimed) for mean in difference.networks))


def corrected(findings: Sequence[Finding], level: float = LEVEL) -> list[Finding]:
    """Take back the contradictions that a family of comparisons would produce by chance.

    Args:
        findings: all comparisons of the family, here of a chapter.
        level: how often the family may contradict anything if nothing is contrary.
    """
    kept = holm([finding.p for finding in findings], level)
    return [
        replace(finding, outcome=UNDECIDED)
        if finding.outcome == CONTRADICTED and not sure
        else finding
        for finding, sure in zip(findings, kept, strict=True)
    ]


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which of several hypotheses are rejected, together wrongly no oftener than ``level``.

    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Args:
        p_values: one for each hypothesis.
        level: the probability to reject any that is true.
    """
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(order):
        if p_values[place] > level / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected


def at_scale(outcomes: Sequence[str]) -> str:
    """Return the verdict at one scale of a claim that makes several comparisons: all must hold."""
    for verdict in (CONTRADICTED, UNDECIDED, SAME_DIRECTION, HOLDS):
        if verdict in outcomes:
            return verdict
    return NOT_TESTABLE


def over_scales(verdicts: Sequence[str]) -> str:
    """Return the verdict of a claim from those at its scales.

    Scales that leave it undecided, or cannot test it, do not count against it; one that contradicts
    it does.
    """
    for verdict in (CONTRADICTED, SAME_DIRECTION, HOLDS, UNDECIDED):
        if verdict in verdicts:
            return verdict
    return NOT_TESTABLE


def needed(difference: Difference, claimed: Claimed, level: float = LEVEL) -> tuple[int, str]:
    """Return how many units would decide an undecided comparison, and which.

    The mean and the spread are taken as they are. Networks are counted where they disagree.

    Args:
        difference: what was measured.
        claimed: what is claimed of it.
        level: how often the interval may miss, less where many comparisons are corrected.

    Returns:
        The number, ``COUNTLESS`` if it is no less, and ``"image"`` or ``"network"``.
    """
    unit, error, n = difference.unit, difference.error, difference.n
    if unit == "image" and not _unanimous(difference.networks, claimed):
        unit, n = "network", len(difference.networks)
        mean = sum(difference.networks) / n
        squares = sum((each - mean) ** 2 for each in difference.networks)
        error = math.sqrt(squares / (n - 1) / n)
    away = _distance(difference.mean, claimed)
    if math.isnan(error) or not away > 0:
        return COUNTLESS, unit
    spread = error * math.sqrt(n)
    low, high = 2, COUNTLESS
    while low < high:  # the interval narrows with every unit
        middle = (low + high) // 2
        narrow = _quantile(unit, middle, level) * spread / math.sqrt(middle) < away
        low, high = (low, middle) if narrow else (middle + 1, high)
    return low, unit


def _position(low: float, high: float, claimed: Claimed) -> str:
    """How an interval lies to what is claimed; undecided if one of its ends is unknown."""
    right = low > 0 if claimed.sign > 0 else high < 0 if claimed.sign < 0 else False
    wrong = high <= 0 if claimed.sign > 0 else low >= 0 if claimed.sign < 0 else False
    if claimed.low < low and high < claimed.high:
        return HOLDS
    if high <= claimed.low or low >= claimed.high:
        if right:
            return SAME_DIRECTION
        if wrong or not claimed.order:
            return CONTRADICTED
    return UNDECIDED


def _agree(point: str, outcome: str) -> bool:
    """Whether one network is on the side of all: sizes may differ, signs may not."""
    return outcome in (UNDECIDED, point) or {point, outcome} <= {HOLDS, SAME_DIRECTION}


def _as_claimed(mean: float, claimed: Claimed) -> bool:
    if claimed.order:
        return mean * claimed.sign > 0
    return claimed.low < mean < claimed.high


def _unanimous(networks: Sequence[float], claimed: Claimed) -> bool:
    return len({_as_claimed(mean, claimed) for mean in networks}) < 2


def _nearest(mean: float, claimed: Claimed) -> float:
    """The end of R that is nearer."""
    return min((claimed.low, claimed.high), key=lambda end: abs(mean - end))


def _distance(mean: float, claimed: Claimed) -> float:
    """How far the mean is from the border that would decide it."""
    ends = [abs(mean - end) for end in (claimed.low, claimed.high) if math.isfinite(end)]
    return min([abs(mean), *ends] if claimed.order else ends)


def _quantile(unit: str, n: int, level: float) -> float:
    if unit == "image":
        return NormalDist().inv_cdf(1 - level / 2)
    if n < 2:
        return math.inf
    return float(stdtrit(n - 1, 1 - level / 2))


def _tail(unit: str, n: int, errors: float) -> float:
    """The probability beyond so many standard errors, on both sides."""
    if unit == "image":
        return 2 * NormalDist().cdf(-errors)
    return float(2 * stdtr(n - 1, -errors)) if n > 1 else 1.0
