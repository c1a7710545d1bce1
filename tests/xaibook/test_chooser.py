"""One of many pictures, chosen without a kernel."""

from itertools import product
from urllib.request import urlopen

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from xaibook.chooser import chooser


def draw(**options):
    shades = dict(zip(product(["a", "b"], ["none", "1", "2"]), np.linspace(0, 1, 6), strict=True))
    frames = {key: np.full((4, 4, 3), shade) for key, shade in shades.items()}
    given = {"names": ["picture", "<power>"], "alt": "A square"} | options
    return BeautifulSoup(chooser(frames, **given).html, "html.parser")


def test_each_combination_has_its_picture_and_the_first_is_shown():
    soup = draw(said={("a", "none"): "black & so on"})
    images = soup.select("img")
    assert [image["data-key"] for image in images] == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert [image.has_attr("hidden") for image in images] == [False] + 5 * [True]
    assert images[4]["alt"] == "A square (picture: b, <power>: 1)"
    shades = [np.asarray(Image.open(urlopen(image["src"]))).mean() for image in images]
    assert shades == pytest.approx(np.linspace(0, 255, 6), abs=2)
    assert soup.select_one("[role=status]").text == "black & so on"


def test_ordered_choices_are_a_slider_and_others_a_list():
    soup = draw(ordered=["<power>"])
    assert [option.text for option in soup.select("select option")] == ["a", "b"]
    assert soup.input["max"] == "2"
    assert soup.input["aria-valuetext"] == "none"
    assert [o["label"] for o in soup.select(f"#{soup.input['list']} option")] == [
        "none",
        "1",
        "2",
    ]


def test_it_opens_at_the_choice_that_is_named():
    soup = draw(ordered=["<power>"], opens=("b", "1"), said={("b", "1"): "grey"})
    assert [image["data-key"] for image in soup.select("img:not([hidden])")] == ["1-1"]
    assert soup.select_one("option[selected]").text == "b"
    assert (soup.input["value"], soup.input["aria-valuetext"]) == ("1", "1")
    assert soup.select_one("[role=status]").text == "grey"


def test_what_lacks_a_picture_is_refused():
    frames = {("a", "x"): np.zeros((4, 4, 3)), ("b", "y"): np.zeros((4, 4, 3))}
    with pytest.raises(ValueError, match=r"\('a', 'y'\) has none"):
        chooser(frames, ["one", "two"], "alt")
    with pytest.raises(ValueError, match="a key of 3 choices"):
        chooser(frames, ["one", "two", "three"], "alt")
    with pytest.raises(ValueError, match=r"\('c', '1'\) has none"):
        draw(opens=("c", "1"))
