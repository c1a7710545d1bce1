"""Insertion, deletion and AOPC: by hand, by literal loops, against torchcam, and at their cost."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F
from torchcam.metrics import DeletionInsertionMetric

from tests.networks import NEUTRAL, LinearPixels, classifier, pictures
from xaicore.classifier import Classifier
from xaicore.metrics.causal import (
    CAUSAL_PROTOCOLS,
    CausalProtocol,
    aopc,
    auc,
    causal_curves,
    curve_ends,
    insertion_deletion,
)

TARGETS = torch.tensor([1, 4, 0])


def maps_of(count: int = 3, height: int = 16, width: int = 16, seed: int = 2) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(seed))


class Counter(nn.Module):
    """Counts the images that pass and remembers the largest batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.images = 0
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
        self.images += len(x)
        self.largest = max(self.largest, len(x))
        return self.net(x)


def counted() -> tuple[Classifier, Counter]:
    counter = Counter(classifier().net).eval()
    return Classifier(counter, layer="net.5"), counter


def literal(
    model: Classifier, image: Tensor, saliency: Tensor, target: int, n: int
) -> list[Tensor]:
    """Both curves of one image, pixel after pixel, with RISE's blur in the normalised space."""
    _, H, W = image.shape
    delta = np.zeros((3, 3))
    delta[1, 1] = 1
    kernel = torch.from_numpy(gaussian_filter(delta, 5 * 16 / 224))
    normalised = (image - model.mean[0]) / model.std[0]
    soft = torch.stack(
        [F.conv2d(c[None, None], kernel[None, None], padding=1)[0, 0] for c in normalised]
    )
    black = (0 - model.mean[0]) / model.std[0]
    order = sorted(range(H * W), key=lambda i: (-saliency.flatten()[i].item(), -i))
    curves = []
    for start, end in ((soft, normalised), (normalised, black.expand_as(normalised))):
        current, scores = start.clone(), []
        for j in range(n + 1):
            for pixel in order[: j * H * W // n]:
                current[:, pixel // W, pixel % W] = end[:, pixel // W, pixel % W]
            scores.append(model.net(current[None]).softmax(1)[0, target])
        curves.append(torch.stack(scores).detach())
    return curves


@pytest.mark.parametrize("steps", [1, 7, None])
def test_curves_equal_a_literal_loop_in_float64(steps: int | None) -> None:
    model, images, maps = classifier().double(), pictures().double(), maps_of().double()
    maps = (maps * 20).round() / 20  # with ties
    found = insertion_deletion(model, images, maps, TARGETS, CausalProtocol(steps))
    for i in range(3):
        insertion, deletion = literal(model, images[i], maps[i], int(TARGETS[i]), steps or 16)
        torch.testing.assert_close(found.insertion[i], insertion, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.deletion[i], deletion, rtol=0, atol=1e-12)


def test_by_hand_on_a_network_that_adds_pixels() -> None:
    """White on the left in channel 0: the logit of class 0 is the number of white pixels shown."""
    model = Classifier(LinearPixels().eval(), **NEUTRAL)
    images = torch.zeros(1, 3, 2, 2)
    images[0, 0, :, 0] = 1
    maps = torch.tensor([[[[1.0, 0.2], [0.8, 0.1]]]])
    found = insertion_deletion(model, images, maps, 0, CausalProtocol(steps=4, blur=None))
    shown = torch.tensor([[0.0, 1, 2, 2, 2]]).double()
    p = shown.exp() / (shown.exp() + 2)
    torch.testing.assert_close(found.insertion, p)
    hidden = torch.tensor([[2.0, 1, 0, 0, 0]]).double()
    torch.testing.assert_close(found.deletion, hidden.exp() / (hidden.exp() + 2))
    torch.testing.assert_close(auc(found.insertion), (p.sum(1) - (p[:, 0] + p[:, 4]) / 2) / 4)


class Precomputed:
    """Hands maps that are already there to torchcam's metric."""

    def __init__(self, model: nn.Module, maps: Tensor) -> None:
        self.model = model
        self.maps = maps

    def __call__(self, *_: object, **__: object) -> list[Tensor]:
        return [self.maps]

    def fuse_cams(self, cams: list[Tensor]) -> Tensor:
        return cams[0]

    def _hooks_off(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def test_areas_equal_torchcam() -> None:
    """Zeros of what the network receives for both curves: without normalisation, black."""
    net = classifier().net.double()
    model = Classifier(net, **NEUTRAL).double()
    images, maps = pictures(5).double(), maps_of(5).double()
    ours = insertion_deletion(model, images, maps, None, CausalProtocol(steps=8, blur=None))
    metric = DeletionInsertionMetric(Precomputed(net, maps[:, 0]), lambda x: x.softmax(1), steps=8)
    metric.update(images)
    peer = metric.summary()
    assert auc(ours.insertion).mean().item() == pytest.approx(peer["insertion_auc"], abs=1e-6)
    assert auc(ours.deletion).mean().item() == pytest.approx(peer["deletion_auc"], abs=1e-6)


@given(st.floats(0, 1), st.integers(2, 40))
def test_the_area_of_a_constant_curve_is_the_constant(value: float, points: int) -> None:
    curve = torch.full((1, points), value, dtype=torch.float64)
    assert auc(curve).item() == pytest.approx(value)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_monotone_transforms_change_nothing_and_curves_meet_their_ends(seed: int, n: int) -> None:
    model, images = classifier(), pictures(2, 9, 7)
    maps = (maps_of(2, 9, 7, seed) * 50).round() / 50
    ends = curve_ends(model, images, protocol=CausalProtocol(n))
    once, again = (causal_curves(model, images, m, ends) for m in (maps, (maps / 2 + 0.3) ** 3))
    assert torch.equal(once.insertion, again.insertion)
    assert torch.equal(once.deletion, again.deletion)
    for curve in once:
        assert curve.shape == (2, n + 1)
        assert ((auc(curve) >= 0) & (auc(curve) <= 1)).all()
    assert torch.equal(once.insertion[:, -1], ends.p_image)
    assert torch.equal(once.deletion[:, 0], ends.p_image)
    assert torch.equal(once.insertion[:, 0], ends.p_start)
    assert torch.equal(once.deletion[:, -1], ends.p_removed)


def test_a_constant_map_takes_the_last_pixel_first() -> None:
    model, images = classifier(), pictures()
    reading = torch.arange(256.0).reshape(1, 1, 16, 16).expand(3, -1, -1, -1) / 256
    a, b = (
        insertion_deletion(model, images, m, 0) for m in (torch.full_like(reading, 0.5), reading)
    )
    assert torch.equal(a.insertion, b.insertion)
    assert torch.equal(a.deletion, b.deletion)


def test_a_map_costs_twice_the_inner_steps_and_the_ends_are_shared() -> None:
    model, counter = counted()
    images = pictures()
    ends = curve_ends(model, images, TARGETS, CausalProtocol(steps=8))
    assert counter.images == 3 + 3 + 1  # f(x), f(blurred), one black image for all
    for _ in range(2):
        counter.images = 0
        causal_curves(model, images, maps_of(), ends)
        assert counter.images == 3 * 2 * 7
    assert counter.largest <= 16


def test_a_shared_baseline_costs_at_most_two_k_minus_one() -> None:
    model, counter = counted()
    insertion_deletion(model, pictures(1), maps_of(1), 0, CausalProtocol(steps=28, blur=None))
    assert counter.images == 1 + 2 * 27 + 1  # f(x) is the one forward that any method has made
    ends = curve_ends(model, pictures(1), 0, CausalProtocol(steps=28, blur=None))
    assert ends.p_start is ends.p_removed


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_batch_size_bounds_the_forward_and_changes_nothing(batch_size: int) -> None:
    model, counter = counted()
    found = insertion_deletion(model, pictures(), maps_of(), TARGETS, "paper", batch_size)
    assert counter.largest <= batch_size
    expected = insertion_deletion(classifier(), pictures(), maps_of(), TARGETS, "paper")
    torch.testing.assert_close(found, expected)
    assert aopc(model, pictures(), maps_of(), batch_size=batch_size).shape == (3,)
    assert counter.largest <= batch_size


@pytest.mark.parametrize("protocol", list(CAUSAL_PROTOCOLS))
def test_a_batch_gives_what_its_images_give(protocol: str) -> None:
    model, images, maps = classifier(), pictures(3, 16, 21), maps_of(3, 16, 21)
    whole = insertion_deletion(model, images, maps, TARGETS, protocol)
    for i in range(3):
        one = slice(i, i + 1)
        alone = insertion_deletion(model, images[one], maps[one], TARGETS[one], protocol)
        torch.testing.assert_close(whole.insertion[one], alone.insertion)
        torch.testing.assert_close(whole.deletion[one], alone.deletion)
        torch.testing.assert_close(
            aopc(model, images, maps, TARGETS)[one],
            aopc(model, images[one], maps[one], TARGETS[one]),
        )


def test_the_presets_are_the_published_settings_at_224_pixels() -> None:
    images = torch.zeros(1, 3, 224, 224)
    model = Classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval())
    steps = {name: curve_ends(model, images, 0, name).steps for name in CAUSAL_PROTOCOLS}
    assert {name: 224 * 224 / n for name, n in steps.items()} == {
        "paper": 224, "rise": 224 * 8, "ca-stream": 224 * 8,
    }  # fmt: skip
    images[0, :, 112, 112] = 1  # the blur is the kernel, seen around one white pixel
    widths = {}
    for name in CAUSAL_PROTOCOLS:
        ends = curve_ends(Classifier(model.net, **NEUTRAL), images, 0, name)
        widths[name] = int((ends.start[0, 0, 112] > 0).sum())
        assert ends.start[0, 0].sum().item() == pytest.approx(1)
    assert widths == {"paper": 11, "rise": 11, "ca-stream": 5}
    removed = {name: curve_ends(model, images, 0, name).removed for name in CAUSAL_PROTOCOLS}
    assert not removed["paper"].any()
    torch.testing.assert_close(removed["rise"], model.mean.expand_as(images))


def test_predicted_classes_are_followed_without_targets() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    predicted = model(images).argmax(1)
    for a, b in zip(
        insertion_deletion(model, images, maps),
        insertion_deletion(model, images, maps, predicted),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
def test_empty_batches_and_grad_modes(mode: type) -> None:
    with mode():
        empty = insertion_deletion(classifier(), pictures(3)[:0], maps_of()[:0])
        assert empty.insertion.shape == empty.deletion.shape == (0, 17)
        assert aopc(classifier(), pictures(3)[:0], maps_of()[:0]).shape == (0,)
        full = insertion_deletion(classifier(), pictures(), maps_of(), 0)
        assert not full.insertion.requires_grad
        assert full.insertion.dtype == torch.float64


@pytest.mark.parametrize(("height", "width", "patch"), [(16, 16, 4), (15, 10, 4), (16, 16, None)])
def test_aopc_equals_a_literal_loop(height: int, width: int, patch: int | None) -> None:
    model = classifier().double()
    images, maps = pictures(2, height, width).double(), maps_of(2, height, width).double()
    found = aopc(model, images, maps, torch.tensor([1, 2]), regions=6, patch=patch)
    side = patch or 1  # 14 of 224 pixels are 1 of 16
    for i, target in enumerate((1, 2)):
        corners = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
        corners.sort(key=lambda c: -maps[i, 0, c[0] : c[0] + side, c[1] : c[1] + side].mean())
        current = images[i].clone()
        first = model(current[None]).softmax(1)[0, target]
        total = torch.zeros(())
        for y, x in corners[:6]:
            current[:, y : y + side, x : x + side] = 0
            total = total + first - model(current[None]).softmax(1)[0, target]
        torch.testing.assert_close(found[i], (total / 7).detach(), rtol=0, atol=1e-12)


def test_aopc_costs_one_forward_more_than_its_regions() -> None:
    model, counter = counted()
    aopc(model, pictures(), maps_of(), TARGETS, regions=5)
    assert counter.images == 3 * 6


def test_what_cannot_be_used_is_refused() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    with pytest.raises(ValueError, match="protocol must be"):
        insertion_deletion(model, images, maps, protocol="opti")
    with pytest.raises(ValueError, match="more than the 256 pixels"):
        insertion_deletion(model, images, maps, protocol=CausalProtocol(steps=257))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        CausalProtocol(steps=0)
    with pytest.raises(ValueError, match="blur must be"):
        CausalProtocol(blur=(11, 0.0))
    with pytest.raises(ValueError, match="batch_size"):
        insertion_deletion(model, images, maps, batch_size=0)
    with pytest.raises(ValueError, match="ends belong to images"):
        causal_curves(
            model, images[:2], maps[:2], curve_ends(model, images)._replace(targets=TARGETS[:2])
        )
    with pytest.raises(ValueError, match="maps must have shape"):
        insertion_deletion(model, images, maps[:2])
    with pytest.raises(ValueError, match="more than the 16 patches"):
        aopc(model, images, maps, regions=17, patch=4)
    with pytest.raises(ValueError, match="at least 1"):
        aopc(model, images, maps, regions=0)
