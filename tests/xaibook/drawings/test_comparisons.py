"""The drawings that compare maps print what the maps and measures hold."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup

import xaicore as xc
from xaibook.drawings import film, points, ranks, share, tiles, two_classes, where_it_lies
from xaibook.drawings.film import SHARES, frame

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
LEFT = torch.zeros(1, 32, 32)
LEFT[..., :16] = 1
HALVES = {"left": LEFT, "right": 1 - LEFT}


def soup(fragment):
    return BeautifulSoup(fragment.html, "html.parser")


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


MAPS = {"ramp": torch.arange(1024.0).view(1, 32, 32) / 1023, "flat": torch.zeros(1, 32, 32)}
LINE = torch.linspace(0, 1, 21)
CURVES = {"ramp": (LINE, 1 - LINE), "flat": (LINE**2, 1 - LINE**2)}


class TestFilm:
    def draw(self, **changed):
        given = {"maps": MAPS, "curves": CURVES} | changed
        return soup(film(IMAGE, ends=(torch.zeros_like(IMAGE),) * 2, alt="a <film>", **given))

    def test_under_each_frame_stand_its_share_and_its_probability(self):
        said = [numbers(small.text) for small in self.draw().select(".xc-reel small")]
        lines = [LINE, LINE**2, 1 - LINE, 1 - LINE**2]
        wanted = [[s, float(line[s // 5])] for line in lines for s in SHARES]
        assert np.allclose(said, wanted, atol=0.0051)

    def test_a_frame_exchanges_the_most_salient_pixels_and_no_others(self):
        black = torch.zeros_like(IMAGE)
        half = frame(black, IMAGE, MAPS["ramp"], 50)
        assert torch.equal(half[:, 16:], IMAGE[:, 16:])
        assert not half[:, :16].any()
        assert torch.equal(frame(black, IMAGE, MAPS["flat"], 100), IMAGE)

    def test_frames_are_those_of_the_measure(self):
        """The picture at 20 % is the one whose probability the curve of the package holds."""
        order = MAPS["ramp"].flatten().argsort(stable=True).flip(0)
        seen = frame(torch.zeros_like(IMAGE), IMAGE, MAPS["ramp"], 20).any(0).flatten()
        assert seen[order[:204]].all()
        assert not seen[order[204:]].any()

    def test_other_steps_and_other_numbers_of_maps_are_refused(self):
        with pytest.raises(ValueError, match="steps must be 20 n"):
            self.draw(curves=dict.fromkeys(MAPS, (torch.ones(11),) * 2))
        with pytest.raises(ValueError, match="compares two maps"):
            self.draw(maps={"ramp": MAPS["ramp"]})


class TestTwoClasses:
    def test_the_bars_and_numbers_are_the_shares(self):
        map_ = 0.25 + 0.5 * LEFT
        drawn = soup(
            two_classes(IMAGE, {"cat": {"mine": map_}}, HALVES, "a", {"cat": {"mine": "x"}})
        )
        assert share(map_, LEFT) == pytest.approx(75)
        assert [bar["style"].split(";")[0] for bar in drawn.select(".xc-share b")] == [
            "width: 75%",
            "width: 25%",
        ]
        below = drawn.select(".xc-share + small")[0]
        assert list(below.stripped_strings) == ["left 75 %", "right 25 %", "x"]

    def test_three_regions_are_refused(self):
        with pytest.raises(ValueError, match="two regions"):
            two_classes(IMAGE, {}, HALVES | {"middle": LEFT}, "a")


def test_where_it_lies_prints_the_measures():
    box = torch.tensor([[4.0, 8.0, 20.0, 24.0]])
    truth = xc.metrics.box_masks([box], torch.zeros(1, 1, 32, 32))[0]
    saliency = torch.zeros(1, 32, 32)
    saliency[:, 8:24, 8:24] = torch.linspace(0.4, 1, 16)
    said = [
        numbers(small.text)[0]
        for small in soup(where_it_lies(IMAGE, saliency, truth, "a")).select("small")
    ]
    maps, masks = saliency[None], truth[None]
    wanted = [
        xc.metrics.relevance_mass_accuracy(maps, masks),
        xc.metrics.relevance_rank_accuracy(maps, masks),
        xc.metrics.mask_iou(maps, masks, 0.5),
        xc.metrics.best_iou(maps, [box]),
    ]
    assert said == [round(100 * float(value)) for value in wanted]


class TestRanks:
    values = pd.DataFrame({"drop ↓": [3.0, 1.0, 2.0], "gain ↑": [5.0, 5.0, 9.0]}, index=list("abc"))

    def test_first_is_the_best_by_the_arrow_and_equals_share_a_rank(self):
        cells = soup(ranks(self.values, "a")).select(".xc-ranks > div")
        assert [next(cell.stripped_strings) for cell in cells] == ["3", "2", "1", "2", "2", "1"]
        assert [cell.small.text for cell in cells][:2] == ["3.0 %", "5.0 %"]

    def test_a_header_without_an_arrow_is_refused(self):
        with pytest.raises(ValueError, match="'gain'"):
            ranks(self.values.rename(columns={"gain ↑": "gain"}), "a")


def test_tiles_hold_every_picture_with_its_text():
    shown = points(LEFT)
    drawn = soup(
        tiles({"one": [(shown, "a\nb"), (shown, "<c>")], "": [(shown, "d")]}, "alt", (4, 2))
    )
    assert [list(small.stripped_strings) for small in drawn.select("small")] == [
        ["a", "b"],
        ["<c>"],
        ["d"],
    ]
    assert drawn.select_one(".xc-rows > b").text == "one"
    assert "--wide: 4; --narrow: 2" in drawn.select_one(".xc-rows")["style"]
    assert shown.shape == (32, 32, 3)
    assert shown[0, 0].sum() > shown[0, -1].sum()
