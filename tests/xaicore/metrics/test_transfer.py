"""How much of a map's gain travels to networks that did not make it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.transforms import v2

import xaicore as xc
from tests.networks import classifier, pictures
from xaicore.classifier import Classifier, to_pixels
from xaicore.metrics import average_gain, judged, transfer
from xaicore.metrics.transfer import answers

PROBABILITY = st.floats(0, 1, exclude_max=True)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_it_is_the_share_of_the_gain_that_the_judges_see() -> None:
    """Gains .8; judges gain .2, twice as much, and nothing: a quarter, one, zero."""
    p, o = column(0.5).expand(1), column(0.9).expand(1)
    judges_p, judges_o = column(0.5, 0.0, 0.5)[:, None], column(0.6, 0.95, 0.4)[:, None]
    found = transfer(p, o, judges_p, judges_o)
    assert found.tolist() == pytest.approx([(0.25 + 1 + 0) / 3])


@given(PROBABILITY, PROBABILITY)
def test_the_network_itself_as_its_judge_gives_one_where_it_gains(p: float, o: float) -> None:
    before, after = column(p), column(o)
    found = transfer(before, after, before, after)
    assert found.isnan().item() == (average_gain(before, after).item() == 0)
    assert found.isnan().item() or found.item() == 1


@given(PROBABILITY, PROBABILITY, PROBABILITY, PROBABILITY)
def test_it_is_a_share_and_of_all_judges_the_mean(p: float, o: float, q: float, r: float) -> None:
    own = column(p), column(o)
    one = transfer(*own, column(q), column(r))
    other = transfer(*own, column(r), column(q))
    both = transfer(*own, torch.stack([column(q), column(r)]), torch.stack([column(r), column(q)]))
    if not one.isnan():
        assert 0 <= one.item() <= 1
        assert both.item() == pytest.approx((one + other).item() / 2)


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (1, 1, 2), ()])
def test_judges_of_other_images_are_refused(shape: tuple[int, ...]) -> None:
    judges = torch.full(shape, 0.5)
    with pytest.raises(ValueError, match=r"must be \(J, 2\), as many images as p and at least one"):
        transfer(torch.rand(2), torch.rand(2), judges, judges)


class Sides(nn.Module):
    """Two logits: the height and the width of what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([images.shape[-2:]]).to(images).expand(len(images), -1)


def test_a_judge_sees_images_in_its_own_size() -> None:
    images = pictures(2, 16, 24)
    sized = {None: (16, 24), (8, 12): (8, 12), (30, 30): (30, 30)}
    for size, seen in sized.items():
        steps = [] if size is None else [v2.Resize(9), v2.CenterCrop(size)]
        judge = Classifier(Sides().eval(), transform=to_pixels(*steps))
        assert judge.size == size
        assert answers(judge, images).tolist() == [list(map(float, seen))] * 2
    assert classifier().size is None
    assert Classifier(Sides(), transform=v2.Lambda(lambda picture: picture)).size is None


def test_a_judge_normalises_itself_and_a_batch_is_its_images() -> None:
    judge = classifier(mean=(0.2, 0.3, 0.4), std=(0.5, 0.6, 0.7))
    images, targets = pictures(3), torch.arange(3)
    together = judged(judge, images, targets)
    p, _ = xc.confidence(judge, images, torch.ones(3, 1, 16, 16), targets)
    torch.testing.assert_close(together, p)
    alone = [judged(judge, images[i : i + 1], targets[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))
