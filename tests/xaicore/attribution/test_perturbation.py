"""RISE and occlusion: against their equations, captum, known answers, and at their cost."""

from __future__ import annotations

import math

import pytest
import torch
from captum import attr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.networks import NEUTRAL, LinearPixels, classifier, pictures
from xaicore.attribution.explainer import Explainer
from xaicore.attribution.perturbation import RISE, MaskedImages, Occlusion
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4, 0])


def probability(model: Classifier, images: Tensor, target: int) -> Tensor:
    return model(images).softmax(1)[:, target]


def all_masks(explain: RISE, height: int, width: int) -> Tensor:
    return torch.cat(list(explain._draw(torch.zeros(height, width).double())))


def test_rise_equals_its_equation_summed_mask_by_mask_in_float64() -> None:
    model, images = classifier().double(), pictures(3, 15, 20).double()
    explain = RISE(model, masks=23, cells=4, keep=0.3, batch_size=7)
    masks = all_masks(explain, 15, 20)
    for image, target, found in zip(images, TARGETS, explain.raw(images, TARGETS), strict=True):
        expected = torch.zeros(15, 20, dtype=torch.double)
        for m in masks:
            expected += probability(model, (image * m)[None], int(target)) * m
        torch.testing.assert_close(found[0], expected / (0.3 * 23), rtol=0, atol=1e-12)


def bilinear(grid: Tensor, cell: tuple[int, int], y: int, x: int) -> float:
    """The value at a pixel of a grid whose cells have the given height and width."""
    value = 0.0
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            # The outermost centres extend to the border.
            v = min(max((y + 0.5) / cell[0] - 0.5, 0), grid.shape[0] - 1)
            u = min(max((x + 0.5) / cell[1] - 0.5, 0), grid.shape[1] - 1)
            value += max(0, 1 - abs(v - i)) * max(0, 1 - abs(u - j)) * float(grid[i, j])
    return value


def test_a_mask_is_a_grid_upsampled_to_one_cell_more_and_cropped_somewhere() -> None:
    explain = RISE(classifier(), masks=3, cells=3, seed=5)
    height, width, cells = 7, 11, 3
    generator = torch.Generator().manual_seed(5)
    grids = torch.rand(3, 1, cells, cells, generator=generator) < 0.5
    cell = math.ceil(height / cells), math.ceil(width / cells)
    shifts = [torch.randint(c, (3, 1), generator=generator) for c in cell]
    large = tuple((cells + 1) * c / cells for c in cell)  # of a cell, after stretching
    for k, found in enumerate(all_masks(explain, height, width)):
        top, left = (int(shift[k]) for shift in shifts)
        expected = [
            [bilinear(grids[k, 0], large, top + y, left + x) for x in range(width)]
            for y in range(height)
        ]
        torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=1e-6)


def test_masks_keep_the_expected_share_of_every_pixel() -> None:
    masks = all_masks(RISE(classifier(), masks=3000, keep=0.3), 14, 21)
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(masks.mean(0), torch.full((14, 21), 0.3).double(), rtol=0, atol=0.05)


def test_rise_of_a_network_that_sees_nothing_is_its_probability() -> None:
    """With one probability for every mask, S = f E[M] / p = f, but for the draw of the masks."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)).eval()
    nn.init.zeros_(net[2].weight)
    explain = RISE(Classifier(net), masks=2000)
    found = explain.raw(pictures(1), 2)[0, 0].double()
    expected = torch.softmax(net[2].bias, 0)[2] * all_masks(explain, 16, 16).mean(0) / 0.5
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=0)


class Corner(nn.Module):
    """Class 0 depends on the red of the pixels from (4, 4) to (7, 7), and on nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        score = images[:, 0, 4:8, 4:8].mean((1, 2))
        return torch.stack([4 * score, torch.full_like(score, 2)], 1)


@pytest.mark.parametrize(
    "method", [lambda m: RISE(m, 500), lambda m: Occlusion(m, window=4, stride=1)]
)
def test_the_map_peaks_where_the_network_looks(method) -> None:
    model = Classifier(Corner().eval(), **NEUTRAL)
    saliency = method(model)(torch.ones(1, 3, 16, 16), 0)[0, 0]
    peak = int(saliency.argmax())
    assert 4 <= peak // 16 < 8
    assert 4 <= peak % 16 < 8
    assert saliency[4:8, 4:8].mean() > saliency[10:, 10:].mean() + 0.3


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (4, 2), (6, 5), (1, 1), (16, 3)])
@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_occlusion_equals_captum_where_its_windows_end_at_the_border(
    window: int, stride: int, baseline: str
) -> None:
    model, images = classifier().double(), pictures(2, 16, 16).double()
    assert (16 - window) % stride == 0  # captum cuts the last window, we move it
    found = Occlusion(model, window, stride, baseline).raw(images, TARGETS[:2])
    with torch.no_grad():
        expected = attr.Occlusion(lambda x: model(x).softmax(1)).attribute(
            images,
            (3, window, window),
            (3, stride, stride),
            target=TARGETS[:2],
            baselines=0 if baseline == "black" else model.mean.double().expand_as(images),
        )
    # Captum sums in float32.
    torch.testing.assert_close(found[:, 0].float(), expected[:, 0], rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 14), st.integers(5, 14), st.integers(1, 5), st.data())
def test_occlusion_equals_its_equation_for_any_geometry(
    height: int, width: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window))
    model, image = classifier().double(), pictures(1, height, width).double()
    found = Occlusion(model, window, stride).raw(image, 3)[0, 0]
    total, count = torch.zeros(2, height, width, dtype=torch.double)
    p = probability(model, image, 3)
    rows, columns = (
        sorted({*range(0, side - window, stride), side - window}) for side in (height, width)
    )
    for y in rows:
        for x in columns:
            hidden = image.clone()
            hidden[..., y : y + window, x : x + window] = 0
            drop = (p - probability(model, hidden, 3))[0].detach()
            total[y : y + window, x : x + window] += drop
            count[y : y + window, x : x + window] += 1
    assert count.min() >= 1
    torch.testing.assert_close(found, total / count, rtol=0, atol=1e-12)


def test_occlusion_defaults_follow_the_size_of_the_image() -> None:
    explain = Occlusion(classifier())
    assert explain._geometry(224) == (64, 16)
    assert explain._geometry(64) == (18, 4)
    assert explain._geometry(1) == (1, 1)


METHODS = {
    "rise": lambda model, size=16: RISE(model, masks=30, batch_size=size),
    "occlusion": lambda model, size=16: Occlusion(model, window=5, stride=3, batch_size=size),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_batch_gives_its_singles_however_it_is_cut(name: str, size: int) -> None:
    model, images = classifier().double(), pictures(3, 13, 17).double()
    whole = METHODS[name](model, size).raw(images, TARGETS)
    assert whole.shape == (3, 1, 13, 17)
    singles = [METHODS[name](model).raw(images[i : i + 1], TARGETS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(whole, torch.cat(singles), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_masks_of_an_image_are_summed_alike_whatever_stands_beside_it(size: int) -> None:
    """Every forward holds one image: equal bits, even where the network gives others."""
    model, images = classifier(), pictures(3, 13, 17)
    explain = METHODS["rise"](model, size)
    whole = explain.raw(images, TARGETS)
    singles = [explain.raw(images[i : i + 1], TARGETS[i : i + 1]) for i in range(3)]
    assert torch.equal(whole, torch.cat(singles))


def test_autocast_rounds_the_network_and_not_the_sum_of_masks() -> None:
    """A network that is sure of its class gives the plain mean of the masks, to the last bit."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.copy_(torch.tensor([100.0, -100.0]))
    explain, image = METHODS["rise"](Classifier(net)), pictures(1)
    expected = explain.raw(image, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(explain.raw(image, 0), expected)


@pytest.mark.parametrize("name", METHODS)
def test_predicted_classes_an_empty_batch_and_the_global_random_state(name: str) -> None:
    model, images = classifier(), pictures(3)
    explain: Explainer = METHODS[name](model)
    state = torch.get_rng_state()
    assert torch.equal(explain(images), explain(images, model(images).argmax(1)))
    assert torch.equal(torch.get_rng_state(), state)
    assert explain(images[:0]).shape == (0, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(explain(images.clone(), TARGETS), explain(images, TARGETS))
    assert not explain(images.requires_grad_(), TARGETS).requires_grad


class Counter(nn.Module):
    """Counts the images that pass, and remembers the largest batch."""

    def __init__(self) -> None:
        super().__init__()
        self.images = self.largest = 0
        self.net = classifier().net

    def forward(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.images += len(images)
        self.largest = max(self.largest, len(images))
        return self.net(images)


@pytest.mark.parametrize(("name", "masks"), [("rise", 30), ("occlusion", 25)])
@pytest.mark.parametrize(("batch", "largest"), [(3, 7), (9, 9)])
def test_the_cost_is_the_stated_bound(name: str, masks: int, batch: int, largest: int) -> None:
    counter = Counter().eval()
    METHODS[name](Classifier(counter), 7)(pictures(batch), 1)
    assert counter.images == batch * (1 + masks)
    assert counter.largest == largest


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("baseline", ["mean", "blur", torch.full((3, 3, 16, 16), 0.5)])
def test_every_baseline_stands_where_pixels_are_removed(name: str, baseline) -> None:
    model, images = classifier(), pictures(3)
    explain = METHODS[name](model)
    explain.baseline = baseline
    black = METHODS[name](model).raw(images, TARGETS)
    assert not torch.allclose(explain.raw(images, TARGETS), black)


def test_masked_images_show_the_image_where_the_mask_is_one() -> None:
    model, images = classifier().double(), pictures(2).double()
    seen = MaskedImages(model, images, TARGETS[:2], "black")
    masks = torch.stack([torch.ones(16, 16), torch.zeros(16, 16)]).double()
    found = torch.stack(list(seen.probabilities(masks)))
    torch.testing.assert_close(found[:, 0], seen.probability)
    expected = probability(model, torch.zeros_like(images), 1)[0]
    torch.testing.assert_close(found[0, 1], expected)


def test_a_linear_network_is_occluded_by_the_pixels_it_sums() -> None:
    """Hiding one pixel lowers the logit by that pixel: the probability follows in closed form."""
    model = Classifier(LinearPixels().eval(), layer="features", **NEUTRAL).double()
    image = pictures(1, 3, 3).double()
    found = Occlusion(model, window=1, stride=1).raw(image, 0)[0, 0]
    logits = image.sum((2, 3))[0]
    for y in range(3):
        for x in range(3):
            hidden = F.softmax(logits - image[0, :, y, x], 0)[0]
            assert found[y, x] == pytest.approx(float(F.softmax(logits, 0)[0] - hidden), abs=1e-12)


def test_bad_settings_are_refused() -> None:
    model = classifier()
    for settings_ in ({"masks": 0}, {"cells": 0}, {"keep": 0.0}, {"keep": 1.1}):
        with pytest.raises(ValueError, match="RISE needs"):
            RISE(model, **settings_)
    for method in (RISE, Occlusion):
        with pytest.raises(ValueError, match="needs batch_size"):
            method(model, batch_size=0)
    with pytest.raises(ValueError, match="needs window"):
        Occlusion(model, window=0)
    with pytest.raises(ValueError, match="needs stride"):
        Occlusion(model, stride=0)
    with pytest.raises(ValueError, match="window: 20 pixels exceed"):
        Occlusion(model, window=20)(pictures())
    with pytest.raises(ValueError, match="leave gaps"):
        Occlusion(model, window=3, stride=4)(pictures())
    with pytest.raises(ValueError, match="out of range"):
        RISE(model, masks=1)(pictures(), 9)
