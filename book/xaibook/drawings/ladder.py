"""The ladder of sharpness: attention that is nearly even, and attention that chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from xaicore.plot import COLORMAP, blend


@dataclass(frozen=True)
class Rung:
    """One column of the ladder.

    Attributes:
        attention: weights of the positions ``(1, h, w)``, of sum 1.
        entropy: relative to that of even attention, in per cent.
        length: of the pooled vector, relative to the average's.
        accuracy: in per cent.
        gain: AG of Grad-CAM, in per cent.
    """

    attention: Tensor
    entropy: float
    length: float
    accuracy: float
    gain: float

    @property
    def times_even(self) -> Tensor:
        """The weights in multiples of an even one."""
        return self.attention * self.attention.numel()


def ladder(image: Tensor, rungs: Mapping[str, Rung], most: float = 4.0) -> Figure:
    """Draw attention of several strengths over an image, on one scale, and what it brings.

    Args:
        image: pixels ``(3, H, W)``.
        rungs: by the title of its column.
        most: the multiple of an even weight at which the colour is full.
    """
    figure = Figure(figsize=(8.0, 3.9))
    axes = figure.subplots(3, len(rungs), height_ratios=(3.2, 0.6, 1.2), squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.9, top=0.92, bottom=0.02, wspace=0.06, hspace=0.04)
    for column, (title, rung) in zip(axes.T, rungs.items(), strict=True):
        column[0].imshow(blend(image, (rung.times_even / most).clamp(max=1)))
        column[0].set(title=title, xticks=[], yticks=[])
        column[0].spines[:].set_visible(False)
        _bars(column[1], rung)
        column[2].text(0.5, 0.95, _told(rung), ha="center", va="top", fontsize=9)
        column[2].axis("off")
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, most), COLORMAP)
    beside = figure.add_axes((0.915, 0.44, 0.015, 0.46))
    figure.colorbar(scale, cax=beside, label="weight / even weight")
    return figure


def evenness(attention: Tensor) -> float:
    """Return the entropy of attention ``(B, 1, h, w)`` relative to even attention, in per cent."""
    flat = attention.flatten(1).double()
    even = torch.tensor(float(flat.shape[1])).log()
    return (100 * torch.special.entr(flat).sum(1).mean() / even).item()


def _bars(ax: Axes, rung: Rung) -> None:
    """The entropy as a bar, the length of what is pooled as an arrow."""
    ax.barh(1, rung.entropy / 100, color="#56B4E9", height=0.5)
    ax.barh(1, 1, facecolor="none", edgecolor="0.5", height=0.5)
    arrow = {"arrowstyle": "-|>", "color": "#D55E00", "linewidth": 2}
    ax.annotate("", (rung.length / 4, 0), (0, 0), arrowprops=arrow)
    ax.set(xlim=(-0.02, 1.05), ylim=(-0.6, 1.6))
    ax.axis("off")


def _told(rung: Rung) -> str:
    return (
        f"entropy {rung.entropy:.0f} %\nlength {rung.length:.1f}\n"
        f"accuracy {rung.accuracy:.0f} %\nAG {rung.gain:.0f} %"
    )
