"""Figures as SVG: what is in them, and how they are set into a page."""

import base64
import io
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from PIL import Image

from xaibook.vector import inline, least_width, size, svg
from xaicore.html import LEGIBLE


def lines():
    figure = Figure(figsize=(4, 2))
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], "o-", color="#0072B2")
    ax.axhline(0.5, color="#cccccc")
    ax.set_title("A < B", color="black", fontsize=12)
    ax.set_xlabel("x", color="#262626", fontsize=8)
    ax.tick_params(labelsize=10)
    return figure


def pictures():
    figure = Figure(figsize=(4, 2))
    noise = np.random.default_rng(0).random((300, 300, 3))
    for ax, array in zip(figure.subplots(1, 2), (noise, np.eye(2)), strict=True):
        ax.imshow(array, interpolation="nearest")
        ax.set_axis_off()
    return figure


def test_the_same_figure_is_the_same_svg():
    assert svg(lines()) == svg(lines())


def test_type_is_type_and_colours_stay():
    drawn = svg(lines())
    assert "A &lt; B" in drawn
    assert "#0072b2" in drawn
    assert "<dc:date" not in drawn


def test_pictures_are_jpeg_unless_png_is_smaller():
    drawn = svg(pictures())
    found = re.findall(r"data:image/(\w+);base64,([^\"]+)", drawn)
    assert [kind for kind, _ in found] == ["jpeg", "png"]
    for kind, data in found:
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.format.lower() == kind
        assert min(image.size) > 200  # two pixels for one of a page


def test_a_picture_of_few_pixels_keeps_every_one():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    figure = Figure()
    figure.subplots().imshow(noise, interpolation="none")
    kind, data = re.findall(r"data:image/(\w+);base64,([^\"]+)", svg(figure))[0]
    assert kind == "png"
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert np.array_equal(np.asarray(image), noise)


@pytest.fixture
def page():
    return BeautifulSoup(inline(svg(lines()), 'Line "up"', "f7"), "html.parser")


def test_a_page_draws_it_in_its_own_ink(page):
    text = str(page)
    assert "#ffffff" not in text
    assert "#262626" not in text
    assert "color-mix(in srgb, currentColor 24%" in text  # of #cccccc
    assert "#0072b2" in text
    assert page.svg["aria-label"] == 'Line "up"'
    assert page.style is None  # which would hold for the whole page


def test_hatched_bars_keep_the_ground_of_the_page():
    figure = Figure(figsize=(2, 2))
    figure.subplots().bar([0], [1], color="white", edgecolor="#0072B2", hatch="//")
    text = inline(svg(figure), "A bar", "f0")
    assert "pattern id=" in text
    assert "#f0-f" not in text
    assert "#ffffff" not in text


def test_names_are_the_figure_s_own(page):
    named = {element["id"] for element in page.select("[id]")}
    used = set(re.findall(r"(?:url\(|href=\")#([\w-]+)", str(page)))
    assert used
    assert named == used
    assert all(name.startswith("f7-") for name in named)


def test_it_is_no_narrower_than_its_smallest_type_can_be_read(page):
    width, height = size(svg(lines()))
    least = least_width(svg(lines()))
    assert 8 * least / width == pytest.approx(LEGIBLE, rel=0.01)
    assert f"--legible: {least}px" in page.svg["style"]
    assert float(page.svg["width"]) / float(page.svg["height"]) == pytest.approx(
        width / height, 0.01
    )


def test_an_exponent_makes_no_figure_wider():
    plain, raised = lines(), lines()
    raised.axes[0].set_xlabel(r"$x^2$", fontsize=8)
    assert least_width(svg(raised)) == pytest.approx(least_width(svg(plain)), rel=0.02)


def test_what_is_no_svg_is_refused():
    with pytest.raises(ValueError, match="no SVG"):
        inline("<p>", "", "")
