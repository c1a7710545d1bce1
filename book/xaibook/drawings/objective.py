"""The objective of interpretable gradients: one forward and two backward passes, one shut."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PLAIN, GUIDED, NEUTRAL = "#0072B2", "#009E73", "0.45"


def objective(cross_entropy: float, cosine: float, weight: float) -> Figure:
    """Draw how the loss of a batch comes about, with its numbers.

    Args:
        cross_entropy: of the batch.
        cosine: of its plain and its guided gradient, on average.
        weight: the coefficient of the alignment term.
    """
    figure = Figure(figsize=(8.0, 3.1), layout="constrained")
    ax = figure.subplots()
    for x, text in ((0.7, "image x"), (3.0, "network f"), (5.3, "logits")):
        _box(ax, x, 2.5, text)
        _arrow(ax, (x + 0.75, 2.5), (x + 1.55, 2.5), NEUTRAL)
    _box(ax, 7.6, 2.5, f"cross-entropy\n{cross_entropy:.2f}")
    _box(ax, 0.7, 1.5, "plain\ngradient", PLAIN)
    _box(ax, 0.7, 0.3, "guided\ngradient", GUIDED)
    _back(ax, (5.1, 2.15), (1.45, 1.65), PLAIN, "backward, plain rule")
    _back(ax, (5.5, 2.15), (1.45, 0.15), GUIDED, "backward, guided rule")
    _box(ax, 2.9, 0.9, f"cosine {cosine:.2f}")
    _arrow(ax, (1.45, 1.35), (2.15, 1.0), PLAIN)
    _arrow(ax, (1.45, 0.45), (2.15, 0.8), GUIDED)
    ax.text(1.82, 0.52, "✕", color=GUIDED, ha="center", va="center", fontsize=16)
    _box(ax, 7.6, 0.9, f"loss\n{cross_entropy + weight * (1 - cosine):.2f}")
    _arrow(ax, (3.65, 0.9), (6.85, 0.9), NEUTRAL)
    ax.text(5.9, 1.0, f"1 − cosine, × λ = {weight:g}", ha="center")
    _arrow(ax, (7.6, 2.15), (7.6, 1.25), NEUTRAL)
    ax.set(xlim=(-0.1, 8.4), ylim=(-0.15, 2.9))
    ax.axis("off")
    return figure


def _box(ax: Axes, x: float, y: float, text: str, colour: str = "0.3") -> None:
    width, height = 1.4, 0.62
    style: dict[str, Any] = {
        "boxstyle": "round,pad=0.03",
        "facecolor": "none",
        "edgecolor": colour,
        "linewidth": 1.4,
    }
    ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))
    ax.text(x, y, text, ha="center", va="center")


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 12, "color": colour}
    ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, linewidth=1.6, **style))


def _back(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, text: str
) -> None:
    """An arrow down and then to the left."""
    ax.plot([start[0], start[0], end[0] + 0.1], [start[1], end[1], end[1]], color=colour, lw=1.6)
    _arrow(ax, (end[0] + 0.2, end[1]), end, colour)
    ax.text(3.3, end[1] + 0.05, text, color=colour, ha="center", va="bottom")
