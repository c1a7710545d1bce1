"""What a chapter that says its findings in short must keep, and what it should.

The rules are for the page as a whole: its frame, and how much of what it holds. `problems` are
for the author to mend; `advice` is for the author to weigh.
"""

from collections.abc import Iterator

from driver.counts import (
    WORD,
    before_figure,
    counts,
    of_kind,
    sections,
    unread,
    words_of,
)
from driver.reading import Page, Part

TABLES, CELLS, FORMULAS, EXERCISES = 6, 60, 8, (6, 8)
COLUMNS, LINES, TAKEAWAY, LEAD, READ = 80, 15, 25, 150, 40
WORDS = (2500, 3000)
ENDS = ("what could fool you", "summary", "further reading", "exercises")
PLAIN = (*ENDS, "what reproduced", "try it", "claims", "is this the page", "where to go")
"""Sections that ask nothing, and so take nothing away."""

CONSULTED = ("claims",)
"""Pages with the frame of a chapter that are looked things up in, not learnt from."""


def problems(page: Page) -> list[str]:
    """Return what a framed chapter breaks, in words; other pages break nothing."""
    if not page.framed:
        return []
    rules = [_short, _figures, _formulas]
    if page.name not in CONSULTED:
        rules += [_ends, _tables, _code, _takeaways, _exercises]
    return [problem for rule in rules for problem in rule(page)]


def advice(page: Page) -> list[str]:
    """Return what a framed chapter had better have, in words."""
    if not page.framed or page.name in CONSULTED:
        return []
    counted = counts(page)
    found = [
        (not WORDS[0] <= int(counted["words"]) <= WORDS[1], "words"),
        (not 9 <= int(counted["figures"]) <= 12, "figures"),
        (not 16 <= float(counted["a sentence"]) <= 19, "a sentence"),
        (float(counted["> 25 %"]) > 20, "> 25 %"),
        (int(counted["> 40"]) > 0, "> 40"),
        (float(counted["≥ 2 numbers %"]) > 8, "≥ 2 numbers %"),
        (not 4 <= int(counted["code cells"]) <= 6, "code cells"),
        (not 3 <= int(counted["predict"]) <= 6, "predict"),
        (not 8 <= float(counted["fool %"]) <= 15, "fool %"),
    ]
    return [f"{name}: {counted[name]}" for wrong, name in found if wrong]


def _boxes(page: Page, name: str) -> list[Part]:
    return [part for part in of_kind(page.parts, "box") if name in part.name]


def _short(page: Page) -> Iterator[str]:
    first = [p for p in page.parts if p.kind == "text" and "xc-short" in p.box]
    if not 3 <= len(first) <= 5:
        yield f"In short has {len(first)} findings, not 3 to 5"
    for finding in first:
        if "{ref}" not in finding.raw:
            yield f"a finding does not lead to its section: {finding.text[:60]}"
    if not _boxes(page, "xc-start"):
        yield "there is no box Before you start"
    if sum(map(words_of, before_figure(page))) > LEAD:
        yield f"the first figure stands more than {LEAD} words from the title"


def _ends(page: Page) -> Iterator[str]:
    heads = [title.lower() for title, _ in sections(page)]
    for wanted in ENDS:
        if not any(head.startswith(wanted) for head in heads):
            yield f"there is no section '{wanted.capitalize()}'"


def _figures(page: Page) -> Iterator[str]:
    for name in unread(page):
        yield f"no text refers to {name}"
    text, top = "", True
    for place, part in enumerate(page.parts):
        top = top and not (part.kind == "heading" and part.cells > 1)
        text += part.raw if part.kind in {"text", "box"} else ""
        if part.kind == "figure" and part.name and not part.folded:
            if top:  # it is the picture of the question, and the findings read it
                continue
            if part.name not in text and part.name not in unread(page):
                yield f"{part.name} stands before the text that refers to it"
            if _read_after(page, place) < READ:
                yield f"fewer than {READ} words read {part.name} to the reader"


def _read_after(page: Page, place: int) -> int:
    """Count the words between a figure and the next, or the end of its section."""
    words = 0
    for part in page.parts[place + 1 :]:
        if part.kind == "figure" or (part.kind == "heading" and part.cells <= 2):
            break
        words += words_of(part)
    return words


def _tables(page: Page) -> Iterator[str]:
    shown = [table for table in of_kind(page.parts, "table") if not table.folded]
    if len(shown) > TABLES:
        yield f"{len(shown)} tables, more than {TABLES}"
    for table in shown:
        if table.cells > CELLS and "xc-sortable" not in table.box:  # the reader narrows that one
            yield f"{table.name or 'a table'} has {table.cells} cells, more than {CELLS}"


def _formulas(page: Page) -> Iterator[str]:
    shown = [formula for formula in of_kind(page.parts, "formula") if not formula.folded]
    if len(shown) > FORMULAS:
        yield f"{len(shown)} displayed formulas, more than {FORMULAS}"
    if of_kind(before_figure(page), "formula"):
        yield "a displayed formula stands before the first figure"


def _code(page: Page) -> Iterator[str]:
    code = [part for part in of_kind(page.parts, "code") if not part.folded]
    for part in code:
        if max(map(len, part.lines)) > COLUMNS:
            yield f"visible code wider than {COLUMNS} columns: {max(part.lines, key=len).strip()}"
        if len(part.lines) > LINES:
            yield f"a visible cell of {len(part.lines)} lines: {part.lines[0]}"
    shown = [part for part in page.parts if not part.folded and part.kind != "label"]
    if "code" in (shown[0].kind, shown[-1].kind):
        yield "the page begins or ends with code that the reader sees"
    if len([part for part in code if "try-it" in part.tags]) != 1:
        yield "there is not one visible cell tagged try-it"
    cells = [part for part in of_kind(page.parts, "code") if part.name == "python"]
    for place, part in enumerate(cells):
        checked = any("allclose" in after.raw for after in cells[place + 1 : place + 2])
        if "from-scratch" in part.tags and not checked:
            yield f"no allclose in the cell after the one from scratch: {part.lines[0]}"


def _takeaways(page: Page) -> Iterator[str]:
    for title, inside in sections(page):
        boxes = [p for p in inside if p.kind == "text" and "xc-takeaway" in p.box]
        if not boxes and not title.lower().startswith(PLAIN):
            yield f"the section '{title}' ends without its take-away"
    for part in of_kind(page.parts, "text"):
        if "xc-takeaway" in part.box and len(WORD.findall(part.text)) > TAKEAWAY:
            yield f"a take-away of more than {TAKEAWAY} words: {part.text[:50]}"


def _exercises(page: Page) -> Iterator[str]:
    asked, counted = len(_boxes(page, "xc-exercise")), counts(page)
    if not EXERCISES[0] <= asked <= EXERCISES[1]:
        yield f"{asked} exercises, not {EXERCISES[0]} to {EXERCISES[1]}"
    if counted["solved"] != asked:
        yield f"{counted['solved']} of {asked} exercises have a folded solution"
