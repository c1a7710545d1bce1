"""Tokens lie on the image row by row, and go there and back unchanged."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaicore.attribution.tokens import from_grid, to_grid, token_grid


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (197, (224, 224), (1, 14, 14)),  # class token
        (198, (224, 224), (2, 14, 14)),  # and distillation token
        (261, (224, 224), (5, 16, 16)),  # and registers
        (196, (224, 224), (0, 14, 14)),
        (49, (224, 224), (0, 7, 7)),
        (17, (32, 32), (1, 4, 4)),
        (141, (224, 160), (1, 14, 10)),
        (141, (160, 224), (1, 10, 14)),
        (1, (224, 224), (0, 1, 1)),
        (7, (48, 32), (1, 3, 2)),
    ],
)
def test_known_networks(tokens: int, size: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert token_grid(tokens, size) == expected


@given(st.integers(3, 40), st.integers(1, 40), st.integers(1, 32), st.integers(0, 6))
def test_the_patches_of_an_image_are_found(h: int, w: int, patch: int, prefix: int) -> None:
    assert token_grid(prefix + h * max(w, 3), (h * patch, max(w, 3) * patch)) == (
        prefix,
        h,
        max(w, 3),
    )


@pytest.mark.parametrize(("tokens", "size"), [(0, (32, 32)), (5, (48, 32)), (34, (40, 40))])
def test_tokens_that_are_no_grid_are_refused(tokens: int, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{tokens} tokens are no grid"):
        token_grid(tokens, size)


def test_tokens_are_read_row_by_row_after_the_prefix() -> None:
    tokens = torch.arange(8.0).expand(2, 8)[..., None] + torch.tensor([0.0, 100.0, 200.0])
    grid = to_grid(tokens, (32, 48))
    assert grid.shape == (2, 3, 2, 3)
    assert torch.equal(grid[1, 2], torch.tensor([[202.0, 203.0, 204.0], [205.0, 206.0, 207.0]]))


def test_channels_first_and_last_are_told_apart_by_the_aspect() -> None:
    assert to_grid(torch.zeros(2, 7, 7, 9), (224, 224)).shape == (2, 9, 7, 7)
    assert to_grid(torch.zeros(2, 9, 7, 7), (224, 224)).shape == (2, 9, 7, 7)
    assert to_grid(torch.zeros(2, 4, 6, 6), (64, 96)).shape == (2, 6, 4, 6)
    assert to_grid(torch.zeros(2, 512, 3, 4), (33, 50)).shape == (2, 512, 3, 4)
    cube = torch.rand(2, 4, 4, 4)
    assert to_grid(cube, (32, 32)) is cube


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("shape", [(7, 5), (6, 5), (8, 5), (2, 3, 5), (5, 2, 3), (3, 2, 3)])
def test_there_and_back_is_the_identity(batch: int, shape: tuple[int, ...]) -> None:
    original = torch.rand(batch, *shape)
    grid = to_grid(original, (32, 48))
    assert grid.shape[-2:] == (2, 3)
    assert torch.equal(from_grid(grid, original), original)


def test_a_changed_grid_keeps_the_prefix_and_passes_gradients() -> None:
    original = torch.rand(2, 8, 5)
    grid = to_grid(original, (32, 48)).clone().requires_grad_()
    back = from_grid(grid * 2, original)
    assert torch.equal(back[:, :2], original[:, :2])
    assert torch.equal(back[:, 2:], original[:, 2:] * 2)
    (gradient,) = torch.autograd.grad(back.sum(), grid)
    assert torch.equal(gradient, torch.full_like(grid, 2))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="choose a spatial layer"):
        to_grid(torch.zeros(2, 5), (32, 32))
    for original in (torch.zeros(2, 3, 5), torch.zeros(2, 7, 4), torch.zeros(2, 5, 3, 3)):
        with pytest.raises(ValueError, match="does not come from"):
            from_grid(torch.zeros(2, 5, 2, 3), original)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 12])
def test_few_channels_are_not_taken_for_a_height(channels: int) -> None:
    """Strides leave grids whose aspect is not exactly the image's; other axes may come nearer."""
    for size, grid in (((9, 8), (5, 4)), ((225, 224), (8, 7)), ((31, 30), (4, 4))):
        tensor = torch.rand(2, channels, *grid)
        assert torch.equal(to_grid(tensor, size), tensor)


def test_a_grid_of_halved_sides_is_one_though_other_axes_have_the_aspect_exactly() -> None:
    first = torch.rand(2, 6, 8, 10)  # 15 × 20 halved; 6 × 8 has its aspect exactly
    assert to_grid(first, (15, 20)) is first
    assert to_grid(first.permute(0, 2, 3, 1), (15, 20)).shape == (2, 6, 8, 10)
