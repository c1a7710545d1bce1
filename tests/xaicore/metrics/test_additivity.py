"""Infidelity and sensitivity-n: against captum, literal loops, and the perfect map."""

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from torch import Tensor

from tests.networks import classifier, pictures
from xaicore.metrics import infidelity, sensitivity_n
from xaicore.metrics.additivity import _lost, _sets

TARGETS = torch.tensor([1, 4, 0])


def maps_of(count: int = 3) -> Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(2))


def test_infidelity_is_captums() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    sets = _sets(images.shape[-2:], 4, 20, None, 0)

    def probability(x: Tensor) -> Tensor:
        classes = TARGETS.repeat_interleave(len(x) // len(TARGETS))
        return model(x).softmax(1).gather(1, classes[:, None])[:, 0]

    def perturb(x: Tensor) -> tuple[Tensor, Tensor]:
        gone = sets.repeat(len(images), 1, 1, 1)
        return gone.float().expand_as(x), torch.where(gone, 0, x)

    expected = captum_infidelity(
        probability, perturb, images, maps.expand_as(images), n_perturb_samples=20, normalize=True
    )
    found = infidelity(model, images, maps, TARGETS, samples=20, cells=4)
    torch.testing.assert_close(found.float(), expected.float(), rtol=1e-4, atol=1e-9)


def test_what_is_lost_equals_a_literal_loop() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    sets = _sets(images.shape[-2:], 4, 6, 0.25, 5)
    a, b = _lost(model, images, maps, TARGETS, 6, 4, "mean", 5, 4, 0.25)
    whole = model(images).softmax(1)
    for i, target in enumerate(TARGETS):
        for k, gone in enumerate(sets):
            without = torch.where(gone, model.mean[0], images[i])[None]
            drop = whole[i, target] - model(without).softmax(1)[0, target]
            assert b[i, k].item() == pytest.approx(drop.item(), abs=1e-6)
            assert a[i, k].item() == pytest.approx(maps[i][gone].sum().item() / 256, abs=1e-6)
    found = sensitivity_n(
        model, images, maps, TARGETS, samples=6, cells=4, baseline="mean", seed=5, batch_size=4
    )
    for i in range(3):
        assert found[i].item() == pytest.approx(np.corrcoef(a[i], b[i])[0, 1], abs=1e-9)


def test_sets_have_n_cells_and_are_whole_cells() -> None:
    sets = _sets(torch.Size((16, 24)), 4, 10, 0.25, 0)
    assert sets.shape == (10, 1, 16, 24)
    assert (sets.sum((1, 2, 3)) == 16 * 24 // 4).all()
    cells = sets.float().view(10, 4, 4, 6, 4).mean((2, 4))
    assert ((cells == 0) | (cells == 1)).all()


def test_what_is_lost_itself_is_the_perfect_map() -> None:
    model, images = classifier(), pictures()
    losses = torch.zeros(3, 1, 16, 16)
    whole = model.probability(model(images), TARGETS)
    for row in (0, 8):
        for column in (0, 8):
            without = images.clone()
            without[..., row : row + 8, column : column + 8] = 0
            gone = whole - model.probability(model(without), TARGETS)
            losses[..., row : row + 8, column : column + 8] = gone[:, None, None, None].float()
    low, high = losses.amin((1, 2, 3), keepdim=True), losses.amax((1, 2, 3), keepdim=True)
    maps = (losses - low) / (high - low)
    one_at_a_time = sensitivity_n(model, images, maps, TARGETS, share=0.25, cells=2, samples=20)
    torch.testing.assert_close(one_at_a_time, torch.ones(3, dtype=torch.float64))
    turned = sensitivity_n(model, images, 1 - maps, TARGETS, share=0.25, cells=2, samples=20)
    torch.testing.assert_close(turned, -torch.ones(3, dtype=torch.float64))


def test_infidelity_does_not_depend_on_the_scale_and_constants_have_no_correlation() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    both = (infidelity(model, images, scale * maps, TARGETS, samples=8) for scale in (1, 0.25))
    torch.testing.assert_close(*both)
    flat = torch.full((3, 1, 16, 16), 0.3)
    assert (sensitivity_n(model, images, flat, TARGETS, samples=8) == 0).all()
    nothing = infidelity(model, images, 0 * maps, TARGETS, samples=8)
    assert torch.isfinite(nothing).all()


def test_arguments_that_do_not_fit_are_refused() -> None:
    model, images, maps = classifier(), pictures(), maps_of()
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        sensitivity_n(model, images, maps, share=1)
    with pytest.raises(ValueError, match="samples must be at least 2"):
        infidelity(model, images, maps, samples=1)
    with pytest.raises(ValueError, match="cells must be from 2 to the 16 pixels"):
        infidelity(model, images, maps, cells=17)
    with pytest.raises(ValueError, match="maps must have shape"):
        infidelity(model, images, maps[..., :8])
