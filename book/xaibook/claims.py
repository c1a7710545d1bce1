"""What the papers claim, as data, and what the stored records say of it.

A claim is a set of comparisons of two quantities, image by image; each states the range that must
contain the difference:

=============  ================================  =====================
key            what must hold                    R
=============  ================================  =====================
``above``      ``of`` exceeds the other          ``(by, at_most)``
``below``      ``of`` is less than the other     ``(-at_most, -by)``
``near``       they differ by less than ``by``   ``(-by, by)``
``not_below``  ``of`` is less by ``by`` at most  ``(-by, inf)``
=============  ================================  =====================

`xaibook.verdicts` has the rule. Nothing of what comes out is typed in: new records give new
verdicts. `judge` is the one computation that the chapters and the page of claims show.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from xaibook import verdicts
from xaibook.chapter import RECORDS, stored
from xaibook.style import LABELS
from xaibook.verdicts import NOT_TESTABLE, UNDECIDED, Claimed, Difference, Finding
from xaibook.wide import confidences
from xaicore.metrics.measures import CONFIDENCE, MEASURES, in_per_cent

OWN_UNITS = {"seconds": "s", "spearman": "", "ssim": ""}
"""The units of what is compared besides measures of a map, and is no share of a hundred."""

HUNDREDTHS = {"cosine of loss", "roughness"}
"""Shown times 100, though they are no shares."""

OF_THE_NETWORK = {"accuracy"}
"""What is measured of a network, whatever method the row of the records names."""

Read = Callable[[str], pd.DataFrame | None]
"""Returns records by their name."""


@dataclass(frozen=True)
class Scale:
    """A set of images and the networks that look at them; an image counts once.

    Attributes:
        label: how the book calls it.
        networks: the names under which the records of the networks are stored.
        short: the head of its column in the matrix; by default the label.
    """

    label: str
    networks: Sequence[str]
    short: str = ""

    @property
    def brief(self) -> str:
        """The head of its column in the matrix."""
        return self.short or self.label


@dataclass(frozen=True)
class Test:
    """Two quantities and the range in which their difference must lie.

    Attributes:
        metric: what is compared.
        of: the first quantity.
        relation: ``"above"``, ``"below"``, ``"near"`` or ``"not_below"``.
        than: the second quantity, or a number.
        by: the margin, not negative, in the unit of the metric (points for shares).
        at_most: how large a difference may be that is claimed to be above or below.
    """

    __test__ = False  # no test of pytest's

    metric: str
    of: str
    relation: str
    than: str | float
    by: float = 0
    at_most: float = math.inf

    @property
    def names(self) -> list[str]:
        """The quantities that are measured."""
        return [self.of, self.than] if isinstance(self.than, str) else [self.of]

    def claimed(self, published: Sequence[float] = ()) -> Claimed:
        """Return the range, and the sign that is claimed.

        Args:
            published: the differences that the paper prints, one for each network. Of quantities
                that are said to be about equal they are the sign, if they agree in it.
        """
        if self.relation == "above":
            return Claimed(self.by, self.at_most, 1, order=True)
        if self.relation == "below":
            return Claimed(-self.at_most, -self.by, -1, order=True)
        signs = {math.copysign(1, value) if value else 0.0 for value in published}
        sign = int(signs.pop()) if len(signs) == 1 and self.relation == "near" else 0
        high = self.by if self.relation == "near" else math.inf
        return Claimed(-self.by, high, sign, order=False)

    def in_words(self) -> str:
        """Return the range as the page writes it."""
        small, large = f"{self.by:g}", f"{self.at_most:g}"
        if self.relation == "near":
            return f"within \N{PLUS-MINUS SIGN} {small}"
        if self.relation == "not_below":
            return f"> \N{MINUS SIGN}{small}"
        minus = "\N{MINUS SIGN}" if self.relation == "below" else ""
        if math.isfinite(self.at_most):
            return f"{minus}{small} to {minus}{large}"
        small = f"{minus}{small}" if self.by else small
        return f"{'<' if minus else '>'} {small}"


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
        short: three or four words for the matrix; by default the ``id``.
        section: the label of the section that measures it, on another page than the chapter's as
            ``"page#label"``; by default the top of the chapter.
        unit: what is independent: ``"image"``, or, of claims about training, ``"network"``.
        not_a_test: why the records do not test the claim, at all scales, or by scale.
        where: values that other columns of the records must have; a column that the records lack
            is passed over.
        names: for a quantity that is called otherwise in the records: its name by scale.
        tables: the tables of the paper that print the quantities.
        networks: the networks of these tables of which the paper claims it; all by default.
        figures: the published figures in words, where no table prints them.
        needs: what a test would need, where there is none.
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
    short: str = ""
    section: str = ""
    unit: str = "image"
    not_a_test: str | Mapping[str, str] = ""
    where: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: Sequence[str] = ()
    networks: Sequence[str] = ()
    figures: str = ""
    needs: str = ""
    note: str = ""

    @property
    def address(self) -> str:
        """Where the book measures it, from a chapter's page."""
        page, _, label = self.section.rpartition("#")
        return f"{page or self.chapter}.html" + (f"#{label}" if label else "")

    def name(self, quantity: str, place: str) -> str:
        """Return how a quantity is called at a scale, or in ``"published"`` figures."""
        return self.names.get(quantity, {}).get(place, quantity)

    def label(self, quantity: str | float, metric: str = "") -> str:
        """Return how the page writes a quantity or a number: by the book's name of the method.

        Args:
            quantity: the quantity, or the number it is compared with.
            metric: which metric of it.
        """
        if not isinstance(quantity, str):
            return f"{quantity:g}"
        if self.compare == "method":
            return LABELS.get(quantity, self.reads.format(quantity))
        method = LABELS.get(self.where.get("method", ""), "")
        own = method and metric not in OF_THE_NETWORK and method not in self.reads
        return self.reads.format(quantity) + (f" ({method})" if own else "")

    def compared(self, test: Test) -> str:
        """Return a comparison in words, as no other of the claim is called."""
        of, than = (self.label(quantity, test.metric) for quantity in (test.of, test.than))
        return f"{test.metric}: {of} \N{MINUS SIGN} {than}"

    def objection(self, place: str) -> str:
        """Return why the records of a scale do not test the claim; empty if they do."""
        if isinstance(self.not_a_test, str):
            return self.not_a_test
        return self.not_a_test.get(place, "")

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
        ValueError: a test does not have one of ``above``, ``below``, ``near`` and ``not_below``.
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


@dataclass(frozen=True)
class Comparison:
    """A test of a claim at a scale, and what came out of it.

    Attributes:
        claim: the claim.
        place: the name of the scale.
        number: which of the tests of the claim.
        of: the mean of the first quantity, on what both were measured on.
        than: that of the second, or the number.
        difference: the measured difference.
        claimed: what is claimed of it.
        finding: what it says of the test.
    """

    claim: Claim
    place: str
    number: int
    of: float
    than: float
    difference: Difference
    claimed: Claimed
    finding: Finding

    @property
    def test(self) -> Test:
        """The test."""
        return self.claim.tests[self.number]

    def row(self, level: float) -> dict[str, Any]:
        """Return the row of the evidence.

        Args:
            level: how often the interval that decides may miss.
        """
        row = {"claim": self.claim.id, "scale": self.place, "test": self.number}
        row |= {"metric": self.test.metric, "of": self.of, "than": self.than}
        row |= {"mean": self.difference.mean, "half_width": self.difference.half_width}
        row |= {"n": self.difference.n, "unit": self.difference.unit}
        row |= {"networks": len(self.difference.networks) or 1, "agree": self.finding.agree}
        row |= {"outcome": self.finding.outcome, "needed": 0, "needed_unit": ""}
        if self.finding.outcome == UNDECIDED:
            found = verdicts.needed(self.difference, self.claimed, level)
            row["needed"], row["needed_unit"] = found
        return row


@dataclass(frozen=True)
class Judged:
    """Claims, and what the records say of them.

    Attributes:
        claims: the claims, by ``id``.
        scales: the scales by name.
        book: how chapters and papers are called.
        evidence: one row per claim, scale and test: ``claim``, ``scale`` and ``test`` (its number);
            ``metric``; the means of the quantities, ``of`` and ``than``; ``mean``, ``half_width``,
            ``n`` and ``unit`` of their difference; the number of ``networks`` and how many of them
            ``agree``; the ``outcome``; and how many of which unit would decide it, ``needed``.
        at: the verdict at each scale of each claim that was run there.
        verdicts: the verdict of each claim.
    """

    claims: Mapping[str, Claim]
    scales: Mapping[str, Scale]
    book: Mapping[str, Any]
    evidence: pd.DataFrame
    at: Mapping[str, Mapping[str, str]]
    verdicts: Mapping[str, str]

    def of(self, chapter: str) -> list[Claim]:
        """Return the claims of a chapter."""
        return [claim for claim in self.claims.values() if claim.chapter == chapter]


@cache
def judge(chapter: str | None = None) -> Judged:
    """Judge the claims by the stored records: what chapters and the page of claims show.

    Args:
        chapter: whose claims; ``None`` for all. Corrections are made within a chapter, so that a
            verdict is the same either way.
    """
    listed, scales, book = load()
    chosen = [claim for claim in listed if chapter in (None, claim.chapter)]
    return judged(chosen, scales, book, published())


def judged(
    listed: Sequence[Claim],
    scales: Mapping[str, Scale],
    book: Mapping[str, Any],
    figures: pd.DataFrame,
    read: Read = records,
) -> Judged:
    """Judge claims; contradictions are corrected for the comparisons that a chapter makes.

    Args:
        listed: the claims.
        scales: the scales by name.
        book: how chapters and papers are called.
        figures: the table of ``published``.
        read: returns records by their name.
    """
    rows = []
    for chapter in dict.fromkeys(claim.chapter for claim in listed):
        own = [claim for claim in listed if claim.chapter == chapter]
        found = [row for claim in own for row in examine(claim, scales, figures, read)]
        rows += _corrected(found)
    evidence = pd.DataFrame(rows, columns=EVIDENCE)
    at = {claim.id: _by_scale(evidence[evidence["claim"] == claim.id]) for claim in listed}
    words = {id: verdicts.over_scales([*places.values()]) for id, places in at.items()}
    return Judged({claim.id: claim for claim in listed}, scales, book, evidence, at, words)


EVIDENCE = ["claim", "scale", "test", "metric", "of", "than", "mean", "half_width", "n", "unit"]
EVIDENCE += ["networks", "agree", "outcome", "needed", "needed_unit"]


def examine(
    claim: Claim, scales: Mapping[str, Scale], figures: pd.DataFrame, read: Read = records
) -> list[Comparison]:
    """Return what the records say of each test of a claim, by itself, at each scale that was run.

    A scale counts as run where every test of the claim can be.
    """
    known = printed(claim, figures)
    claimed = [test.claimed([*printed_differences(test, known)]) for test in claim.tests]
    found = []
    for place in claim.scales:
        here = [
            _compared(claim, number, place, scales[place], claimed[number], read)
            for number in range(len(claim.tests))
        ]
        known = [comparison for comparison in here if comparison is not None]
        found += known if len(known) == len(here) else []
    return found


def by_unit(judged: Judged, figures: pd.DataFrame, read: Read = records) -> pd.DataFrame:
    """Return what comes out where several networks were trained, counting images or networks.

    Each comparison is judged by itself, and no scale is left out as no test.

    Args:
        judged: the claims.
        figures: the table of ``published``.
        read: returns records by their name.

    Returns:
        One row per claim, test and scale with several networks: ``claim``, ``scale``, ``test``,
        the ``mean``, its ``half_width`` over images, the differences ``by_network``, the outcome
        by ``images`` and by ``networks``.
    """
    several = [place for place, scale in judged.scales.items() if len(scale.networks) > 1]
    rows = []
    for claim in judged.claims.values():
        scales = [place for place in claim.scales if place in several]
        own = [replace(claim, scales=scales, not_a_test="", unit=u) for u in ("image", "network")]
        pairs = zip(*(examine(each, judged.scales, figures, read) for each in own), strict=True)
        for image, network in pairs:
            row = {"claim": claim.id, "scale": image.place, "test": image.number}
            row |= {"mean": image.difference.mean, "half_width": image.difference.half_width}
            row |= {"by_network": image.difference.networks}
            alone = replace(image.difference, networks=())
            row |= {"images": verdicts.compare(alone, image.claimed).outcome}
            rows.append(row | {"networks": network.finding.outcome})
    return pd.DataFrame(rows)


def printed_differences(test: Test, printed: pd.DataFrame) -> pd.Series:
    """Return the published differences of a test, by network of the paper; none where it has none.

    Args:
        test: a test of a claim.
        printed: the table of ``printed`` for the claim.
    """
    known = printed[printed["metric"] == test.metric]
    values = known.pivot(index="network", columns="name", values="value")
    if not set(test.names) <= set(values):
        return pd.Series(dtype=float)
    than = values[test.than] if isinstance(test.than, str) else 0
    return (values[test.of] - than).dropna()


def printed(claim: Claim, figures: pd.DataFrame) -> pd.DataFrame:
    """Return the published figures of a claim.

    Returns:
        One row per network, metric and quantity: ``network, metric, name, value``.
    """
    here = figures[(figures["paper"] == claim.paper) & figures["table"].isin(claim.tables)]
    if claim.networks:
        here = here[here["network"].isin(claim.networks)]
    own = here["method" if claim.compare == "method" else "variant"]
    if claim.compare != "method":
        here = here[here["method"] == claim.where.get("method", "")]
    else:
        here = here[here["variant"] == ""]
    called = {claim.name(name, "published"): name for name in claim.quantities}
    here = here.assign(name=own.map(called))
    here = here[here["name"].notna() & here["metric"].isin(claim.metrics)]
    order = {pair: rank for rank, pair in enumerate(product(claim.metrics, claim.quantities))}
    rank = [order[pair] for pair in zip(here["metric"], here["name"], strict=True)]
    found = here.assign(rank=rank).sort_values("rank", kind="stable", ignore_index=True)
    return found[["network", "metric", "name", "value"]]


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


@cache
def minutes(name: str) -> float:
    """Return how long records took: the run that stored them, or if longer the sum over their maps.

    Maps that are kept from a run that was stopped are not made again, and keep their times.
    """
    table, source = stored(name)
    of_map = table.columns.intersection(["network", "method", "image", "seconds"])
    maps = table[of_map].drop_duplicates().get("seconds", pd.Series(dtype=float)).sum()
    return max(float(maps), float(source.get("seconds", 0))) / 60


def undecided(judged: Judged) -> pd.DataFrame:
    """Return what more images would decide, and how long they would take.

    Returns:
        One row per claim and scale: ``claim``, ``scale``, ``n``, how many are ``needed``, and the
        ``minutes`` of so many, if all that the records hold is measured of each as before.
    """
    evidence = judged.evidence
    few = evidence["needed"].lt(verdicts.COUNTLESS) & evidence["needed_unit"].eq("image")
    rows = []
    for (id, place), found in evidence[few].groupby(["claim", "scale"], sort=False):
        claim, scale = judged.claims[str(id)], judged.scales[str(place)]
        n, needed = int(found["n"].max()), int(found["needed"].max())
        spent = sum(_spent(name, scale) for name in _held(claim, scale))
        row = {"claim": claim.id, "scale": scale.label, "n": n, "needed": needed}
        rows.append(row | {"minutes": spent * needed / n})
    return pd.DataFrame(rows, columns=["claim", "scale", "n", "needed", "minutes"])


def _test(id: str, entry: Mapping[str, Any]) -> Test:
    known = ("above", "below", "near", "not_below")
    relations = [key for key in known if key in entry]
    if len(relations) != 1:
        raise ValueError(f"a test of claim {id} needs one of {', '.join(known)}: {entry}")
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


def _held(claim: Claim, scale: Scale) -> list[str]:
    """The names of the records that hold what a claim looks at, at a scale."""
    found = []
    for patterns, network in product(claim.patterns().values(), scale.networks):
        names = (pattern.format(network=network) for pattern in patterns)
        found += [name for name in names if len(_first([name], network, records))][:1]
    return [*dict.fromkeys(found)]


def _spent(name: str, scale: Scale) -> float:
    """The minutes of records, in the share that the networks of a scale have in their rows."""
    table = records(name)
    if table is None or "network" not in table:
        return minutes(name)
    return minutes(name) * float(table["network"].isin(scale.networks).mean())


def _compared(
    claim: Claim,
    number: int,
    place: str,
    scale: Scale,
    claimed: Claimed,
    read: Read,
) -> Comparison | None:
    """A test at a scale; ``None`` where a quantity is missing."""
    test = claim.tests[number]
    wide = quantities(claim, test.metric, place, scale, read)
    if not set(test.names) <= set(wide):
        return None
    wide = wide[test.names].dropna()
    if wide.empty:
        return None
    of = wide[test.of]
    than = wide[test.than] if isinstance(test.than, str) else of * 0 + test.than
    difference = _difference(of - than, claim.unit)
    finding = verdicts.compare(difference, claimed)
    if claim.objection(place):
        finding = replace(finding, outcome=NOT_TESTABLE, p=1.0)
    first, second = (_over_images(values).mean() for values in (of, than))
    return Comparison(claim, place, number, first, second, difference, claimed, finding)


def _difference(values: pd.Series, unit: str) -> Difference:
    """The difference over images, an image counting once, or over networks."""
    by_network = values.groupby("network").mean()
    several = tuple(by_network) if len(by_network) > 1 else ()
    units = by_network if unit == "network" else _over_images(values)
    return Difference(units.mean(), units.sem(), len(units), unit, several)


def _over_images(values: pd.Series) -> pd.Series:
    return values.groupby("image").mean()


def _corrected(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The evidence of a chapter, corrected for the number of its comparisons."""
    tested = [each.finding for each in found if each.finding.outcome != NOT_TESTABLE]
    corrected = iter(verdicts.corrected(tested))
    rows = []
    for each in found:
        tried = each.finding.outcome != NOT_TESTABLE
        now = replace(each, finding=next(corrected) if tried else each.finding)
        many = each.finding.outcome != now.finding.outcome
        level = verdicts.LEVEL / len(tested) if many else verdicts.LEVEL
        rows.append(now.row(level))
    return rows


def _by_scale(evidence: pd.DataFrame) -> dict[str, str]:
    """The verdict at each scale of a claim that was run."""
    found = evidence.groupby("scale", sort=False)["outcome"]
    return {place: verdicts.at_scale([*outcomes]) for place, outcomes in found}


def _text(value: object) -> str:
    """A value of a column as the claims write it: the number 1.0 as ``1``."""
    return format(value, "g") if isinstance(value, float) else str(value)


def _values(table: pd.DataFrame, metric: str) -> pd.Series:
    values = table.get(metric)
    if _of_confidence(metric):
        values = pd.Series(confidences(table)[metric], index=table.index)
    return 100 * values.astype(float) if _share(metric) else values


def _of_confidence(metric: str) -> bool:
    return metric in MEASURES and MEASURES[metric].needs == CONFIDENCE


def _share(metric: str) -> bool:
    """Whether a metric is shown in per cent, or in hundredths."""
    return metric not in OWN_UNITS and in_per_cent(metric)


def unit(metric: str) -> str:
    """Return the unit of a difference of a metric: points of per cent, seconds, or none."""
    if metric in HUNDREDTHS:
        return "hundredths"
    return "points" if _share(metric) else OWN_UNITS.get(metric, "")
