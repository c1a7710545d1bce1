"""Removed pixels that are filled from their neighbours, against the dense system."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.networks import classifier, pictures
from xaicore.metrics import CausalProtocol, aopc, auc, impute, insertion_deletion
from xaicore.metrics.imputation import TOLERANCE

from .test_causal import TARGETS, maps_of


def dense(image: Tensor, shown: Tensor) -> Tensor:
    """Write down every equation, and solve."""
    channels, height, width = image.shape
    places = [(i, j) for i in range(height) for j in range(width)]
    matrix, right = np.eye(len(places)), image.double().numpy().reshape(channels, -1).T.copy()
    for k, (i, j) in enumerate(places):
        if not shown[0, i, j]:
            near = [m for m, (a, b) in enumerate(places) if max(abs(a - i), abs(b - j)) == 1]
            weights = [1 / 12 if i != places[m][0] and j != places[m][1] else 1 / 6 for m in near]
            matrix[k, near], matrix[k, k], right[k] = [-w for w in weights], sum(weights), 0
    return torch.from_numpy(np.linalg.solve(matrix, right).T.reshape(image.shape).copy())


def holes(count: int, height: int, width: int, share: float) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.manual_seed(3)) > share


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_it_solves_the_dense_system(share: float) -> None:
    images, shown = torch.rand(2, 3, 11, 14), holes(2, 11, 14, share)
    shown[1, :, :, :6] = False  # a hole at three borders
    found = impute(images, shown, noise=0)
    for image, kept, filled in zip(images, shown, found, strict=True):
        torch.testing.assert_close(filled.double(), dense(image, kept), atol=2e-3, rtol=0)
        assert torch.equal(filled[:, kept[0]], image[:, kept[0]])


def test_a_gradient_of_colour_runs_on_through_a_hole() -> None:
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    shown = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    shown[..., 5:11, 5:11] = False
    torch.testing.assert_close(impute(ramp, shown, noise=0), ramp, atol=20 * TOLERANCE, rtol=0)


def test_a_batch_gives_what_its_images_give() -> None:
    images, shown = torch.rand(3, 3, 12, 12), holes(3, 12, 12, 0.5)
    shown[0, :, 1:] = False  # the slowest
    together, alone = impute(images, shown), impute(images[1:2], shown[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=0)


def test_without_a_pixel_shown_it_is_what_it_begins_with() -> None:
    nothing = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    colour = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    filled = impute(torch.rand(1, 3, 8, 8), nothing, colour, noise=0)
    torch.testing.assert_close(filled, colour.expand_as(filled))


def test_noise_falls_on_filled_pixels_alone_and_follows_its_seed() -> None:
    images, shown = torch.full((1, 3, 32, 32), 0.5), holes(1, 32, 32, 0.5)
    noisy = impute(images, shown, noise=0.05)
    assert torch.equal(noisy, impute(images, shown, noise=0.05))
    assert not torch.equal(noisy, impute(images, shown, noise=0.05, seed=1))
    hidden = ~shown.expand_as(images)
    assert (noisy[~hidden] == 0.5).all()
    assert noisy[hidden].std().item() == pytest.approx(0.05, rel=0.1)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shown must be bool and of shape"):
        impute(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 7, dtype=torch.bool))
    with pytest.raises(ValueError, match="shown must be bool"):
        impute(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="noise must not be negative"):
        impute(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool), noise=-1)


@pytest.mark.parametrize("blur", [None, (11, 5.0)])
def test_the_curves_fill_what_a_literal_loop_fills(blur: tuple[int, float] | None) -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    protocol = CausalProtocol(steps=4, blur=blur, removed="linear")
    found = insertion_deletion(model, images, maps, TARGETS, protocol)
    mean = model.mean.expand_as(images)
    order = maps.flatten(1).argsort(dim=1, stable=True).flip(1)
    pixels = order.shape[1]
    for step in range(1, 4):
        first = torch.zeros(maps.shape, dtype=torch.bool).flatten(1)
        first.scatter_(1, order[:, : step * pixels // 4], True)
        first = first.view_as(maps)
        left = model.probability(model(impute(images, ~first, mean)), TARGETS)
        torch.testing.assert_close(found.deletion[:, step], left, atol=1e-5, rtol=0)
        if blur is None:
            come = model.probability(model(impute(images, first, mean)), TARGETS)
            torch.testing.assert_close(found.insertion[:, step], come, atol=1e-5, rtol=0)
    black = insertion_deletion(model, images, maps, TARGETS, CausalProtocol(steps=4, blur=blur))
    assert (blur is not None) == torch.equal(found.insertion, black.insertion)
    assert not torch.equal(auc(found.deletion), auc(black.deletion))


def test_patches_can_be_filled_too() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    linear, mean = (
        aopc(model, images, maps, TARGETS, regions=2, patch=4, baseline=b)
        for b in ("linear", "mean")
    )
    assert linear.shape == mean.shape == (len(images),)
    assert not torch.equal(linear, mean)
