"""Opti-CAM: against a literal re-implementation, at its bounds, and at its cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.networks import Counter, classifier, pictures
from xaicore.attribution import OptiCAM
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4, 0])


def literal(
    model: Classifier, image: Tensor, target: int, iterations: int, features: Tensor
) -> Tensor:
    """Opti-CAM of one image, equation by equation, with torch's Adam and no shared code."""
    u = torch.zeros(features.shape[0], dtype=image.dtype, requires_grad=True)
    adam = torch.optim.Adam([u], lr=0.1)

    def saliency() -> Tensor:
        weights = torch.softmax(u, 0)
        low = sum(w * a for w, a in zip(weights, features, strict=True))
        assert isinstance(low, Tensor)
        high = F.interpolate(low[None, None], image.shape[-2:], mode="bilinear")[0, 0]
        return (high - high.min()) / (high.max() - high.min())

    previous = float("inf")
    for _ in range(iterations):
        normalised = (image * saliency() - model.mean[0]) / model.std[0]
        loss = -model.net(normalised[None])[0, target]
        adam.zero_grad()
        loss.backward()
        adam.step()
        if abs(loss.item() - previous) < 1e-10:
            break
        previous = loss.item()
    return saliency().detach()


@pytest.mark.parametrize("iterations", [1, 10, 100])
def test_opti_cam_equals_a_literal_reimplementation_in_float64(iterations: int) -> None:
    model, images = classifier().double(), pictures().double()
    found = OptiCAM(model, iterations=iterations)(images, TARGETS)
    features = model.net[:6]((images - model.mean) / model.std).detach()
    for image, target, maps, saliency in zip(images, TARGETS, features, found, strict=True):
        expected = literal(model, image, int(target), iterations, maps)
        torch.testing.assert_close(saliency[0], expected, rtol=0, atol=1e-6)


def test_without_iterations_the_map_is_the_mean_of_the_channels() -> None:
    model, images = classifier(), pictures()
    features = model.net[:6]((images - model.mean) / model.std)
    found = OptiCAM(model, iterations=0).raw(images, TARGETS)
    torch.testing.assert_close(found[:, 0], features.mean(1))


def test_the_same_call_gives_the_same_bits() -> None:
    explain, images = OptiCAM(classifier(), iterations=30), pictures()
    assert torch.equal(explain(images, TARGETS), explain(images, TARGETS))


def test_weights_are_convex_and_the_objective_rises() -> None:
    found = OptiCAM(classifier(), iterations=40).optimise(pictures(), TARGETS)
    assert found.objective.shape == (40, 3)
    assert (found.weights >= 0).all()
    torch.testing.assert_close(found.weights.sum(1), torch.ones(3))
    assert (found.objective[-1] >= found.objective[0]).all()


def test_the_objective_is_the_logit_of_the_masked_image() -> None:
    model, images = classifier(), pictures()
    before = OptiCAM(model, iterations=4)(images, TARGETS)
    path = OptiCAM(model, iterations=5).optimise(images, TARGETS).objective
    expected = model(images * before).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(path[4], expected)


def test_a_finished_image_stops_and_disturbs_no_other() -> None:
    """A black image scores the same whatever its mask: it is finished after two steps."""
    model = classifier().double()
    images = pictures(3).double()
    images[1] = 0
    found = OptiCAM(model, iterations=20).optimise(images, TARGETS)
    assert found.objective[1:, 1].unique().numel() == 1
    alone = OptiCAM(model, iterations=20).optimise(images[[0, 2]], TARGETS[[0, 2]])
    torch.testing.assert_close(found.weights[[0, 2]], alone.weights)


class Frozen(Counter):
    """Also sees to it that no gradient is asked of a parameter."""

    def forward(self, images: Tensor) -> Tensor:
        assert not any(parameter.requires_grad for parameter in self.parameters())
        return super().forward(images)


def test_the_cost_is_the_stated_bound() -> None:
    counter = Frozen(classifier().net).eval()
    model = Classifier(counter, layer="net.5")
    OptiCAM(model, iterations=7)(pictures(3), TARGETS)
    assert counter.forwards == 3 * (1 + 7)
    assert counter.backwards == 3 * 7
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize("baseline", ["black", "mean", "blur", torch.tensor(0.5)])
def test_every_baseline_can_be_optimised_against(baseline: str | Tensor) -> None:
    path = OptiCAM(classifier(), iterations=30, baseline=baseline).optimise(pictures()).objective
    assert (path[-1] >= path[0]).all()


def test_bad_settings_are_refused() -> None:
    for settings in ({"iterations": -1}, {"learning_rate": 0}, {"tolerance": -1.0}):
        with pytest.raises(ValueError, match="OptiCAM needs"):
            OptiCAM(classifier(), **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="baseline must be"):
        OptiCAM(classifier(), baseline="grey")(pictures())
