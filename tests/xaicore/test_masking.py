"""Upsample, normalise, remove: the pure functions under every map."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaicore.masking import degenerate, mask, normalize, removed, upsample

MEAN = torch.full((1, 3, 1, 1), 0.4)


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_normalize_ignores_scale_and_shift(seed: int, scale: float, shift: float) -> None:
    maps = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(seed)).double()
    found = normalize(maps)
    assert found.amin() == 0
    assert found.amax() == 1
    torch.testing.assert_close(normalize(scale * maps + shift), found)


@pytest.mark.parametrize("value", [0.0, -3.0, 7.0])
def test_a_constant_map_normalises_to_zeros_with_a_finite_gradient(value: float) -> None:
    maps = torch.full((1, 1, 4, 4), value, requires_grad=True)
    found = normalize(maps)
    assert torch.equal(found, torch.zeros_like(found))
    (gradient,) = torch.autograd.grad(found.sum(), maps)
    assert torch.isfinite(gradient).all()


def test_upsampling_keeps_constants_and_own_size() -> None:
    maps = torch.full((1, 1, 3, 4), 2.0)
    assert torch.equal(upsample(maps, (9, 8)), torch.full((1, 1, 9, 8), 2.0))
    assert upsample(maps, (3, 4)) is maps


def test_a_mask_keeps_and_removes_exactly() -> None:
    images = torch.rand(2, 3, 6, 6)
    for name in ("black", "mean", "blur"):
        absent = removed(images, name, MEAN)
        assert torch.equal(mask(images, torch.ones(2, 1, 6, 6), absent), images)
        nothing = mask(images, torch.zeros(2, 1, 6, 6), absent)
        assert torch.equal(nothing, absent.expand_as(images))
    half = mask(images, torch.full((2, 1, 6, 6), 0.5), removed(images, "black", MEAN))
    torch.testing.assert_close(half, images / 2)


def test_blur_keeps_a_constant_image_and_smooths_others() -> None:
    constant = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(removed(constant, "blur", MEAN), constant)
    noise = torch.rand(1, 3, 32, 32)
    assert removed(noise, "blur", MEAN).std() < noise.std()


def test_a_baseline_that_does_not_fit_is_refused() -> None:
    images = torch.rand(2, 3, 6, 6)
    with pytest.raises(ValueError, match="black, mean, blur"):
        removed(images, "white", MEAN)
    with pytest.raises(ValueError, match="does not broadcast"):
        removed(images, torch.rand(5, 5), MEAN)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("small", "large"), [(1, (32, 32)), (1, (61, 37)), (4, (32, 32)), (7, (224, 224)), (2, (5, 64))]
)
def test_a_constant_map_stays_one_when_it_is_upsampled(dtype, small, large):
    """Interpolation rounds; a thousand constants of many sizes, none of which may become noise."""
    generator = torch.Generator().manual_seed(0)
    sizes = 10.0 ** torch.empty(1000, dtype=torch.float64).uniform_(-4, 4, generator=generator)
    signs = torch.randint(2, (1000,), generator=generator) * 2 - 1
    maps = (sizes * signs).to(dtype).view(-1, 1, 1, 1).expand(-1, 1, small, small).contiguous()
    large_maps = upsample(maps, large)
    assert degenerate(large_maps).all()
    assert (normalize(large_maps) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_map_that_varies_a_little_is_no_constant(dtype):
    """One step in half precision, nine steps otherwise: what is left of a map above rounding."""
    eps = torch.finfo(dtype).eps
    steps = 1 if dtype.itemsize == 2 else 9
    maps = torch.ones(1, 1, 4, 4, dtype=dtype)
    maps[..., 0] += steps * eps
    assert not degenerate(maps)
    assert normalize(maps).amax() == 1
