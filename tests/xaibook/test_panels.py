"""Panels that are moved without a kernel: what their frames show and say."""

import io
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image

from tests.networks import classifier, pictures
from xaibook import panels

MOST = 250_000
"""The bytes that a panel may weigh."""


def read(fragment):
    """Return what is said of each frame, by its choices, and what is shown at first."""
    assert len(fragment.html) < MOST
    soup = BeautifulSoup(fragment.html, "html.parser")
    said = {
        image["alt"].partition(" (")[2][:-1]: image["data-said"] for image in soup.select("img")
    }
    (shown,) = soup.select("img:not([hidden])")
    assert soup.select_one("[role=status]").text == shown["data-said"]
    return said, shown["alt"].partition(" (")[2][:-1], soup


def pixels(soup, alt):
    (image,) = [image for image in soup.select("img") if alt in image["alt"]]
    return np.asarray(Image.open(io.BytesIO(urlopen(image["src"]).read()))) / 255


def scrubbed(steps=20):
    image, start = torch.ones(3, 64, 64), torch.zeros(3, 64, 64)
    noise = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    line = torch.linspace(0, 1, steps + 1)
    of_map = {"rows": torch.arange(64.0).view(1, 64, 1).expand(1, 64, 64), "noise": noise}
    curves = {name: [line, 1 - line] for name in of_map}
    return panels.scrub(image, of_map, curves, (start, start), "Pixels")


def test_a_curve_is_gone_along_in_the_order_of_a_map():
    said, shown, soup = read(scrubbed())
    assert shown == "curve: insertion, order of: rows, pixels: 10 %"
    assert said[shown] == "10 % of the pixels have come: the class has 10 %."
    gone = "curve: deletion, order of: noise, pixels: 70 %"
    assert said[gone] == "70 % of the pixels have gone: the class has 30 %."
    half = pixels(soup, "curve: insertion, order of: rows, pixels: 50 %")
    assert half[:30].max() < 0.1
    assert half[34:].min() > 0.9
    with pytest.raises(ValueError, match="must be 20 n"):
        scrubbed(steps=10)


def test_a_map_is_raised_to_a_power_on_each_ground():
    model, image = classifier(), pictures(1)
    saliency = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    maps = {"ramp": saliency, "nothing": torch.zeros_like(saliency)}
    said, shown, _ = read(panels.powers(model, image, torch.tensor([0]), maps, "Kept"))
    assert shown == "map: ramp, power α: 1, baseline: black"
    for baseline in ("black", "mean", "blur"):  # to the power of nought everything is kept
        assert said[f"map: ramp, power α: 0, baseline: {baseline}"].endswith("drop 0 %, gain 0 %")
    grounds = {said[f"map: nothing, power α: 2, baseline: {b}"] for b in ("black", "mean")}
    assert len(grounds) == 2


def test_attention_is_sharpened_on_one_scale():
    even = torch.full((2, 1, 8, 8), 1 / 64)
    sharp = torch.zeros(2, 1, 8, 8)
    sharp[..., :4] = 1 / 32
    attention = {"0": even, "4": sharp, "8": sharp}
    said, shown, soup = read(panels.sharpness(pictures(2, 64, 64), attention, "Attention"))
    assert shown == "picture: 1, sharpness: 4"
    assert said["picture: 2, sharpness: 0"] == (
        "The highest weight is 1.0 times an even one; the entropy is 100 % of even attention's."
    )
    assert "2.0 times" in said[shown]
    assert "83 %" in said[shown]
    assert pixels(soup, "picture: 1, sharpness: 0").std() < pixels(soup, shown).std()
