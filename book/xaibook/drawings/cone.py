"""The cone of what channels make, on a map of two positions, and a step brought back to it."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Polygon
from torch import Tensor

from xaicore.attribution.ascent import project

CONE, ADAM, PLAIN = "#0072B2", "#D55E00", "0.45"
FAR = 9.0
"""Beyond the edges of the drawing."""


def cone(channels: Tensor, start: Tensor, ahead: Tensor, metric: Tensor) -> Figure:
    """Draw where a step leads, and the nearest map by Adam's measure and by the ruler.

    Args:
        channels: two channels on two positions, ``(2, 2)``, none negative; the flatter one first.
        start: the map before the step, ``(2,)``.
        ahead: where the step leads, ``(2,)``.
        metric: how dear a change of each position is, ``(2,)``, positive.
    """
    figure = Figure(figsize=(6.6, 3.4), layout="constrained")
    ax = figure.subplots()
    edges = torch.stack([torch.zeros(2), *(FAR * channels / channels.norm(dim=1, keepdim=True))])
    ax.add_patch(Polygon(edges.tolist(), closed=True, facecolor=CONE, alpha=0.15))
    for k, channel in enumerate(channels, 1):
        _arrow(ax, torch.zeros(2), channel, CONE, f"channel {k}")
    for weight, colour, name in ((metric, ADAM, "Adam's"), (torch.ones(2), PLAIN, "the ruler's")):
        near = nearest(channels, ahead, weight)
        reach = (weight * (near - ahead).square()).sum()
        size = (2 * (reach / weight).sqrt()).tolist()
        middle = float(ahead[0]), float(ahead[1])
        ax.add_patch(Ellipse(middle, *size, fill=False, edgecolor=colour, linewidth=1.2))
        ax.plot(*near.tolist(), "o", color=colour, label=f"nearest by {name} measure")
    _arrow(ax, start, ahead, ADAM, "where the step leads")
    ax.plot(*start.tolist(), "s", color="0.2", label="map before the step")
    high = 1.35 * torch.stack([ahead, *channels]).amax(0)
    ax.set(xlim=(0, float(high[0])), ylim=(0, float(high[1])), aspect="equal")
    ax.set(xlabel="position 1", ylabel="position 2", xticks=[], yticks=[])
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def nearest(channels: Tensor, ahead: Tensor, metric: Tensor) -> Tensor:
    """Return the point of the cone that is nearest to another, ``(2,)``."""
    start = torch.ones(1, len(channels)).to(channels)
    found = project(channels[None], ahead[None], metric[None], start, rounds=2000, shifted=False)
    return (found[0, :, None] * channels).sum(0)


def _arrow(ax: Axes, start: Tensor, end: Tensor, colour: str, text: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
    tip, foot = ((float(point[0]), float(point[1])) for point in (end, start))
    ax.annotate("", tip, foot, arrowprops=style)
    ax.annotate(text, tip, (4, 3), textcoords="offset points", color=colour)
