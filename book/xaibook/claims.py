r"""What the papers claim, as data, and what the stored records say of it.

A claim is a set of tests; each compares two quantities, image by image. For a difference :math:`d`
with mean :math:`\bar d` over :math:`n` images and standard error :math:`s`, the 95 % interval is
:math:`I = \bar d \pm 1.96\, s`, and the test states the range :math:`R` that must contain it:

=========  ==============================  =====================
key        what must hold                  R
=========  ==============================  =====================
``above``  ``of`` exceeds the other        ``(by, inf)``
``below``  ``of`` is less than the other   ``(-inf, -by)``
``near``   they differ by less than ``by`` ``(-by, by)``
=========  ==============================  =====================

The test *holds* where :math:`I` lies inside R, is *contradicted* where :math:`I` lies outside, and
is *undecided* in between. Nothing of this is typed in: new records give new verdicts.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from xaibook.chapter import RECORDS, stored
from xaibook.style import LABELS
from xaibook.wide import confidences
from xaicore.evaluation.tables import STANDARD_ERRORS
from xaicore.html import typeset
from xaicore.metrics.measures import CONFIDENCE, MEASURES, in_per_cent

HOLDS, UNDECIDED, CONTRADICTED = "holds", "undecided", "contradicted"
REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
NEEDS_MORE, NOT_RUN = "needs more than this machine", "not yet run"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, NEEDS_MORE, NOT_RUN)
OWN_UNITS = {"seconds", "spearman", "ssim"}
"""What is compared besides measures of a map, and is no share: it is not turned into per cent."""

Read = Callable[[str], pd.DataFrame | None]
"""Returns records by their name."""


@dataclass(frozen=True)
class Scale:
    """A set of images and the networks that look at them; an image counts once.

    Attributes:
        label: how the book calls it.
        networks: the names under which the records of the networks are stored.
    """

    label: str
    networks: Sequence[str]


@dataclass(frozen=True)
class Test:
    """Two quantities and the range in which their difference must lie.

    Attributes:
        metric: what is compared.
        of: the first quantity.
        relation: ``"above"``, ``"below"`` or ``"near"``.
        than: the second quantity, or a number.
        by: the margin, not negative, in the unit of the metric (points for shares).
    """

    __test__ = False  # no test of pytest's

    metric: str
    of: str
    relation: str
    than: str | float
    by: float = 0

    @property
    def range(self) -> tuple[float, float]:
        """The open interval R."""
        infinite = float("inf")
        return {
            "above": (self.by, infinite),
            "below": (-infinite, -self.by),
            "near": (-self.by, self.by),
        }[self.relation]

    @property
    def names(self) -> list[str]:
        """The quantities that are measured."""
        return [self.of, self.than] if isinstance(self.than, str) else [self.of]

    def outcome(self, mean: float, half_width: float) -> str:
        """Say how the interval lies to the range."""
        low, high = self.range
        if low < mean - half_width and mean + half_width < high:
            return HOLDS
        outside = mean + half_width <= low or mean - half_width >= high
        return CONTRADICTED if outside else UNDECIDED


@dataclass(frozen=True)
class Claim:
    """A statement of a paper in our words, and the tests that decide it.

    Attributes:
        id: short name, unique within the book.
        statement: what is claimed.
        paper: its key in the bibliography.
        source: where in the paper.
        chapter: the chapter that measures it.
        tests: what must hold.
        records: the stored records, ``{network}`` for the name of the network. A list is tried in
            its order, network by network; a table has several by name, strings or lists.
        expected: the verdict at the last look; a test of the package fails when it flips.
        scales: the names of the scales at which it can be tested.
        compare: the column of the records, or ``"records"``, that tells the quantities apart.
        reads: how the page writes a quantity, ``{}`` for its name.
        where: values that other columns of the records must have; a column that the records lack
            is passed over.
        names: for a quantity that is called otherwise in the records: its name by scale.
        tables: the tables of the paper that print the quantities.
        networks: the networks of these tables of which the paper claims it; all by default.
        figures: the published figures in words, where no table prints them.
        needs: what this machine lacks, where that is the reason for having no records.
        note: what a reader should know beside the verdict.
    """

    id: str
    statement: str
    paper: str
    source: str
    chapter: str
    tests: Sequence[Test]
    records: str | Sequence[str] | Mapping[str, str | Sequence[str]]
    expected: str
    scales: Sequence[str]
    compare: str = "method"
    reads: str = "{}"
    where: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Sequence[str] = ()
    networks: Sequence[str] = ()
    figures: str = ""
    needs: str = ""
    note: str = ""

    def name(self, quantity: str, place: str) -> str:
        """Return how a quantity is called at a scale, or in ``"published"`` figures."""
        return self.names.get(quantity, {}).get(place, quantity)

    def label(self, quantity: str | float) -> str:
        """Return how the page writes a quantity or a number: a method by its name in the book."""
        if not isinstance(quantity, str):
            return f"{quantity:g}"
        return LABELS.get(quantity, self.reads.format(quantity))

    def patterns(self) -> dict[str, list[str]]:
        """Return the stored records, by what the claim calls them: each a list to be tried."""
        by_name = self.records if isinstance(self.records, Mapping) else {"": self.records}
        return {
            name: [given] if isinstance(given, str) else list(given)
            for name, given in by_name.items()
        }

    @property
    def metrics(self) -> list[str]:
        """The metrics that are compared."""
        return list(dict.fromkeys(test.metric for test in self.tests))

    @property
    def quantities(self) -> list[str]:
        """The quantities that are compared."""
        return list(dict.fromkeys(name for test in self.tests for name in test.names))


def load(folder: Path = RECORDS) -> tuple[list[Claim], dict[str, Scale], dict[str, Any]]:
    """Return the claims of all chapters, the scales, and how chapters and papers are called.

    ``claims.toml`` holds the order of the chapters, the papers and the scales;
    ``claims.<chapter>.toml`` the claims of a chapter.
    """
    book = tomllib.loads((folder / "claims.toml").read_text(encoding="utf-8"))
    scales = {name: Scale(**entry) for name, entry in book.pop("scales").items()}
    claims = []
    for chapter in book["chapters"]:
        text = (folder / f"claims.{chapter}.toml").read_text(encoding="utf-8")
        content = tomllib.loads(text)
        claims += [claim(content["defaults"] | {"chapter": chapter} | c) for c in content["claim"]]
    return claims, scales, book


def claim(entry: Mapping[str, Any]) -> Claim:
    """Return the claim that an entry of a file states.

    Raises:
        ValueError: a test does not have one of ``above``, ``below`` and ``near``.
        TypeError: a key is missing or unknown.
    """
    return Claim(**{**entry, "tests": [_test(entry["id"], test) for test in entry["tests"]]})


def published(file: str = "published.csv") -> pd.DataFrame:
    """Return the published figures: ``paper, table, network, method, variant, metric, value``."""
    text = dict.fromkeys(("table", "variant"), str)
    return pd.read_csv(RECORDS / file, comment="#", dtype=text, keep_default_na=False)


@cache
def records(name: str) -> pd.DataFrame | None:
    """Return stored records, or ``None`` where nothing is stored under that name."""
    try:
        return stored(name)[0]
    except FileNotFoundError:
        return None


def quantities(
    claim: Claim, metric: str, place: str, scale: Scale, read: Read = records
) -> pd.DataFrame:
    """Return a metric of every quantity of a claim: a row per network and image, a column each.

    Args:
        claim: the claim.
        metric: which of its metrics.
        place: the name of the scale.
        scale: the scale.
        read: returns records by their name.
    """
    called = {claim.name(name, place): name for name in claim.quantities}
    table = _chosen(claim, scale, set(called), read)
    if table.empty or not (_of_confidence(metric) or metric in table):
        return pd.DataFrame()
    table = table.assign(value=_values(table, metric))
    wide = table.pivot(index=["network", "image"], columns="quantity", values="value")
    known = wide[[own for own in called if own in wide]].dropna(axis=1, how="all")
    return known.rename(columns=called)


def examine(claim: Claim, scales: Mapping[str, Scale], read: Read = records) -> pd.DataFrame:
    """Return what the records say of each test of a claim, at each scale that was run.

    A scale counts as run where every test of the claim can be.

    Returns:
        One row per scale and test: ``scale`` (its name), ``test`` (its number), ``mean``,
        ``half_width`` and ``n`` of the paired difference, and ``outcome``.
    """
    rows = []
    for place in claim.scales:
        found = [_paired(claim, test, place, scales[place], read) for test in claim.tests]
        if all(row is not None for row in found):
            rows += [{"scale": place, "test": i, **row} for i, row in enumerate(found) if row]
    return pd.DataFrame(rows, columns=["scale", "test", "mean", "half_width", "n", "outcome"])


def verdict(claim: Claim, evidence: pd.DataFrame) -> str:
    """Return the verdict: whether every test holds at each scale that was run, at some or at none.

    Args:
        claim: the claim.
        evidence: the table of ``examine``.
    """
    if evidence.empty:
        return NEEDS_MORE if claim.needs else NOT_RUN
    held = (evidence["outcome"] == HOLDS).groupby(evidence["scale"]).all()
    return REPRODUCED if held.all() else PARTLY if held.any() else NOT_REPRODUCED


def printed(claim: Claim, figures: pd.DataFrame) -> pd.DataFrame:
    """Return the published figures of a claim.

    Returns:
        One row per network, metric and quantity: ``network, metric, name, value``.
    """
    here = figures[(figures["paper"] == claim.paper) & figures["table"].isin(claim.tables)]
    if claim.networks:
        here = here[here["network"].isin(claim.networks)]
    methods = claim.compare == "method"
    rows = []
    for metric, name in product(claim.metrics, claim.quantities):
        own = claim.name(name, "published")
        row = {"metric": metric, "method": own if methods else claim.where.get("method", "")}
        row |= {"variant": "" if methods else own}
        found = here[(here[list(row)] == pd.Series(row)).all(axis=1)]
        rows.append(found[["network", "metric", "value"]].assign(name=name))
    return pd.concat(rows)[["network", "metric", "name", "value"]].reset_index(drop=True)


def measured_in_words(claim: Claim, scales: Mapping[str, Scale], read: Read = records) -> list[str]:
    """Return a line per scale that was run: every quantity with its interval, and n."""
    lines = []
    for place in claim.scales:
        parts, count = [], 0
        for metric in claim.metrics:
            wide = quantities(claim, metric, place, scales[place], read)
            if set(claim.quantities) <= set(wide):
                found = [_mean(wide[name]) for name in claim.quantities]
                parts.append(f"{metric} {', '.join(_interval(row, metric) for row in found)}")
                count = min(row["n"] for row in found)
        if parts:
            lines.append(f"{scales[place].label} (n = {count}): {'; '.join(parts)}")
    return lines


def printed_in_words(claim: Claim, figures: pd.DataFrame) -> list[str]:
    """Return a line per network of the published figures, or what the paper says instead."""
    lines = []
    for network, of_network in printed(claim, figures).groupby("network", sort=False):
        parts = [
            f"{metric} {', '.join(map(str, rows['value']))}"
            for metric, rows in of_network.groupby("metric", sort=False)
        ]
        lines.append(f"{network}: {'; '.join(parts)}")
    return lines or [claim.figures]


def row(
    claim: Claim,
    evidence: pd.DataFrame,
    scales: Mapping[str, Scale],
    figures: pd.DataFrame,
    paper: str,
) -> dict[str, str]:
    """Return what the page says of a claim, column by column.

    Args:
        claim: the claim.
        evidence: the table of ``examine``.
        scales: the scales by name.
        figures: the table of ``published``.
        paper: how the paper is called.
    """
    names = ", ".join(map(claim.label, claim.quantities))
    compared = [f"{', '.join(claim.metrics)} of {names}"]
    here = measured_in_words(claim, scales) or ([f"Needs {claim.needs}."] if claim.needs else [])
    there = [f"{paper}, {claim.source}", *printed_in_words(claim, figures)]
    return {
        "claim": claim.statement,
        "verdict": verdict(claim, evidence),
        "measured here": "\n".join(filter(None, [*compared, *here, claim.note])),
        "published": "\n".join(there),
    }


def sources(claims: Sequence[Claim], scales: Mapping[str, Scale]) -> dict[str, dict[str, Any]]:
    """Return where the records come from that the claims look at, for those that are stored."""
    names = [
        pattern.format(network=network)
        for claim in claims
        for patterns in claim.patterns().values()
        for pattern in patterns
        for place in claim.scales
        for network in scales[place].networks
    ]
    return {name: stored(name)[1] for name in dict.fromkeys(names) if records(name) is not None}


def _test(id: str, entry: Mapping[str, Any]) -> Test:
    relations = [key for key in ("above", "below", "near") if key in entry]
    if len(relations) != 1:
        raise ValueError(f"a test of claim {id} needs one of above, below and near: {entry}")
    rest = {key: value for key, value in entry.items() if key != relations[0]}
    return Test(**rest, relation=relations[0], than=entry[relations[0]])


def _chosen(claim: Claim, scale: Scale, names: Set[str], read: Read) -> pd.DataFrame:
    """The records of some quantities, with a column for their network and their name."""
    parts = []
    for (called, patterns), network in product(claim.patterns().items(), scale.networks):
        table = _first(patterns, network, read)
        for column in claim.where.keys() & set(table):
            table = table[table[column].map(_text) == claim.where[column]]
        table = table.assign(network=network, records=called)
        if claim.compare in table:
            table["quantity"] = table[claim.compare].map(_text)
            parts.append(table[table["quantity"].isin(names)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _first(patterns: Sequence[str], network: str, read: Read) -> pd.DataFrame:
    """The first records that hold the network; no rows where none do."""
    for pattern in patterns:
        table = read(pattern.format(network=network))
        if table is not None and "network" in table:
            table = table[table["network"] == network]
        if table is not None and len(table):
            return table
    return pd.DataFrame()


def _paired(
    claim: Claim, test: Test, place: str, scale: Scale, read: Read
) -> dict[str, Any] | None:
    """The paired difference of a test and its outcome; ``None`` where a quantity is missing."""
    wide = quantities(claim, test.metric, place, scale, read)
    if not set(test.names) <= set(wide):
        return None
    than = wide[test.than] if isinstance(test.than, str) else test.than
    found = _mean(wide[test.of] - than)
    return {**found, "outcome": test.outcome(found["mean"], found["half_width"])}


def _text(value: object) -> str:
    """A value of a column as the claims write it: the number 1.0 as ``1``."""
    return format(value, "g") if isinstance(value, float) else str(value)


def _interval(row: Mapping[str, Any], metric: str) -> str:
    """A mean and its half-width: two digits of the latter in own units, else one decimal."""
    mean, half_width = row["mean"], row["half_width"]
    own = not _share(metric) and half_width > 0
    places = max(1 - math.floor(math.log10(half_width)), 0) if own else 1
    digits = f".{places}f"
    return f"{typeset(mean, digits)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{half_width:{digits}}"


def _values(table: pd.DataFrame, metric: str) -> pd.Series:
    values = table.get(metric)
    if _of_confidence(metric):
        values = pd.Series(confidences(table)[metric], index=table.index)
    return 100 * values.astype(float) if _share(metric) else values


def _of_confidence(metric: str) -> bool:
    return metric in MEASURES and MEASURES[metric].needs == CONFIDENCE


def _share(metric: str) -> bool:
    """Whether a metric is shown in per cent."""
    return metric not in OWN_UNITS and in_per_cent(metric)


def _mean(values: pd.Series) -> dict[str, Any]:
    """The mean over images of the means over networks, its 95 % half-width, and n."""
    per_image = values.dropna().groupby("image").mean()
    half_width = STANDARD_ERRORS * per_image.sem()
    return {"mean": per_image.mean(), "half_width": half_width, "n": len(per_image)}
