"""AD, AI and AG: by hand, by identity, at their edges, and against torchcam."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchcam.metrics import ClassificationMetric

from tests.networks import NEUTRAL, classifier, pictures
from xaicore.attribution import FakeCAM
from xaicore.classifier import Classifier
from xaicore.masking import upsample
from xaicore.metrics import average_drop, average_gain, average_increase, confidence

TARGETS = torch.tensor([1, 4, 0])
PROBABILITIES = st.lists(st.floats(0, 1), min_size=5, max_size=5).map(torch.tensor)


def test_by_hand() -> None:
    p = torch.tensor([0.5, 0.5, 0.8, 0.2])
    o = torch.tensor([0.25, 0.75, 0.8, 0.6])
    assert average_drop(p, o).tolist() == pytest.approx([0.5, 0, 0, 0])
    assert average_increase(p, o).tolist() == [0, 1, 0, 1]
    assert average_gain(p, o).tolist() == pytest.approx([0, 0.5, 0, 0.5])


@given(PROBABILITIES, PROBABILITIES)
def test_identities_hold_for_all_probabilities(p: torch.Tensor, o: torch.Tensor) -> None:
    drop, gain, increase = average_drop(p, o), average_gain(p, o), average_increase(p, o)
    for value in (drop, gain, increase):
        assert ((value >= 0) & (value <= 1)).all()
    assert not (drop * gain).any()
    assert torch.equal(increase, (gain > 0).double())


def test_the_whole_image_changes_nothing() -> None:
    model, images = classifier(), pictures()
    p, o = confidence(model, images, torch.ones(3, 1, 16, 16), TARGETS)
    assert torch.equal(p, o)
    assert not average_drop(p, o).any()
    assert not average_gain(p, o).any()
    assert not average_increase(p, o).any()


def test_confidence_does_not_saturate_where_float32_does() -> None:
    """Logits 20 apart: float32 says p = 1, float64 still tells p from o."""
    p, o = (
        confidence(Constant(margin), pictures(1), torch.ones(1, 1, 16, 16), 0)[0]
        for margin in (20.0, 21.0)
    )
    assert p.float() == 1
    assert average_increase(p, o) == 1
    expected = 1 - (1 + torch.tensor(20.0).double().exp()) / (1 + torch.tensor(21.0).double().exp())
    torch.testing.assert_close(average_gain(p, o), expected[None], rtol=1e-6, atol=0)


def test_nothing_can_be_gained_from_certainty_or_lost_from_none() -> None:
    one, zero = torch.ones(1), torch.zeros(1)
    assert average_gain(one, one) == 0
    assert average_drop(zero, zero) == 0


class Constant(Classifier):
    """A classifier of two classes whose logits differ by a constant."""

    def __init__(self, margin: float) -> None:
        super().__init__(torch.nn.Identity().eval())
        self.margin = margin

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[self.margin, 0.0]]).expand(len(images), 2)


class Precomputed:
    """Hands maps that are already there to torchcam's metric."""

    def __init__(self, model: nn.Module, maps: torch.Tensor) -> None:
        self.model = model
        self.maps = maps

    def __call__(self, *_: object, **__: object) -> list[torch.Tensor]:
        return [self.maps]

    def fuse_cams(self, cams: list[torch.Tensor]) -> torch.Tensor:
        return cams[0]

    def _hooks_off(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def test_drop_and_increase_equal_torchcam() -> None:
    """Without normalisation: torchcam masks what the network receives, we mask pixels."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 5)).eval()
    model = Classifier(head, **NEUTRAL).double()  # who wins a near tie is not a rounding
    images = pictures(40).double()
    predicted = model(images).argmax(1)
    cells = torch.rand(40, 1, 4, 4) > 0.3
    maps = upsample(cells.double(), (16, 16)).round()
    p, o = confidence(model, images, maps, predicted)
    metric = ClassificationMetric(Precomputed(model.net, maps[:, 0]), lambda x: x.softmax(1))
    metric.update(images)
    peer = metric.summary()
    assert 0 < average_increase(p, o).mean() < 1
    assert average_drop(p, o).mean().item() == pytest.approx(peer["avg_drop"], abs=1e-6)
    assert average_increase(p, o).mean().item() == pytest.approx(peer["conf_increase"], abs=1e-12)


def test_fake_cam_hardly_changes_the_image() -> None:
    model, images = classifier(), pictures()
    p, o = confidence(model, images, FakeCAM(model)(images), TARGETS)
    assert (p - o).abs().max() < 0.02


def test_baselines_fill_what_the_map_removes() -> None:
    model, images = classifier(), pictures()
    nothing = torch.zeros(3, 1, 16, 16)
    for baseline, filled in {
        "black": torch.zeros_like(images),
        "mean": model.mean.expand_as(images),
        torch.tensor(0.3): torch.full_like(images, 0.3),
    }.items():
        _, o = confidence(model, images, nothing, TARGETS, baseline)
        expected, _ = confidence(model, filled, nothing + 1, TARGETS)
        torch.testing.assert_close(o, expected)
    _, blurred = confidence(model, images, nothing, TARGETS, "blur")
    _, black = confidence(model, images, nothing, TARGETS, "black")
    assert not torch.allclose(blurred, black)


def test_maps_that_do_not_fit_are_refused() -> None:
    model, images = classifier(), pictures()
    with pytest.raises(ValueError, match=r"maps must have shape \(3, 1, 16, 16\)"):
        confidence(model, images, torch.ones(3, 1, 8, 8), TARGETS)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        confidence(model, images, torch.full((3, 1, 16, 16), 2.0), TARGETS)
    with pytest.raises(ValueError, match="one shape"):
        average_drop(torch.rand(2), torch.rand(3))
    with pytest.raises(ValueError, match="probabilities"):
        average_gain(torch.tensor([2.0]), torch.tensor([0.5]))
