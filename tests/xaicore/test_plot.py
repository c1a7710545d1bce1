"""Figures: what is drawn, not how it looks."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from tests.networks import pictures
from xaicore import plot
from xaicore.masking import upsample


def test_an_overlay_is_grey_where_the_map_is_zero_and_coloured_where_it_is_one() -> None:
    image = pictures(1)[0]
    saliency = torch.zeros(1, 16, 16)
    saliency[..., 8:] = 1
    drawn = plot.blend(image, saliency, strength=0.5)
    grey = image.mean(0).numpy()
    np.testing.assert_allclose(drawn[:, :8], np.repeat(grey[:, :8, None], 3, 2), atol=1e-6)
    top = np.array(mpl.colormaps[plot.COLORMAP](1.0)[:3])
    np.testing.assert_allclose(drawn[:, 8:], (grey[:, 8:, None] + top) / 2, atol=1e-6)


def test_a_coarser_map_is_upsampled_onto_its_image() -> None:
    image, saliency = pictures(1)[0], torch.rand(1, 4, 4)
    expected = plot.blend(image, upsample(saliency[None], (16, 16))[0])
    np.testing.assert_array_equal(plot.blend(image, saliency), expected)


def test_rows_are_as_high_as_their_pictures_but_no_higher_than_wide() -> None:
    wide, square, high = (np.zeros((h, w, 3)) for h, w in ((10, 20), (10, 10), (20, 10)))
    heights = [plot.grid({"": [one]}, tile=2).get_figheight() for one in (wide, square, high)]
    assert heights == pytest.approx([1.6, 2.6, 2.6])


def test_an_overlay_figure_has_one_column_per_image_and_a_scale() -> None:
    images = pictures(3)
    figure = plot.overlay(images, torch.rand(3, 1, 16, 16), titles=["a", "b", "c"])
    labels = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert labels == ["image", "saliency", "saliency"]
    assert [ax.get_title() for ax in figure.axes[:3]] == ["a", "b", "c"]
    assert len(figure.axes) == 2 * 3 + 1


def test_the_scale_of_an_overlay_has_the_colours_that_are_in_it() -> None:
    greys = torch.linspace(0, 1, 64).expand(1, 3, 1, 64)
    for saliency in (0.0, 21 / 63, 1.0):
        drawn = plot.blend(greys[0], torch.full((1, 1, 64), saliency))
        row = round(63 * saliency)
        np.testing.assert_allclose(plot.over_greys()[row], drawn[0], atol=1e-6)
    over = plot.grid({"over": [plot.blend(*pictures(1), torch.rand(1, 16, 16))]}, colorbar=True)
    alone = plot.grid({"alone": [np.zeros((8, 8))]}, colorbar=True)
    assert np.array_equal(over.axes[-1].images[0].get_array(), plot.over_greys())
    assert not alone.axes[-1].images


def test_a_scale_stands_beside_the_rows_that_are_named() -> None:
    rows = {name: [np.zeros((8, 8))] for name in ("image", "map", "kept")}
    figure = plot.grid(rows, colorbar=["map"])
    figure.draw_without_rendering()
    bar, row = figure.axes[-1].get_position(), figure.axes[1].get_position()
    assert row.y0 <= bar.y0 < bar.y1 <= row.y1
    with pytest.raises(ValueError, match="'none' is none of image, map, kept"):
        plot.grid(rows, colorbar=["none"])


def test_points_are_clipped_and_widened_so_that_they_are_seen() -> None:
    saliency = torch.zeros(1, 32, 32)
    saliency[0, 5, 5], saliency[0, 20, 20] = 100.0, 1.0
    drawn = plot.points(saliency, clip=0.985)
    assert drawn[4:7, 4:7].min() == 1 == drawn[19:22, 19:22].min()
    assert drawn.sum() == 18
    assert not plot.points(torch.zeros(1, 8, 8)).any()
    with pytest.raises(ValueError, match="widen odd"):
        plot.points(saliency, widen=2)


def test_intervals_draw_one_bar_per_method() -> None:
    index = pd.MultiIndex.from_product(
        [["grad-cam", "opti-cam"], ["AG"]], names=["method", "metric"]
    )
    summary = pd.DataFrame({"mean": [10.0, 50.0], "half_width": [1.0, 2.0]}, index=index)
    ax = Figure().subplots()
    plot.intervals(summary, ax, "AG")
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([10, 50])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Grad-CAM", "Opti-CAM"]
    assert ax.get_xlabel() == "AG (%)"
    plain = [bar.get_facecolor() for bar in ax.patches]
    assert plain == [mpl.colors.to_rgba(plot.colors()[m]) for m in ("grad-cam", "opti-cam")]


def test_intervals_take_a_palette_and_draw_what_is_not_known() -> None:
    index = pd.MultiIndex.from_product([["mine", "cam"], ["AG"]], names=["method", "metric"])
    summary = pd.DataFrame({"mean": [10.0, 50.0], "half_width": [1.0, 2.0]}, index=index)
    ax = Figure().subplots()
    plot.intervals(summary, ax, "AG", palette={"cam": "#56B4E9"})
    shades = [mpl.colors.to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert shades == [plot.OTHER, "#56B4E9"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mine", "CAM"]


def test_an_overlay_refuses_what_does_not_fit() -> None:
    images = pictures(2)
    with pytest.raises(ValueError, match="do not fit images"):
        plot.overlay(images, torch.rand(2, 1, 8, 8))
    with pytest.raises(ValueError, match="do not fit images"):
        plot.overlay(images, torch.rand(1, 1, 16, 16))
    with pytest.raises(ValueError, match=r"floating point.*/ 255"):
        plot.overlay((255 * images).byte(), torch.rand(2, 1, 16, 16))
