"""What the drawings print is what the tensors hold."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image

import xaicore as xc
from xaibook.drawings import anatomy, masking_strip
from xaibook.drawings.anatomy import CHANNELS, eight
from xaibook.flowers import Flowers, flower_classifier
from xaicore.attribution.capture import capture

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


def soup(fragment):
    return BeautifulSoup(fragment.html, "html.parser")


def shown(image):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))))


class TestAnatomy:
    features = torch.rand(20, 4, 4, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(20, generator=torch.Generator().manual_seed(2))
    channels = (3, 1, 4, 15, 9, 2, 6, 5)

    def draw(self, **changed):
        given = {"channels": self.channels, "alt": "A <map>"} | changed
        return soup(anatomy(IMAGE, self.features, self.weights, **given))

    def test_weights_largest_values_and_the_sum_are_those_of_the_tensors(self):
        drawn = self.draw()
        said = [numbers(text.text)[0] for text in drawn.select(".xc-tiles small")]
        chosen = list(self.channels)
        assert said[::2] == pytest.approx(self.weights[chosen].tolist(), rel=0.05, abs=5e-5)
        assert said[1::2] == pytest.approx(self.features[chosen].amax((1, 2)).tolist(), rel=0.05)
        total = torch.einsum("k,khw->hw", self.weights, self.features)
        cell = divmod(int(total.argmax()), 4)
        *products, rest, _, whole = numbers(drawn.select_one(".xc-spelt").text)
        assert whole == pytest.approx(float(total.max()), rel=0.05)
        assert products[1::2] == pytest.approx(
            self.features[chosen][:, *cell].tolist(), rel=0.05, abs=5e-5
        )
        drawn_sum = sum(w * a for w, a in zip(products[::2], products[1::2], strict=True))
        assert drawn_sum + rest == pytest.approx(whole, abs=0.2)
        assert "other 12)" in drawn.select_one(".xc-spelt").text

    def test_bars_are_as_long_as_the_weights_and_the_sum_has_their_colours(self):
        drawn = self.draw()
        lengths = [
            float(re.search(r"--long: ([\d.e-]+)%", bar["style"])[1])
            for bar in drawn.select(".xc-tiles span")
        ]
        sizes = self.weights[list(self.channels)].abs().numpy()
        assert np.allclose(np.array(lengths) / lengths[0], sizes / sizes[0], rtol=1e-2)
        total = torch.einsum("k,khw->hw", self.weights, self.features)
        pixels = shown(drawn.select_one(".xc-s img")).astype(int)
        bluer = pixels[..., 2] > pixels[..., 0]
        assert (bluer == (total > 0).numpy()).all()

    def test_what_becomes_of_the_sum_is_said_and_drawn(self):
        pictures = {}
        for after, said in (("rectifier", "rectified"), ("softmax", "softmax")):
            drawn = self.draw(after=after).select_one(".xc-m")
            assert drawn.small.text == said
            pictures[after] = shown(drawn.img)
        assert (pictures["rectifier"] != pictures["softmax"]).any()

    def test_it_is_read_aloud_and_credited(self):
        drawn = self.draw(credit="Me, CC0")
        assert drawn.select_one("[role=img]")["aria-label"] == "A <map>"
        assert "Me, CC0" in drawn.select_one(".xc-credit").text

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="eight channels, not 2"):
            self.draw(channels=(1, 2))


def test_the_eight_channels_of_the_book_are_those_of_the_rule():
    model = flower_classifier("species", 0)
    flower = Flowers("species", "test", n=4)
    images, targets = flower.images[3:4], flower.targets[3:4]
    seen = capture(model, images, targets)
    features, gradient = seen.features[0], seen.gradient[0].mean((1, 2))
    searched = xc.OptiCAM(model).optimise(images, targets).weights[0]
    largest = features.amax((1, 2))
    best = [part.sort(descending=True).values for part in (gradient * largest, searched * largest)]
    chosen = list(CHANNELS)
    assert len(set(CHANNELS)) == len(eight(features, gradient, searched)) == 8
    # near ties may fall otherwise on another processor
    assert (gradient * largest)[chosen[:3]].min() >= 0.9 * best[0][2]
    assert (searched * largest)[chosen[3:6]].min() >= 0.9 * best[1][2]
    assert (gradient * largest)[chosen[6:]].max() <= 0.9 * best[0][-2]


class TestStrip:
    o = torch.tensor([0.9, 0.2])

    def draw(self, **changed):
        maps = {"Fake <CAM>": torch.ones(1, 32, 32), "nothing": torch.zeros(1, 4, 4)}
        given = {"maps": maps, "p": 0.8, "o": self.o, "alt": "A test"} | changed
        return soup(masking_strip(IMAGE, **given))

    def test_figures_are_those_of_the_metrics(self):
        drawn = self.draw()
        p = torch.full((2,), 0.8)
        measures = (xc.metrics.average_drop, xc.metrics.average_gain)
        expected = torch.stack([100 * measure(p, self.o) for measure in measures], 1)
        rows = drawn.select(".xc-strip > div")[1:]
        for row, figures, kept in zip(rows, expected, self.o.tolist(), strict=True):
            text = row.select_one(".xc-figures").get_text(" ")
            assert numbers(text) == pytest.approx(figures.tolist(), abs=0.05)
            assert ("yes" in text) == (kept > 0.8)
            assert numbers(row.small.text)[-2:] == pytest.approx([0.8, kept], abs=0.005)

    def test_the_line_shows_the_drop_as_a_share_of_p_and_the_gain_of_the_rest(self):
        gained, lost = self.draw().select(".xc-bar")

        def span(bar, name):
            return numbers(bar.select_one(f".xc-{name}")["style"])

        assert span(gained, "gain") == pytest.approx([80, 10])
        assert span(gained, "left") == pytest.approx([0, 80])
        assert span(lost, "drop") == pytest.approx([20, 60])
        assert span(lost, "left") == pytest.approx([0, 20])
        assert [span(lost, name)[0] for name in "po"] == pytest.approx([80, 20])

    def test_the_picture_is_multiplied_by_the_map(self):
        rows = [row.select("img") for row in self.draw().select(".xc-strip > div")[1:]]
        whole = (255 * IMAGE.permute(1, 2, 0)).round().numpy()
        assert np.array_equal(shown(rows[0][1]), whole)
        assert not shown(rows[1][1]).any()

    def test_one_value_for_each_map(self):
        with pytest.raises(ValueError, match="each of 2 maps"):
            self.draw(o=torch.ones(3))
