"""The drawing of the paired contrast says what the maps and the masks hold."""

import pytest
import torch
from bs4 import BeautifulSoup

from xaibook.drawings import contrast
from xaicore.metrics import paired_contrast, relevance_mass_accuracy

RANDOM = torch.Generator().manual_seed(0)
IMAGE = torch.rand(3, 32, 32, generator=RANDOM)
MASKS = [torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)]
MASKS[0][:, :8], MASKS[1][:, 12:, :4] = 1, 1
PAIR = [torch.rand(1, 16, 16, generator=RANDOM) for _ in range(2)]


def drawn(maps):
    fragment = contrast(IMAGE, maps, MASKS, ["petals", "stem"], alt="Two <maps>")
    return BeautifulSoup(fragment.html, "html.parser")


def test_the_squares_hold_the_shares_and_the_end_their_contrast():
    page = drawn({"any": PAIR, "truth": MASKS, "blind": [PAIR[0]] * 2})
    squares = [float(each.text) for each in page.select(".xc-squares span")]
    expected = [
        100 * float(relevance_mass_accuracy(saliency[None], mask[None])[0])
        for maps in (PAIR, MASKS, [PAIR[0]] * 2)
        for saliency in maps
        for mask in MASKS
    ]
    assert squares == pytest.approx(expected, abs=0.5)
    results = [float(b.text.strip(" %").replace("−", "-")) for b in page.select(".xc-result b")]
    both = 100 * float(paired_contrast([m[None] for m in PAIR], [m[None] for m in MASKS])[0])
    assert results == pytest.approx([both, 100, 0], abs=0.05)
    own = [each.text for each in page.select(".xc-squares span.xc-own")]
    assert own == [each.text for i, each in enumerate(page.select("span")) if i % 4 in {0, 3}]
    assert page.select_one(".xc-drawing")["aria-label"] == "Two <maps>"


def test_three_maps_are_refused():
    with pytest.raises(ValueError, match="two networks"):
        drawn({"any": [*PAIR, PAIR[0]]})
