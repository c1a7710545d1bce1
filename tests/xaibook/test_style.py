"""The book's names and colours."""

from unittest.mock import patch

import matplotlib as mpl
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from matplotlib.figure import Figure

from xaibook import style
from xaicore import plot
from xaicore.attribution import METHODS
from xaicore.interpretation import FITTED

CONTROLS = {"vebi-strided", "vebi-random"}
MASKS = {"silhouette", "mean-mask", "other-part", "coarse-mask", "mask"}


def test_every_method_and_map_has_a_colour_and_a_label() -> None:
    assert set(style.PALETTE) == set(style.LABELS) == {*METHODS, *FITTED} | CONTROLS | MASKS
    assert plot.labels().items() <= style.LABELS.items()
    apart = {name for name, colour in plot.colors().items() if style.PALETTE[name] != colour}
    assert apart == {"cam"}
    assert len(set(style.LABELS.values())) == len(style.LABELS)


def test_controls_stand_beside_their_family() -> None:
    assert list(style.FAMILIES) == list(plot.COLORS)
    assert {"vebi", *CONTROLS} == set(style.FAMILIES["interpretation"])
    assert {"noise", *MASKS} < set(style.FAMILIES["no explanation"])


def test_the_style_shows_pictures_unfiltered() -> None:
    with mpl.rc_context():
        style.use()
        assert mpl.rcParams["image.interpolation"] == "nearest"


def test_in_a_notebook_figures_are_svg_and_those_of_too_much_are_pixels() -> None:
    shell = InteractiveShell()
    shell.display_formatter.active_types = ["image/png", "image/jpeg", "image/svg+xml"]
    select_figure_formats(shell, {"png"})
    with mpl.rc_context(), patch("IPython.get_ipython", lambda: shell):
        style.use()
    lines = Figure()
    lines.subplots().plot([0, 1])
    tiles = plot.grid({"": [np.zeros((64, 64, 3)), np.zeros((64, 64, 3))]})

    def shown(figure: Figure) -> set[str]:
        return set(shell.display_formatter.format(figure)[0]) - {"text/plain"}

    assert shown(lines) == shown(tiles) == {"image/svg+xml"}
    with patch("xaibook.style.LONGEST", 0):
        assert shown(lines) == {"image/png"}
        assert shown(tiles) == {"image/jpeg"}
