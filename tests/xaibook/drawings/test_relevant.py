"""The drawing of relevant features says what the weights and the responses hold."""

import pytest
import torch
from bs4 import BeautifulSoup

from xaibook.drawings import relevant
from xaibook.drawings.relevant import told_apart

X = torch.tensor([[0.9, 0.1, 0.5], [0.8, 0.2, 0.5], [0.1, 0.3, 0.5], [0.85, 0.0, 0.5]])
OF_CLASS = torch.tensor([True, True, False, False])
WEIGHTS = torch.tensor([2.0, 0.0, 1.0])
LAYERS = {"stem": 1, "last": 2}
PIECE = torch.zeros(3, 4, 4)


def drawn(layers=LAYERS):
    pieces = {0: PIECE, 2: PIECE}
    fragment = relevant(X, WEIGHTS, OF_CLASS, layers, pieces, "red", alt="Two <channels>")
    return BeautifulSoup(fragment.html, "html.parser")


def test_a_pair_counts_if_the_picture_of_the_class_responds_more():
    assert told_apart(X[:, 0], OF_CLASS) == pytest.approx(3 / 4)
    assert told_apart(X[:, 1], OF_CLASS) == pytest.approx(2 / 4)
    assert told_apart(X[:, 2], OF_CLASS) == pytest.approx(1 / 2)


def test_ticks_are_as_high_as_weights_and_strokes_stand_at_responses():
    page = drawn()
    ticks, first, second = page.select("svg")
    heights = [100 - float(line["y2"]) for line in ticks.select("line")]
    assert heights == pytest.approx([96, 3, 48])
    strokes = [float(line["x1"]) for line in first.select("line")]
    assert strokes == pytest.approx([100, 100 * 8 / 9, 100 / 9, 100 * 8.5 / 9], rel=1e-3)
    assert [float(line["y1"]) for line in first.select("line")] == [2, 2, 28, 28]
    said = [small.text for small in page.select(".xc-rows small")]
    assert said == [
        "stem, channel 0higher in 75 % of pairs",
        "last, channel 1higher in 50 % of pairs",
    ]
    assert len(second.select("line")) == 4


def test_channels_that_belong_to_no_layer_are_refused():
    with pytest.raises(ValueError, match="as many"):
        drawn({"stem": 1})
