"""Maps that know nothing of the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import rgb_to_grayscale

from tests.networks import Counter, classifier, pictures
from xaicore.attribution import METHODS, Centre, Colour, Edges, FakeCAM, Noise
from xaicore.attribution.floors import luminance
from xaicore.classifier import Classifier
from xaicore.masking import normalize

FLOORS = [method for method in METHODS.values() if method.family == "no explanation"]


def test_they_are_methods() -> None:
    assert [FakeCAM, Noise, Centre, Edges, Colour] == FLOORS


@pytest.mark.parametrize("floor", FLOORS)
def test_maps_fit_and_a_batch_gives_what_its_images_give(floor: type) -> None:
    images, explain = pictures(3, 11, 14), floor(classifier())
    maps = explain(images)
    assert maps.shape == (3, 1, 11, 14)
    assert maps.amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert maps.amax((1, 2, 3)).tolist() == [1, 1, 1]
    assert torch.equal(maps, torch.cat([explain(image[None]) for image in images]))
    assert explain(images[:0]).shape == (0, 1, 11, 14)
    with pytest.raises(ValueError, match="images"):
        explain(images[0])


@pytest.mark.parametrize("floor", FLOORS)
def test_the_network_never_runs_and_has_no_say(floor: type) -> None:
    """Not even a layer need be known, and it costs nothing, as its class says."""
    counter = Counter(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))).eval()
    images = pictures()
    found = floor(Classifier(counter))(images, torch.tensor([3, 0, 1]))
    assert counter.forwards == counter.backwards == 0
    assert floor.cost == "none"
    assert torch.equal(found, floor(classifier())(images))


def test_fake_cam_is_one_but_for_one_pixel() -> None:
    maps = FakeCAM(classifier())(pictures())
    assert (maps[..., 0, 0] == 0).all()
    assert maps.sum() == maps.numel() - len(maps)


def test_noise_follows_its_seed_and_nothing_else() -> None:
    images, model = pictures(2), classifier()
    maps = Noise(model, 3)(images)
    assert torch.equal(maps, Noise(model, 3)(images.flip(0)))
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps, Noise(model, 4)(images))


def test_the_centre_is_the_maximum_and_both_axes_mirror() -> None:
    maps = Centre(classifier())(pictures(1, 9, 15))
    assert maps.flatten().argmax() == 4 * 15 + 7
    torch.testing.assert_close(maps, maps.flip(-1))
    torch.testing.assert_close(maps, maps.flip(-2))
    ratio = torch.exp(torch.tensor(-1 / (2 * (0.25 * 9) ** 2)))
    low = torch.exp(torch.tensor(-(4**2 + 7**2) / (2 * (0.25 * 9) ** 2)))
    assert maps[0, 0, 4, 8].item() == pytest.approx(((ratio - low) / (1 - low)).item(), abs=1e-6)
    with pytest.raises(ValueError, match="sigma must be positive"):
        Centre(classifier(), sigma=0)


def test_edges_lie_where_the_image_changes() -> None:
    images = torch.zeros(2, 3, 6, 6)
    images[0, :, :, 3:] = 1
    maps = Edges(classifier())(images)
    expected = torch.zeros(6, 6)
    expected[:, 2:4] = 1
    torch.testing.assert_close(maps[0, 0], expected)
    assert not maps[1].any()


def test_edges_are_sobel_filters_of_the_luminance() -> None:
    images = pictures(2, 9, 12).double()
    assert torch.equal(luminance(images), rgb_to_grayscale(images))
    grey = nn.functional.pad(luminance(images), (1, 1, 1, 1), mode="replicate")
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double()

    def filtered(kernel: Tensor) -> Tensor:
        return nn.functional.conv2d(grey, kernel[None, None])

    expected = (filtered(across).square() + filtered(across.T).square()).sqrt()
    torch.testing.assert_close(Edges(classifier())(images), normalize(expected))


def test_what_has_other_colours_than_three_is_as_bright_as_its_mean() -> None:
    assert torch.equal(
        luminance(torch.tensor([0.2, 0.4]).view(1, 2, 1, 1)), torch.tensor([[[[0.3]]]])
    )


def test_the_colour_farthest_from_the_mean_stands_out() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    images[0, :, 1, 2] = torch.tensor([1.0, 0, 0.5])
    maps = Colour(classifier())(images)
    assert maps[0, 0, 1, 2] == 1
    assert maps.sum() == pytest.approx(1, abs=1e-5)
