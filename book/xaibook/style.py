"""How the book looks: its names and colours of methods and maps, and the style of its figures."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from xaibook.vector import LONGEST, svg
from xaicore.html import jpeg, of_pictures, png
from xaicore.plot import COLORMAP, COLORS, methods

ADDED = {
    "interpretation": {
        "vebi-strided": "VEBI, with the grid",
        "vebi-random": "VEBI, random channels",
    },
    "no explanation": {
        "silhouette": "Silhouette",
        "mean-mask": "Mean mask",
        "other-part": "Other part",
        "coarse-mask": "Mask at 8 × 8",
        "mask": "Mask",
    },
}
"""What stands beside the methods in the book's tables: controls of VEBI, and masks as maps."""

FAMILIES = {
    family: {name: method.label for name, method in methods().items() if method.family == family}
    | ADDED.get(family, {})
    for family in COLORS
}
"""How methods and maps are written, by family."""

LABELS = {name: label for family in FAMILIES.values() for name, label in family.items()}
PALETTE = {name: COLORS[family] for family, names in FAMILIES.items() for name in names}
PALETTE["cam"] = "#56B4E9"  # apart from Grad-CAM, beside which it is drawn


def use() -> None:
    """Set the look of the book's figures: quiet axes, legible text, colour-blind-safe colours.

    In a notebook, figures are shown as SVG.
    """
    import seaborn as sns  # here, as a script that draws nothing does not load it

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
    _show_figures_as_svg()


def _show_figures_as_svg() -> None:
    """Have notebooks show figures as SVG, and as pixels those of too many lines."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    formatter = shell.display_formatter
    for kind in ("image/png", "image/jpeg"):
        formatter.formatters[kind].for_type(Figure, lambda _: None)
    formatter.mimebundle_formatter.for_type(Figure, _shown)


def _shown(figure: Figure, **_: object) -> tuple[dict[str, str | bytes], dict[str, object]]:
    drawn = svg(figure)
    if len(drawn) <= LONGEST:
        return {"image/svg+xml": drawn}, {}
    if of_pictures(figure):
        return {"image/jpeg": jpeg(figure)}, {}
    return {"image/png": png(figure)}, {}
