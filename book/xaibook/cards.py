"""A card for each measure: what it asks, its formula, and what it is worth.

What a measure comes to is given by who shows the cards, from records; the rest stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from xaicore.html import Fragment
from xaicore.metrics.measures import ASKS, MEASURES


@dataclass(frozen=True)
class Card:
    """What is known of a measure before anything is measured.

    Attributes:
        formula: for one picture, in one line.
        range: from the least to the most that it can be, with its unit.
        won: what a map can do to score well and explain nothing, or not what is asked.
        asks: the question, where the table of measures does not have it.
        arrow: which way is better, where the table does not have it.
    """

    formula: str
    range: str
    won: str
    asks: str = ""
    arrow: str = ""


CARDS = {
    "AD": Card("[p − o]₊ / p", "0 to 100 %", "keep everything: Fake-CAM hides one pixel"),
    "AG": Card("[o − p]₊ / (1 − p)", "0 to 100 %", "search for the weights that raise it"),
    "AI": Card("1 if o > p, else 0", "0 or 100 %", "keep all but a pixel that does not matter"),
    "insertion": Card(
        "area under p as the highest pixels come",
        "0 to 100 %",
        "show a blob in the middle: the blur already tells much",
    ),
    "deletion": Card(
        "area under p as the highest pixels go",
        "0 to 100 %",
        "scatter the first pixels: broken pictures lose any class",
    ),
    "OM": Card("1 if class or box is wrong", "0 or 100 %", "draw a box in the centre"),
    "LE": Card("1 if IoU of the boxes < ½", "0 or 100 %", "draw a box in the centre"),
    "SM": Card("log(max(a, 0.05)) − log p of the crop", "about −3 and up", "crop tightly"),
    "F1": Card("2 PR / (P + R) of the map in the box", "0 to 100 %", "keep everything: Fake-CAM"),
    "SP": Card("1 if the highest point is in the box", "0 or 100 %", "point at the centre"),
    "EP": Card("sum of S in the box / sum of S", "0 to 100 %", "fill the centre"),
    "IoU-AUC": Card("mean over thresholds of IoU(S > τ, mask)", "0 to 100 %", "draw edges"),
    "RMA": Card("sum of S in the mask / sum of S", "0 to 100 %", "light one pixel of it"),
    "RRA": Card("share of the |mask| highest pixels in it", "0 to 100 %", "find the object"),
    "AOPC": Card(
        "mean over k of p − p without k patches",
        "−100 to 100 %",
        "take patches away where the picture is busiest",
    ),
    "infidelity": Card(
        "mean over sets of (β · lost S − lost p)²",
        "0 to 100 %",
        "be even: half of everything loses about the same each time",
    ),
    "sensitivity-n": Card(
        "correlation of lost S and lost p over sets",
        "−100 to 100 %",
        "find the object",
    ),
    "MS": Card("max ‖S′ − S‖ / ‖S‖ over small noise", "0 and up", "be constant"),
    "ADCC": Card(
        "harmonic mean of coherency, 1 − complexity, 1 − AD",
        "0 to 100 %",
        "be small, and stay under its own mask",
    ),
    "transfer": Card(
        "mean over judges of min(1, AG judge / AG own)",
        "0 to 100 %",
        "gain little: a small gain travels whole",
    ),
    "PC": Card(
        "½ (own part − other part, for both networks), by RMA",
        "−100 to 100 %",
        "no map that ignores the network: it has 0",
        "whether the map goes where the network's own evidence is",
        "↑",
    ),
}
"""A card for each measure, in the order of the tables."""


def cards(values: Mapping[str, Mapping[str, str]]) -> Fragment:
    """Show a card for each measure.

    Args:
        values: what was measured, by measure: what is said, by what it is called.
    """
    shown = "".join(_card(name, card, values.get(name, {})) for name, card in CARDS.items())
    told = "\n".join(f"{name}: {card.formula}; {card.won}" for name, card in CARDS.items())
    return Fragment(f'<div class="xc-cards">{shown}</div>', told)


def _card(name: str, card: Card, values: Mapping[str, str]) -> str:
    asks, arrow = card.asks or ASKS[name], card.arrow or MEASURES[name].arrow
    facts = {"asks": asks, "is": card.formula, "range": card.range, **values}
    facts["can be won by"] = card.won
    lines = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(said)}</dd></div>" for key, said in facts.items()
    )
    return (
        f'<div class="xc-card" id="measure-{escape(name)}"><p>{escape(name)} {arrow}</p>'
        f"<dl>{lines}</dl></div>"
    )
