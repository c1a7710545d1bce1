"""One rectifier by the plain and by the guided rule, with numbers."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

FORWARD, ABOVE, PLAIN, GUIDED = "#E4E4EE", "#F0E442", "#56B4E9", "#3DBE95"
OFF, TYPE = "#A0A0AC", "#101020"
"""No greys: the page puts its own ink for those, which is white at night."""

ROWS = {
    "u": ("input u", FORWARD),
    "v": ("output v = relu(u)", FORWARD),
    "d": ("signal from above d", ABOVE),
    "plain": ("plain: d where u > 0", PLAIN),
    "guided": ("guided: and d > 0", GUIDED),
}
"""The lines of a panel, from the forward pass to the guided gradient."""


def results(u: Tensor, signal: Tensor) -> dict[str, Tensor]:
    """Return what happens at a rectifier: its output, and the gradient by either rule."""
    plain = signal.where(u > 0, 0)
    return {"u": u, "v": u.clamp(min=0), "d": signal, "plain": plain, "guided": plain.clamp(min=0)}


def two_rules(u: Tensor, signals: Mapping[str, Tensor]) -> Figure:
    """Draw the units of a rectifier, and what passes backwards by either rule.

    A gate that the input shuts is grey, one that the guided rule shuts is hatched.

    Args:
        u: what goes into the rectifier ``(n,)``.
        signals: what arrives from above ``(n,)``, by the title of its panel.
    """
    figure = Figure(figsize=(8.0, 2.9), layout="constrained")
    ratios = [len(u) + 3.0, *([len(u) + 0.3] * (len(signals) - 1))]
    axes = figure.subplots(1, len(signals), squeeze=False, width_ratios=ratios)[0]
    for place, (ax, (title, signal)) in enumerate(zip(axes, signals.items(), strict=True)):
        _panel(ax, results(u, signal), named=place == 0)
        ax.set_title(title)
    return figure


def _panel(ax: Axes, found: Mapping[str, Tensor], named: bool) -> None:
    for row, (key, (label, colour)) in enumerate(ROWS.items()):
        y = -row - 0.35 * (row > 1)
        for column, value in enumerate(found[key].tolist()):
            shut = key in ("plain", "guided") and found["u"][column] <= 0
            refused = key == "guided" and not shut and found["d"][column] < 0
            cell = Rectangle((column + 0.06, y), 0.88, 0.84, edgecolor=TYPE)
            cell.set(facecolor=OFF if shut else colour, hatch="///" if refused else None)
            ax.add_patch(cell)
            text = f"{value:g}".replace("-", "−")
            ax.text(column + 0.5, y + 0.42, text, ha="center", va="center", color=TYPE)
        if named:
            ax.text(-0.12, y + 0.42, label, ha="right", va="center")
    width = len(found["u"])
    ax.set(xlim=(-2.9 if named else -0.2, width + 0.1), ylim=(-len(ROWS) + 0.5, 1.0))
    ax.axis("off")
