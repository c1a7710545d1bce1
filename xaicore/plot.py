"""What the chapters draw more than once: overlays, grids and curves, in one visual language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

COLORMAP = "inferno"
FAMILIES = {
    "class activation": {
        "cam": "CAM",
        "grad-cam": "Grad-CAM",
        "grad-cam++": "Grad-CAM++",
        "xgrad-cam": "XGrad-CAM",
        "layer-cam": "Layer-CAM",
        "hires-cam": "HiRes-CAM",
        "ablation-cam": "Ablation-CAM",
        "score-cam": "Score-CAM",
    },
    "learned": {
        "opti-cam": "Opti-CAM",
        "extremal-perturbation": "Extremal perturbation",
    },
    "masking": {"rise": "RISE", "occlusion": "Occlusion"},
    "gradient": {
        "saliency": "Gradient",
        "input-x-gradient": "Input × gradient",
        "integrated-gradients": "Integrated gradients",
        "smoothgrad": "SmoothGrad",
        "guided-backprop": "Guided backprop",
        "gradient-shap": "GradientSHAP",
    },
    "interpretation": {
        "vebi": "VEBI",
        "vebi-strided": "VEBI, with the grid",
        "vebi-random": "VEBI, random channels",
    },
    "attention": {"raw-attention": "Raw attention", "rollout": "Rollout", "tibav": "TIBAV"},
    "no explanation": {
        "fake-cam": "Fake-CAM",
        "noise": "Noise",
        "centre": "Centre",
        "edges": "Edges",
        "colour": "Colour",
        "silhouette": "Silhouette",
        "mean-mask": "Mean mask",
        "other-part": "Other part",
        "coarse-mask": "Mask at 8 × 8",
        "mask": "Mask",
    },
}
"""The methods, by family, as the book writes them; last, maps that explain nothing."""

COLORS = {
    "class activation": "#0072B2",
    "learned": "#D55E00",
    "masking": "#E69F00",
    "gradient": "#009E73",
    "interpretation": "#000000",
    "attention": "#CC79A7",
    "no explanation": "#7F7F7F",
}
"""One colour per family through the book: the Okabe-Ito set, safe for colour-blind readers."""

LABELS = {method: label for family in FAMILIES.values() for method, label in family.items()}
PALETTE = {method: COLORS[family] for family, names in FAMILIES.items() for method in names}
PALETTE["cam"] = "#56B4E9"
OTHER = "#000000"
"""The colour of a method that the book does not know."""

TILE = 1.25
"""Width and height of a picture in a grid, in inches."""


def use_style() -> None:
    """Set the look of the book's figures: quiet axes, legible text, colour-blind-safe colours."""
    import seaborn as sns  # here, as it takes longer to load than the methods and metrics

    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "image.cmap": COLORMAP,
            "image.interpolation": "nearest",
        }
    )


def pixels(image: Tensor) -> np.ndarray:
    """Return an image ``(3, H, W)`` or a map ``(1, H, W)`` as an array that matplotlib shows."""
    array = image.detach().float().cpu().numpy().transpose(1, 2, 0)
    return array[..., 0] if array.shape[-1] == 1 else array


def blend(image: Tensor, saliency: Tensor, strength: float = 0.75) -> np.ndarray:
    """Lay a map over an image: grey where it is low, coloured where it is high.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``.
        saliency: a map ``(1, H, W)`` in ``[0, 1]``.
        strength: opacity of the colour where the map is 1.

    Returns:
        Pixels ``(H, W, 3)`` in ``[0, 1]``.
    """
    grey = pixels(image).mean(axis=-1, keepdims=True)
    values = pixels(saliency)
    colour = mpl.colormaps[COLORMAP](values)[..., :3]
    opacity = strength * values[..., None]
    return (1 - opacity) * grey + opacity * colour


def overlay(images: Tensor, maps: Tensor, titles: Sequence[str] | None = None) -> Figure:
    """Draw a row of images with their maps laid over them, and the colour scale.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        titles: one for each image.
    """
    rows = {"image": list(map(pixels, images)), "saliency": list(map(blend, images, maps))}
    return grid(rows, titles, colorbar=True)


def grid(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] | None = None,
    tile: float = TILE,
    colorbar: bool = False,
) -> Figure:
    """Draw rows of pictures; each row is named at its left, each column titled on top.

    Args:
        rows: pictures ``(H, W, 3)``, or maps ``(H, W)`` in ``[0, 1]``, by the name of their row.
        titles: one for each column.
        tile: width and height of a picture, in inches.
        colorbar: whether to draw the scale of the saliency at the right.
    """
    columns = max(len(pictures) for pictures in rows.values())
    figure = Figure(figsize=(tile * columns + 0.9, tile * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for name, pictures, line in zip(rows, rows.values(), axes, strict=True):
        for picture, ax in zip(pictures, line, strict=False):
            ax.imshow(picture, vmin=0, vmax=1)
        for ax in line:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    for title, ax in zip(titles or [], axes[0], strict=False):
        ax.set_title(title)
    if colorbar:
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), COLORMAP)
        figure.colorbar(scale, ax=axes, label="saliency", ticks=[0, 0.5, 1], shrink=0.8, pad=0.02)
    return figure


def intervals(summary: pd.DataFrame, ax: Axes, metric: str, label: str | None = None) -> None:
    """Draw the mean of a metric for each method, with its 95 % interval.

    Args:
        summary: the table of ``evaluation.summarize``, by method.
        ax: the axes to draw on.
        metric: the metric's name in the table.
        label: the axis label; the metric's name by default.
    """
    table = summary.xs(metric, level="metric")
    for position, (method, row) in enumerate(table.iterrows()):
        ax.barh(position, row["mean"], color=PALETTE.get(method, OTHER), height=0.62)
        ax.errorbar(row["mean"], position, xerr=row["half_width"], color="black", capsize=3)
    ax.set(
        yticks=range(len(table)),
        yticklabels=[LABELS.get(method, method) for method in table.index],
        ylim=(len(table) - 0.5, -0.5),
        xlabel=label or f"{metric} (%)",
    )
