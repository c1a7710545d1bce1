"""How much a page asks of its reader, in numbers: what ``book/lint.py`` prints."""

import re
from collections.abc import Iterable, Iterator

from driver.reading import Page, Part

WORD = re.compile(r"[^\W_]+(?:[-'’./·][^\W_]+)*")
NUMBER = re.compile(r"(?<![\w-])[−+-]?\d[\d.,]*(?!\w)")
PAIR = re.compile(
    r"(?<![\w-])[−+-]?\d[\d.,]*\s*%?\s*(?:against|out of|of|±|–|to)\s*[−+-]?\d[\d.,]*(?!\w)"
)
END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"“‘(\[]?[^\Wa-z_])")
ABBREVIATED = re.compile(r"\b(?:e\.g|i\.e|cf|vs|eq|eqs|Fig|Figs|al|No|approx)\.$")
WORDS_A_MINUTE = 200
LONG, LONGEST = 25, 40
FOOL = "what could fool you"


def counts(page: Page) -> dict[str, float | int | str]:
    """Return what is counted of a page, by name; shares are in percent."""
    text = [part for part in page.parts if part.kind == "text" and not part.folded]
    words = sum(map(words_of, text))
    lengths = [len(WORD.findall(sentence)) for sentence in sentences(text)]
    numbers = [numbers_in(sentence) for sentence in sentences(text)]
    shown = [part for part in page.parts if not part.folded]
    figures, tables = of_kind(shown, "figure"), of_kind(shown, "table")
    code = [part for part in of_kind(shown, "code") if part.name in {"python", "bash"}]
    lines = [line for part in code for line in part.lines]
    boxes = [part.name for part in page.parts if part.kind == "box"]
    before = before_figure(page)
    return {
        "words": words,
        "minutes": round(words / WORDS_A_MINUTE),
        "figures": len(figures),
        "tables": len(tables),
        "cells": sum(table.cells for table in tables),
        "numbers /100": round(100 * sum(numbers) / max(words, 1), 1),
        "words to figure": sum(map(words_of, before)),
        "formulas": len(of_kind(shown, "formula")),
        "to figure": len(of_kind(before, "formula")),
        "a sentence": round(sum(lengths) / max(len(lengths), 1), 1),
        "> 25 %": round(share(length > LONG for length in lengths)),
        "> 40": sum(length > LONGEST for length in lengths),
        "≥ 2 numbers %": round(share(number > 1 for number in numbers)),
        "unread": len(unread(page)),
        "code cells": len(code),
        "code lines": len(lines),
        "longest": max(map(len, lines), default=0),
        "predict": sum("xc-predict" in name for name in boxes),
        "take-aways": sum("xc-takeaway" in name for name in boxes),
        "exercises": sum("xc-exercise" in name for name in boxes),
        "solved": solved(page),
        "fool %": round(100 * words_in(page, FOOL) / max(words, 1)),
    }


def of_kind(parts: Iterable[Part], kind: str) -> list[Part]:
    """Return the parts of a kind."""
    return [part for part in parts if part.kind == kind]


def words_of(part: Part) -> int:
    """Count the words of a piece of prose."""
    return len(WORD.findall(part.text)) if part.kind == "text" and not part.folded else 0


def sentences(text: Iterable[Part]) -> Iterator[str]:
    """Return the sentences of prose; one that a formula interrupts counts as two."""
    for part in text:
        pieces = [""]
        for piece in END.split(part.text):
            open_ended = ABBREVIATED.search(pieces[-1])
            pieces[-1:] = [f"{pieces[-1]} {piece}"] if open_ended else [pieces[-1], piece]
        yield from (piece for piece in pieces if WORD.search(piece))


def numbers_in(sentence: str) -> int:
    """Count the numbers of a sentence; "a against b" is one, and so is "a of b"."""
    pairs = PAIR.findall(sentence)
    return len(pairs) + len(NUMBER.findall(PAIR.sub("", sentence)))


def before_figure(page: Page) -> list[Part]:
    """Return what the reader meets before the first figure, all if there is none."""
    shown = [part for part in page.parts if not part.folded]
    first = next((n for n, part in enumerate(shown) if part.kind == "figure"), len(shown))
    return shown[:first]


def unread(page: Page) -> list[str]:
    """Return the names of the figures and tables that no text of the page refers to.

    Tables of Markdown, which have no name, stand in the text themselves.
    """
    shown = [p for p in page.parts if p.kind == "figure" or (p.kind == "table" and p.name)]
    told = " ".join(part.raw for part in page.parts if part.kind in {"text", "box"})
    return [
        part.name or f"a {part.kind} without a name"
        for part in shown
        if not part.name or not re.search(rf"[`<]{re.escape(part.name)}[`>]", told)
    ]


def sections(page: Page, level: int = 2) -> Iterator[tuple[str, list[Part]]]:
    """Return title and parts of each section."""
    title, inside = None, list[Part]()
    for part in page.parts:
        if part.kind == "heading" and part.cells <= level:
            if title is not None:
                yield title, inside
            title, inside = (part.text if part.cells == level else None), []
        else:
            inside.append(part)
    if title is not None:
        yield title, inside


def words_in(page: Page, title: str) -> int:
    """Count the words of the section of a title."""
    return sum(
        sum(map(words_of, inside))
        for name, inside in sections(page)
        if name.lower().startswith(title)
    )


def solved(page: Page) -> int:
    """Count the exercises whose solution follows, folded, as text or as a cell that was run."""
    count, waiting = 0, False
    for part in page.parts:
        if part.kind == "box" and "xc-exercise" in part.name:
            waiting = True
        folded = part.kind == "box" and "dropdown" in part.name and "solution" in part.text.lower()
        run = part.kind == "code" and "hide-cell" in part.tags and part.executed
        if waiting and (folded or run):
            count, waiting = count + 1, False
    return count


def share(holds: Iterable[bool]) -> float:
    """Return how often something holds, in percent."""
    found = [*holds]
    return 100 * sum(found) / max(len(found), 1)
