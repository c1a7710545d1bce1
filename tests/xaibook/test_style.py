"""The book's names and colours."""

import matplotlib as mpl

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
