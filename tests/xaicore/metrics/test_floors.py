"""Maps that know nothing of the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.networks import pictures
from xaicore.metrics.floors import centre_maps, colour_maps, edge_maps, mask_maps, noise_maps

FLOORS = [noise_maps, centre_maps, edge_maps, colour_maps]


@pytest.mark.parametrize("floor", FLOORS)
def test_maps_fit_and_a_batch_gives_what_its_images_give(floor: Callable[[Tensor], Tensor]) -> None:
    images = pictures(3, 11, 14)
    maps = floor(images)
    assert maps.shape == (3, 1, 11, 14)
    assert maps.amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert maps.amax((1, 2, 3)).tolist() == [1, 1, 1]
    assert torch.equal(maps, torch.cat([floor(image[None]) for image in images]))
    assert floor(images[:0]).shape == (0, 1, 11, 14)
    with pytest.raises(ValueError, match="images"):
        floor(images[0])


def test_noise_follows_its_seed() -> None:
    images = pictures(1)
    assert torch.equal(noise_maps(images, 3), noise_maps(images, 3))
    assert not torch.equal(noise_maps(images, 3), noise_maps(images, 4))


def test_the_centre_is_the_maximum_and_both_axes_mirror() -> None:
    maps = centre_maps(pictures(1, 9, 15))
    assert maps.flatten().argmax() == 4 * 15 + 7
    torch.testing.assert_close(maps, maps.flip(-1))
    torch.testing.assert_close(maps, maps.flip(-2))
    ratio = torch.exp(torch.tensor(-1 / (2 * (0.25 * 9) ** 2)))
    low = torch.exp(torch.tensor(-(4**2 + 7**2) / (2 * (0.25 * 9) ** 2)))
    assert maps[0, 0, 4, 8].item() == pytest.approx(((ratio - low) / (1 - low)).item(), abs=1e-6)


def test_edges_lie_where_the_image_changes() -> None:
    images = torch.zeros(2, 3, 6, 6)
    images[0, :, :, 3:] = 1
    maps = edge_maps(images)
    expected = torch.zeros(6, 6)
    expected[:, 2:4] = 1
    torch.testing.assert_close(maps[0, 0], expected)
    assert not maps[1].any()


def test_the_colour_farthest_from_the_mean_stands_out() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    images[0, :, 1, 2] = torch.tensor([1.0, 0, 0.5])
    maps = colour_maps(images)
    assert maps[0, 0, 1, 2] == 1
    assert maps.sum() == pytest.approx(1, abs=1e-5)


def test_masks_are_maps() -> None:
    masks = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    masks[..., 3:6, 3:6] = True
    assert torch.equal(mask_maps(masks), masks.float())
    blurred = mask_maps(masks, sigma=1.0)
    assert blurred.argmax() == 4 * 9 + 4
    assert 0 < blurred[0, 0, 4, 7] < 0.5
    with pytest.raises(ValueError, match="sigma"):
        mask_maps(masks, -1)
    with pytest.raises(ValueError, match="masks must be"):
        mask_maps(masks[0])
    with pytest.raises(ValueError, match="sigma"):
        centre_maps(pictures(1), 0)
