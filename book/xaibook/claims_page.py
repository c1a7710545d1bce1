"""The page of claims: a matrix of verdicts, and behind each claim its evidence.

A verdict is a sign and a colour, which read in grey; each sign is a link whose name, as it is read
aloud, is the scale and the verdict. ``claims.js`` narrows the page to some of the claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from xaibook import claims, verdicts
from xaibook.claims import Claim, Judged
from xaicore.html import Fragment, table, typeset

SIGNS = dict(zip(verdicts.VERDICTS, ("●", "◐", "?", "✕", "–"), strict=True))
"""A sign for each verdict, which reads without its colour."""

KINDS = dict(zip(verdicts.VERDICTS, ("holds", "size", "open", "contrary", "none"), strict=True))
"""What the style sheet calls each verdict."""

INKS = ("#0072B2", "#CC79A7", "#BBBBBB", "#D55E00", "#EEEEEE")
COLOURS = dict(zip(verdicts.VERDICTS, INKS, strict=True))

PLURALS = {"image": "images", "network": "networks"}


def matrix(judged: Judged) -> Fragment:
    """Show every claim at every scale of its chapter, with what narrows the page."""
    tables = "".join(_chapter_matrix(judged, chapter) for chapter in judged.book["chapters"])
    html = (
        f'<div class="xc-table xc-claims" id="claims-matrix">{_controls(judged)}{_legend()}'
        f'<div class="xc-matrices">{tables}</div>{_download(_verdicts(judged), "claims-verdicts")}'
        "</div>"
    )
    counted = pd.Series(judged.verdicts).value_counts()
    return Fragment(html, "; ".join(f"{verdict}: {n}" for verdict, n in counted.items()))


def folds(judged: Judged, figures: pd.DataFrame) -> Fragment:
    """Show each claim in full, folded: what was measured at each scale, and what is published.

    Args:
        judged: the claims and their verdicts.
        figures: the table of ``claims.published``.
    """
    parts = []
    for chapter in judged.book["chapters"]:
        own = judged.of(chapter)
        title = escape(judged.book["titles"][chapter])
        inside = "".join(_fold(judged, claim, figures) for claim in own)
        parts.append(
            f'<details class="xc-chapter" id="claims-{chapter}"><summary>{title}: '
            f"{len(own)} claims</summary>{inside}</details>"
        )
    saved = _download(everything(judged, figures), "claims-evidence")
    html = f'<div class="xc-table xc-folds">{"".join(parts)}{saved}</div>'
    return Fragment(html, f"{len(judged.claims)} claims, {len(judged.evidence)} comparisons")


def chapter_table(judged: Judged, chapter: str, name: str, wanted: Iterable[str]) -> Fragment:
    """Show claims of a chapter with their verdicts; each leads to its place on the page of claims.

    Args:
        judged: the claims and their verdicts.
        chapter: which chapter.
        name: the name of the table.
        wanted: the verdicts of the claims that are shown.
    """
    chosen = [claim for claim in judged.of(chapter) if judged.verdicts[claim.id] in set(wanted)]
    rows = [
        {
            "claim": claim.statement,
            "verdict": in_words(judged.verdicts[claim.id]),
            "where": where(judged, claim),
        }
        for claim in chosen
    ]
    caption = "Claims of the paper, the verdict on each, and at which scales."
    links = [f"claims.html#claim-{claim.id}" for claim in chosen]
    return table(pd.DataFrame(rows), name, caption, links=links)


def counted(
    judged: Judged, chapter: str, name: str, settles: Mapping[str, str], caption: str
) -> Fragment:
    """Show how many claims of a chapter came out how, and what would settle those that are open.

    Args:
        judged: the claims and their verdicts.
        chapter: which chapter.
        name: the name of the table.
        settles: what would settle the claims of a verdict.
        caption: one sentence that says what the table shows.
    """
    own = judged.of(chapter)
    rows = []
    for verdict in verdicts.VERDICTS:
        found = [claim.short for claim in own if judged.verdicts[claim.id] == verdict]
        row = {"verdict": in_words(verdict), "claims": len(found), "of": "; ".join(found)}
        rows += [row | {"what would settle it": settles.get(verdict, "–")}] if found else []
    frame = pd.DataFrame(rows)
    return table(frame, name, caption, links=[f"claims.html#claims-{chapter}"] * len(frame))


def where(judged: Judged, claim: Claim) -> str:
    """Return in words at which scales a claim came out how, the decided ones first."""
    places = judged.at[claim.id]
    parts = []
    for verdict in verdicts.VERDICTS:
        found = [judged.scales[place].label for place in places if places[place] == verdict]
        if found:
            parts.append(f"{verdict.removesuffix(' here')}: {', '.join(found)}")
    return "; ".join(parts) or f"needs {claim.needs}"


def in_words(verdict: str) -> str:
    """Return a verdict with its sign."""
    return f"{SIGNS[verdict]}\N{NO-BREAK SPACE}{verdict}"


def by_chapter(judged: Judged) -> pd.DataFrame:
    """Return how many claims of each chapter, a column each, have each verdict, a row each."""
    found = {
        judged.book["titles"][chapter]: pd.Series(
            [judged.verdicts[claim.id] for claim in judged.of(chapter)]
        ).value_counts()
        for chapter in judged.book["chapters"]
    }
    return pd.DataFrame(found).reindex(verdicts.VERDICTS).fillna(0).astype(int)


def bars(counted: pd.DataFrame) -> Figure:
    """Draw what `by_chapter` returns: a bar for each chapter, a part for each verdict."""
    figure = Figure(figsize=(6.6, 3), layout="constrained")
    ax = figure.subplots()
    left = pd.Series(0, index=counted.columns)
    for verdict, row in counted.iterrows():
        look = {"color": COLOURS[str(verdict)], "edgecolor": "0.3", "label": verdict}
        parts = ax.barh(counted.columns, row, left=left, **look)
        signs = [SIGNS[str(verdict)] if count else "" for count in row]
        ax.bar_label(parts, signs, label_type="center")
        left += row
    ax.invert_yaxis()
    ax.set_xlabel("claims")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def counts(judged: Judged) -> pd.DataFrame:
    """Return how many claims of each paper came out how."""
    papers = [judged.book["papers"][claim.paper] for claim in judged.claims.values()]
    found = pd.crosstab(pd.Series([*judged.verdicts.values()], name="verdict"), papers)
    found = found.reindex([*verdicts.VERDICTS], fill_value=0)
    return found.rename(index=in_words).rename_axis("verdict").rename_axis(None, axis=1)


def everything(judged: Judged, figures: pd.DataFrame) -> pd.DataFrame:
    """Return the evidence with the published values as numbers.

    Returns:
        One row per claim, scale, comparison and network of the paper; claims without evidence have
        one row, and comparisons without published values too.
    """
    rows = []
    for claim in judged.claims.values():
        known = claims.printed(claim, figures)
        own = judged.evidence[judged.evidence["claim"] == claim.id].to_dict("records")
        for found in own or [dict.fromkeys(judged.evidence, None)]:
            number = found["test"]
            test = None if number is None else claim.tests[int(number)]
            row: dict[str, Any] = {
                "claim": claim.id,
                "statement": claim.statement,
                "paper": claim.paper,
            }
            row |= {"source": claim.source, "verdict": judged.verdicts[claim.id]}
            row |= {k: v for k, v in found.items() if k not in {"claim", "test"}}
            if test is not None:
                row |= {"first": test.of, "second": test.than, "claimed": test.in_words()}
                row |= {"in": claims.unit(test.metric)}
            theirs = [] if test is None else _printed(test, known)
            rows += [row | each for each in theirs or [{}]]
    named = {"of": "first mean", "than": "second mean", "mean": "difference", "in": "in units of"}
    return pd.DataFrame(rows).rename(columns=named | {"unit": "n of"})


def _download(frame: pd.DataFrame, name: str) -> str:
    """A link that saves a table as CSV."""
    csv = quote(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return (
        f'<a class="xc-csv" id="{name}" download="{name}.csv" '
        f'href="data:text/csv;charset=utf-8,{csv}">Download as CSV</a>'
    )


def _verdicts(judged: Judged) -> pd.DataFrame:
    """The verdicts as the matrix shows them: a row per claim, a column per scale."""
    rows = []
    for id, claim in judged.claims.items():
        row = {"claim": id, "statement": claim.statement, "verdict": judged.verdicts[id]}
        rows.append(row | {judged.scales[p].label: v for p, v in judged.at[id].items()})
    return pd.DataFrame(rows)


def _controls(judged: Judged) -> str:
    papers = {claim.paper: None for claim in judged.claims.values()}
    names = {paper: judged.book["papers"][paper] for paper in papers}
    return (
        '<div class="xc-narrow">'
        f"{_choice('verdict', {KINDS[v]: in_words(v) for v in verdicts.VERDICTS})}"
        f"{_choice('paper', names)}"
        '<label>Words <input type="search" name="words" autocomplete="off"></label>'
        "<output></output></div>"
    )


def _choice(name: str, options: Mapping[str, str]) -> str:
    shown = "".join(f'<option value="{k}">{escape(v)}</option>' for k, v in options.items())
    return (
        f'<label>{name.title()} <select name="{name}" autocomplete="off">'
        f'<option value="">all</option>{shown}</select></label>'
    )


def _legend() -> str:
    items = "".join(f"<li>{_sign(v)} {escape(v)}</li>" for v in verdicts.VERDICTS)
    return f'<ul class="xc-legend">{items}<li>blank: not run</li></ul>'


def _sign(verdict: str) -> str:
    return f'<span class="xc-{KINDS[verdict]}" aria-hidden="true">{SIGNS[verdict]}</span>'


def _chapter_matrix(judged: Judged, chapter: str) -> str:
    own = judged.of(chapter)
    run = {place for claim in own for place in judged.at[claim.id]}
    places = [place for place in judged.scales if place in run]
    heads = "".join(_head(judged, place) for place in places)
    rows = "".join(_matrix_row(judged, claim, places) for claim in own)
    title = escape(judged.book["titles"][chapter])
    return (
        f'<table class="xc-matrix"><caption>{title}</caption>'
        f'<thead><tr><th scope="col">claim</th><th scope="col">all</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _head(judged: Judged, place: str) -> str:
    scale = judged.scales[place]
    return f'<th scope="col"><abbr title="{escape(scale.label)}">{escape(scale.brief)}</abbr></th>'


def _matrix_row(judged: Judged, claim: Claim, places: Sequence[str]) -> str:
    name = escape(claim.short or claim.id.replace("-", " "))
    cells = [_cell(f"claim-{claim.id}", "all scales", judged.verdicts[claim.id])]
    for place in places:
        verdict = judged.at[claim.id].get(place)
        label = judged.scales[place].label
        target = f"evidence-{claim.id}-{place}"
        cells.append(_cell(target, label, verdict) if verdict else "<td></td>")
    return (
        f'<tr {_data(judged, claim)}><th scope="row"><a href="#claim-{claim.id}">{name}</a></th>'
        f"{''.join(cells)}</tr>"
    )


def _cell(target: str, place: str, verdict: str) -> str:
    said = escape(f"{place}: {verdict}")
    return f'<td><a href="#{target}" aria-label="{said}" title="{said}">{_sign(verdict)}</a></td>'


def _data(judged: Judged, claim: Claim) -> str:
    """What the page is narrowed by; a claim is found by what it came out as at any scale."""
    found = {judged.verdicts[claim.id], *judged.at[claim.id].values()}
    kinds = " ".join(KINDS[verdict] for verdict in verdicts.VERDICTS if verdict in found)
    words = escape(f"{claim.id} {claim.short} {claim.statement} {claim.source}".lower())
    return f'data-verdict="{kinds}" data-paper="{claim.paper}" data-words="{words}"'


def _fold(judged: Judged, claim: Claim, figures: pd.DataFrame) -> str:
    verdict = judged.verdicts[claim.id]
    own = judged.evidence[judged.evidence["claim"] == claim.id]
    objections = {judged.scales[p].label: claim.objection(p) for p in own["scale"].unique()}
    said = [
        _objections({place: text for place, text in objections.items() if text}),
        f"A test would need {claim.needs}." if claim.needs else "",
        claim.note,
    ]
    paper = judged.book["papers"][claim.paper]
    return (
        f'<details class="xc-claim" id="claim-{claim.id}" {_data(judged, claim)}>'
        f"<summary>{_sign(verdict)} {escape(claim.statement)} <em>{escape(verdict)}</em></summary>"
        f"{''.join(f'<p>{escape(text)}</p>' for text in said if text)}"
        f"{_evidence(judged, claim, own, figures)}"
        f"<p>{escape(paper)}, {escape(claim.source)}{_printed_lines(claim, figures)}</p>"
        f'<p><a href="{claim.address}">Where the book measures it</a> · '
        f'<a href="#claims-matrix">All claims</a></p></details>'
    )


def _objections(by_place: Mapping[str, str]) -> str:
    """Why records are no test, once where all scales have one reason."""
    if len(set(by_place.values())) == 1:
        return next(iter(by_place.values()))
    return " ".join(f"{place}: {text}" for place, text in by_place.items())


def _evidence(judged: Judged, claim: Claim, own: pd.DataFrame, figures: pd.DataFrame) -> str:
    if own.empty:
        return ""
    heads = ("scale", "outcome", "comparison", "first", "second", "difference", "n", "claimed")
    known = claims.printed(claim, figures)
    rows, seen = [], set()
    for found in own.to_dict("records"):
        test, place = claim.tests[found["test"]], found["scale"]
        anchor = f' id="evidence-{claim.id}-{place}"' if place not in seen else ""
        seen.add(place)
        unit = claims.unit(test.metric)
        digits = _digits(found["half_width"], unit)
        theirs = claims.printed_differences(test, known)
        cells = [
            f"{_sign(found['outcome'])} {escape(found['outcome'])}{_needed(found)}",
            escape(claim.compared(test)) + (f" ({unit})" if unit else ""),
            typeset(found["of"], digits),
            typeset(found["than"], digits),
            f"{typeset(found['mean'], digits)}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
            f"{found['half_width']:{digits}}",
            _counted(found),
            escape(test.in_words()),
            ", ".join(typeset(round(float(d), 2), "g") for d in theirs) or "in words",
        ]
        rows.append(
            f'<tr{anchor}><th scope="row">{escape(judged.scales[place].label)}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in (*heads, "published"))
    caption = escape(f"Evidence: {claim.short or claim.id}")
    return (
        '<div class="xc-scroll xc-evidence" role="region" tabindex="0" '
        f'aria-label="{caption}"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _digits(half_width: float, unit: str) -> str:
    """One decimal for points, three for the rest, more where an interval would read as zero."""
    if unit in {"points", "hundredths"}:
        return ".1f" if not 0 < half_width < 0.05 else ".2f"
    return ".3f"


def _counted(found: Mapping[str, Any]) -> str:
    """On how many units a difference rests, and how many networks agree with the claim."""
    text = f"{found['n']} {PLURALS[found['unit']]}"
    several = found["networks"] > 1
    return text + (f", {found['agree']} of {found['networks']} agree" if several else "")


def _needed(found: Mapping[str, Any]) -> str:
    """How many units would decide what is undecided."""
    if found["outcome"] != verdicts.UNDECIDED:
        return ""
    plural = PLURALS[found["needed_unit"]]
    if found["needed"] >= verdicts.COUNTLESS:
        return f": more than {verdicts.COUNTLESS:,} {plural} would be needed"
    return f": about {_rounded(found['needed']):,} {plural} would decide"


def _rounded(count: int) -> int:
    """Two digits, upwards."""
    step = max(10 ** (len(str(count)) - 2), 1)
    return -(-count // step) * step


def _printed(test: claims.Test, known: pd.DataFrame) -> list[dict[str, Any]]:
    """The published values of a comparison: one row per network of the paper."""
    values = known[known["metric"] == test.metric].set_index(["network", "name"])["value"]
    rows = []
    for network, difference in claims.printed_differences(test, known).items():
        row = {"published network": network, "published first": values[network, test.of]}
        if isinstance(test.than, str):
            row |= {"published second": values[network, test.than]}
        rows.append(row | {"published difference": difference})
    return rows


def _printed_lines(claim: Claim, figures: pd.DataFrame) -> str:
    """The published figures, in the order of the quantities, or what the paper says instead."""
    names = ", ".join(dict.fromkeys(claim.label(name) for name in claim.quantities))
    lines = claims.printed_in_words(claim, figures)
    if claim.tables:
        lines = [f"of {names}: {'; '.join(lines)}"]
    return "".join(f". {escape(line[:1].upper() + line[1:])}" for line in lines if line)
