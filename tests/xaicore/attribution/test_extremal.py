"""Extremal perturbation: against its equations taken literally, at its area and at its cost."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.networks import NEUTRAL, GradientCounter, classifier, pictures
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution.extremal import (
    REACH,
    ExtremalPerturbation,
    blend,
    blur_pyramid,
    mask_kernel,
    smooth_mask,
    within,
)
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4, 0])


@functools.cache
def literal_kernel(y: int, x: int, step: int) -> Tensor:
    """The kernel from the sites up to four steps away to the pixel (y, x) of a cell."""
    near = range(-4 * step, 5 * step, step)
    z = [[math.hypot(y - i, x - j) / (3 * step) for j in near] for i in near]
    return torch.tensor(
        [[math.exp(-2 * max(d - 0.5, 0) ** 2) for d in row] for row in z], dtype=torch.double
    )


def literal_mask(sites: Tensor, step: int, rows: range, columns: range) -> Tensor:
    """Pixel by pixel: the smooth maximum over the sites near it, at 0 outside the grid."""
    padded, pixels = F.pad(sites, [7] * 4), []
    for y in rows:
        for x in columns:
            i, j = y // step + 3, x // step + 3
            f = literal_kernel(y % step, x % step, step) * padded[i : i + 9, j : j + 9]
            pixels.append((f * (20 * f).exp()).sum() / (20 * f).exp().sum())
    return torch.stack(pixels).view(len(rows), len(columns))


def reflected(i: int, length: int) -> int:
    i = abs(i)
    return i if i < length else 2 * (length - 1) - i


def literal_blur(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian cut off at 4 sigma or at the image's size, the image reflected at its border."""
    height, width = image.shape[1:]
    radius = min(math.ceil(4 * sigma), min(height, width) - 1)
    taps = range(-radius, radius + 1)
    g = [math.exp(-(r**2) / (2 * sigma**2)) for r in taps]
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            for a, dy in zip(g, taps, strict=True):
                for b, dx in zip(g, taps, strict=True):
                    source = image[:, reflected(y + dy, height), reflected(x + dx, width)]
                    out[:, y, x] += a * b * source / sum(g) ** 2
    return out


def literal(model: Classifier, image: Tensor, target: int, iterations: int, area: float) -> Tensor:
    """Extremal perturbation of one image, equation by equation, with torch's SGD."""
    height, width = image.shape[1:]
    step, side = 2, min(height, width)
    levels = [literal_blur(image, 20 * side / 224 * (1 - n / 7)) for n in range(7)] + [image]
    cells = math.ceil(height / step), math.ceil(width / step)
    rows, columns = (range(-3 * step, (n + 3) * step) for n in cells)
    sites = torch.ones(cells, dtype=torch.double, requires_grad=True)
    sgd = torch.optim.SGD([sites], lr=0.01 * sites.numel() / 1024, momentum=0.9, dampening=0.9)
    ideal = torch.zeros(len(rows) * len(columns), dtype=torch.double)
    ideal[len(ideal) - round(area * height * width) :] = 1
    for t in range(iterations):
        whole = literal_mask(sites, step, rows, columns)
        m = whole[3 * step : 3 * step + height, 3 * step : 3 * step + width]
        weights = [(1 - (7 * m - n).abs()).clamp_min(0) for n in range(8)]
        seen = sum(w * y for w, y in zip(weights, levels, strict=True))
        assert isinstance(seen, Tensor)
        excess = ((whole.flatten().sort().values - ideal) ** 2).mean()
        energy = model(seen[None])[0, target] - 300 * 1.0035**t * excess
        sgd.zero_grad()
        (-energy).backward()
        sgd.step()
        sites.data.clamp_(0, 1)
    return literal_mask(sites.detach(), step, range(height), range(width))


def test_it_equals_a_literal_reimplementation_in_float64() -> None:
    model, images = classifier().double(), pictures(2, 7, 10).double()
    explain = ExtremalPerturbation(model, areas=0.3, iterations=6, step=2)
    found = explain.raw(images, TARGETS[:2])
    for i in range(2):
        expected = literal(model, images[i], int(TARGETS[i]), 6, 0.3)
        torch.testing.assert_close(found[i, 0], expected, rtol=0, atol=1e-9)
    start = ExtremalPerturbation(model, iterations=0, step=2).raw(images)
    assert (start - found).mean() > 0.01


def test_a_single_site_draws_the_kernel() -> None:
    """Alone among zeros, k e^(20k) / (e^(20k) + 80): close to k where k is close to 1."""
    sites = torch.zeros(1, 1, 9, 9, dtype=torch.double)
    sites[0, 0, 4, 4] = 1
    masks = within(smooth_mask(sites, mask_kernel(3)), torch.Size([27, 27]), 3)[0, 0]
    assert masks[12, 12] == pytest.approx(1, abs=1e-6)
    k = math.exp(-2 * (5 / 9 - 0.5) ** 2)  # at (3, 4) pixels, sigma = 9
    expected = k * math.exp(20 * k) / (math.exp(20 * k) + 80)
    assert masks[15, 16] == pytest.approx(expected, abs=1e-12)


def test_the_mask_reaches_beyond_the_image_and_stays_in_the_unit_interval() -> None:
    sites = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    masks = smooth_mask(sites, mask_kernel(2).float())
    assert masks.shape == (2, 1, (5 + 2 * REACH) * 2, (7 + 2 * REACH) * 2)
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_blend_runs_from_removed_to_whole() -> None:
    images = pictures(2, 20, 24)
    levels = blur_pyramid(images)
    assert levels.shape == (2, 8, 3, 20, 24)
    ones = torch.ones(2, 1, 20, 24)
    torch.testing.assert_close(blend(levels, ones), images)
    torch.testing.assert_close(blend(levels, 0 * ones), levels[:, 0])
    torch.testing.assert_close(
        blend(levels, ones * 2.25 / 7), levels[:, 2].lerp(levels[:, 3], 0.25)
    )
    strength = levels.flatten(2).std(2)
    assert (strength.diff(dim=1) > 0).all()


class Patch(nn.Module):
    """Class 0 asks for red between rows and columns 16 and 24."""

    def forward(self, images: Tensor) -> Tensor:
        score = 20 * images[:, 0, 16:24, 16:24].mean((1, 2))
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_the_mask_finds_the_patch_the_network_asks_for_and_no_more() -> None:
    model = Classifier(Patch().eval(), **NEUTRAL)
    explain = ExtremalPerturbation(model, 0.1, iterations=600, baseline="black")
    found = explain.raw(torch.ones(1, 3, 32, 32), 0)[0, 0]
    assert found[16:24, 16:24].mean() > 0.9
    assert found[:12].max() < 0.1
    assert found[:, :12].max() < 0.1
    assert found.mean() == pytest.approx(0.1, abs=0.03)


@torch.no_grad()
def test_a_small_mask_keeps_the_species_of_a_flower() -> None:
    """At 40 pixels, where the flower is recognised as surely as at 64, and blurred no more."""
    model, flowers = flower_classifier("species", 0), Flowers("species", "test", 1)
    images = F.interpolate(flowers.images, (40, 40), mode="bilinear", antialias=True)
    found = ExtremalPerturbation(model, 0.1, iterations=350).raw(images, flowers.targets)
    levels = blur_pyramid(images)
    seen = {"kept": found, "removed": 1 - found, "blurred": torch.zeros_like(found)}
    p = {
        name: float(model(blend(levels, masks)).softmax(1)[0, flowers.targets[0]])
        for name, masks in seen.items()
    }
    assert p["kept"] > 0.9
    assert p["removed"] < 0.5
    assert p["blurred"] < 0.5
    assert found.mean() < 0.2


def test_several_areas_are_optimised_alone_and_averaged() -> None:
    model, images = classifier().double(), pictures(2).double()
    both = ExtremalPerturbation(model, (0.1, 0.4), iterations=9).raw(images, 1)
    alone = [ExtremalPerturbation(model, a, iterations=9).raw(images, 1) for a in (0.1, 0.4)]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


@pytest.mark.parametrize("baseline", ["pyramid", "mean", torch.rand(3, 3, 13, 17)])
def test_a_batch_gives_its_singles_however_it_is_cut(baseline: str | Tensor) -> None:
    model, images = classifier().double(), pictures(3, 13, 17).double()
    settings = {"iterations": 15, "baseline": baseline}
    whole = ExtremalPerturbation(model, **settings).raw(images, TARGETS)
    assert whole.shape == (3, 1, 13, 17)
    cut = ExtremalPerturbation(model, **settings, batch_size=2).raw(images, TARGETS)
    torch.testing.assert_close(whole, cut, rtol=0, atol=1e-10)
    for i in range(3):
        if isinstance(baseline, Tensor):
            settings["baseline"] = baseline[i]
        explain = ExtremalPerturbation(model, **settings)
        alone = explain.raw(images[i : i + 1], TARGETS[i : i + 1])
        torch.testing.assert_close(whole[i : i + 1], alone, rtol=0, atol=1e-10)
    assert explain(images[:0]).shape == (0, 1, 13, 17)


def test_the_cost_is_the_stated_bound_and_the_model_stays_as_it_was() -> None:
    counter = GradientCounter(classifier(inplace=True).net).eval()
    model = Classifier(counter)
    ExtremalPerturbation(model, (0.1, 0.2), iterations=5, batch_size=3)(pictures(3), TARGETS)
    assert counter.forwards == 3 * (1 + 2 * 5)
    assert counter.backwards == 3 * 2 * 5
    assert counter.largest == 3
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_in_every_mode_and_draws_nothing(mode) -> None:
    model, images = classifier().requires_grad_(False), pictures(2)
    explain = ExtremalPerturbation(model, iterations=6)
    expected, state = explain(images), torch.get_rng_state()
    with mode():
        assert torch.equal(explain(images.clone()), expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_settings_are_refused() -> None:
    model = classifier()
    for areas in (0.0, 1.0, (), (0.1, 2.0)):
        with pytest.raises(ValueError, match="areas must be shares"):
            ExtremalPerturbation(model, areas)
    for settings in ({"iterations": -1}, {"batch_size": 0}, {"step": 0}):
        with pytest.raises(ValueError, match="ExtremalPerturbation needs"):
            ExtremalPerturbation(model, **settings)
    with pytest.raises(ValueError, match="baseline must be"):
        ExtremalPerturbation(model, baseline="grey")(pictures())
