"""Drawing: maps over their images, grids of pictures, intervals by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    import pandas as pd

    from xaicore.attribution.explainer import Explainer, Family

COLORMAP = "inferno"
COLORS: dict[Family, str] = {
    "class activation": "#0072B2",
    "learned": "#D55E00",
    "masking": "#E69F00",
    "gradient": "#009E73",
    "interpretation": "#000000",
    "attention": "#CC79A7",
    "no explanation": "#7F7F7F",
}
"""One colour per family of methods: the Okabe-Ito set, safe for colour-blind readers."""

OTHER = "#000000"
"""The colour of a method that is not known."""

TILE = 1.25
"""Width and height of a picture in a grid, in inches."""

STRENGTH = 0.75
"""The opacity of a map's colour over an image where the map is 1."""

FINE = 128
"""A picture of more rows is filtered where it is drawn smaller; one of fewer shows its pixels."""


def methods() -> dict[str, type[Explainer]]:
    """Return every method by its name, in the order of tables.

    Nothing but what a method says of itself, its label and its family, may be asked of it here: the
    book's chapters, which all draw, do not run again when another part of a method changes.
    """
    from xaicore.attribution import METHODS
    from xaicore.interpretation import FITTED

    return METHODS | FITTED


def labels() -> dict[str, str]:
    """Return how each method is written, by its name."""
    return {name: method.label for name, method in methods().items()}


def colors() -> dict[str, str]:
    """Return the colour of each method, that of its family, by its name."""
    return {name: COLORS[method.family] for name, method in methods().items()}


def pixels(image: Tensor) -> np.ndarray:
    """Return an image ``(3, H, W)`` or a map ``(1, H, W)`` as an array that matplotlib shows."""
    array = image.detach().float().cpu().numpy().transpose(1, 2, 0)
    return array[..., 0] if array.shape[-1] == 1 else array


def picture(image: Tensor) -> np.ndarray:
    """Return an image ``(channels, H, W)`` as red, green and blue ``(H, W, 3)``.

    One channel is grey, and so is the mean of two; of more than three the first three are shown.
    """
    channels = image if len(image) > 2 else image.mean(0, keepdim=True).expand(3, -1, -1)
    return pixels(channels[:3])


def blend(image: Tensor, saliency: Tensor, strength: float = STRENGTH) -> np.ndarray:
    """Lay a map over an image: grey where it is low, coloured where it is high.

    Args:
        image: pixels ``(channels, H, W)`` in ``[0, 1]``.
        saliency: a map ``(1, h, w)`` in ``[0, 1]``; of another size, it is upsampled.
        strength: opacity of the colour where the map is 1.

    Returns:
        Pixels ``(H, W, 3)`` in ``[0, 1]``.
    """
    grey = picture(image).mean(axis=-1, keepdims=True)
    if saliency.shape[-2:] != image.shape[-2:]:
        saliency = F.interpolate(saliency[None], image.shape[-2:], mode="bilinear")[0]
    values = pixels(saliency)
    colour = mpl.colormaps[COLORMAP](values)[..., :3]
    opacity = strength * values[..., None]
    return (1 - opacity) * grey + opacity * colour


def points(saliency: Tensor, clip: float = 0.99, widen: int = 3) -> np.ndarray:
    """Return a map of pixels, of which few hold most, so that it is seen where it stands alone.

    Over an image its specks would be lost. The largest values are drawn alike, the rest is
    stretched, and each pixel is as wide as its neighbourhood.

    Args:
        saliency: a map ``(1, H, W)``, not negative.
        clip: the share of the pixels that stay below the largest value drawn, in ``(0, 1]``.
        widen: the side of the square over which a pixel spreads its value, odd.

    Returns:
        A map ``(H, W)`` in ``[0, 1]``, which ``grid`` draws.
    """
    if not 0 < clip <= 1 or widen < 1 or widen % 2 == 0:
        raise ValueError(f"clip must be in (0, 1] and widen odd, not {clip} and {widen}")
    values = F.max_pool2d(saliency[None].float(), widen, 1, widen // 2)[0]
    largest = values.flatten().quantile(clip)
    return pixels((values / largest.where(largest > 0, 1)).clamp(0, 1))


def overlay(images: Tensor, maps: Tensor, titles: Sequence[str] | None = None) -> Figure:
    """Draw a row of images with their maps laid over them, and the colour scale.

    Args:
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        titles: one for each image.

    Raises:
        ValueError: images are no pixels of floating point, or maps do not fit them.
    """
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point in [0, 1], not {images.dtype}: / 255")
    if maps.shape != (len(images), 1, *images.shape[-2:]):
        raise ValueError(
            f"maps of shape {tuple(maps.shape)} do not fit images {tuple(images.shape)}: "
            "xc.normalize(xc.upsample(maps, images.shape[-2:])) brings raw maps to their size"
        )
    rows = {"image": list(map(picture, images)), "saliency": list(map(blend, images, maps))}
    return grid(rows, titles, colorbar=True)


def grid(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] | None = None,
    tile: float = TILE,
    colorbar: bool | Sequence[str] = False,
) -> Figure:
    """Draw rows of pictures; each row is named at its left, each column titled on top.

    The scale of saliency has the colours that are in the figure: those of maps, if maps stand in
    it, else those of maps over images, from a black one, at its left, to a white one.

    Args:
        rows: pictures ``(H, W, 3)``, or maps ``(H, W)`` in ``[0, 1]``, by the name of their row.
        titles: one for each column.
        tile: width of a picture, and its height at most, in inches.
        colorbar: whether to draw the scale of saliency at the right, or beside which rows.

    Raises:
        ValueError: colorbar names a row that is none.
    """
    columns = max(len(pictures) for pictures in rows.values())
    heights = [tile * max(map(_height, pictures)) for pictures in rows.values()]
    figure = Figure(figsize=(tile * columns + 0.9, sum(heights) + 0.6), layout="constrained")
    ratios = {"height_ratios": heights}
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=ratios)
    for name, pictures, line in zip(rows, rows.values(), axes, strict=True):
        for picture, ax in zip(pictures, line, strict=False):
            filtered = "auto" if len(picture) > FINE else None
            ax.imshow(picture, vmin=0, vmax=1, cmap=COLORMAP, interpolation=filtered)
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    for title, ax in zip(titles or [], axes[0], strict=False):
        ax.set_title(title)
    if colorbar:
        _scale(figure, rows, axes, list(rows) if colorbar is True else colorbar)
    return figure


def _scale(
    figure: Figure,
    rows: Mapping[str, Sequence[np.ndarray]],
    axes: np.ndarray,
    beside: Sequence[str],
) -> None:
    """Draw the scale of saliency beside some rows, in the colours that are in them."""
    if unknown := [name for name in beside if name not in rows]:
        raise ValueError(f"colorbar names no row: '{unknown[0]}' is none of {', '.join(rows)}")
    chosen = [place for place, name in enumerate(rows) if name in beside]
    values = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), COLORMAP)
    bar = figure.colorbar(
        values,
        ax=axes[chosen],
        label="saliency",
        ticks=[0, 0.5, 1],
        shrink=0.8,
        pad=0.02,
        aspect=12,
    )
    if not any(picture.ndim == 2 for name in beside for picture in rows[name]):
        square = (0, 1, 0, 1)
        bar.ax.imshow(over_greys(), extent=square, origin="lower", aspect="auto", zorder=2)


def over_greys(steps: int = 64) -> np.ndarray:
    """Return the colours that ``blend`` gives, ``(steps, steps, 3)``: saliency up, grey across."""
    ramp = torch.linspace(0, 1, steps)
    greys = ramp.expand(3, steps, steps)
    return blend(greys, ramp[None, :, None].expand(1, steps, steps))


def _height(picture: np.ndarray) -> float:
    """The height of a picture that is drawn as wide as its tile, or in it if it is higher."""
    return min(1.0, picture.shape[0] / picture.shape[1])


def intervals(
    summary: pd.DataFrame,
    ax: Axes,
    metric: str,
    label: str | None = None,
    palette: Mapping[str, str] | None = None,
) -> None:
    """Draw the mean of a metric for each method, with its 95 % interval.

    Args:
        summary: the table of ``evaluation.summarize``, by method; or one with ``low`` and ``high``,
            the ends of the intervals, in the place of ``half_width``.
        ax: the axes to draw on.
        metric: the metric's name in the table.
        label: the axis label; the metric's name by default.
        palette: the colour of each method; by default that of its family.
    """
    table, written, shades = summary.xs(metric, level="metric"), labels(), palette or colors()
    for position, (method, row) in enumerate(table.iterrows()):
        ax.barh(position, row["mean"], color=shades.get(method, OTHER), height=0.62)
        ends = row.get("half_width")
        if ends is None:
            sides = row["mean"] - row["low"], row["high"] - row["mean"]
            ends = [[max(0.0, side)] for side in sides]  # rounding may put one below zero
        ax.errorbar(row["mean"], position, xerr=ends, color="black", capsize=3)
    ax.set(
        yticks=range(len(table)),
        yticklabels=[written.get(method, method) for method in table.index],
        ylim=(len(table) - 0.5, -0.5),
        xlabel=label or f"{metric} (%)",
    )
