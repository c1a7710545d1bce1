"""Opti-CAM in the cone of its channels: the projection, what the ascent keeps, and its bounds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks import classifier, pictures
from tests.xaicore.attribution.test_opticam_options import NETWORKS, TARGETS, Negative
from xaicore.attribution import OptiCAM, opticam
from xaicore.attribution.ascent import project
from xaicore.attribution.capture import capture
from xaicore.attribution.cone import Cone, climb
from xaicore.attribution.opticam import CONE, KNOWN_TO_A_SCALE, OBJECTIVES
from xaicore.classifier import Classifier
from xaicore.masking import normalize, upsample

SIZES = [(12, 5), (5, 12), (40, 9)]
"""Channels and positions: more of one, more of the other, and a cone that is full."""


def problem(channels: int, positions: int, rows: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Sparse features as a rectifier leaves them, targets, and a metric; one channel is flat."""
    torch.manual_seed(channels)
    features = torch.randn(rows, channels, positions, dtype=torch.float64).relu()
    features[:, 0] = 0.3
    target, metric = torch.randn(2, rows, positions, dtype=torch.float64)
    return features, target, metric.abs() + 0.1


def residual(
    features: Tensor, target: Tensor, metric: Tensor, weights: Tensor, shifted: bool
) -> Tensor:
    """How far weights stay from the target, with the best constant if it is free."""
    missed = target - (weights[:, None] @ features)[:, 0]
    if shifted:
        missed = missed - (metric * missed).sum(1, keepdim=True) / metric.sum(1, keepdim=True)
    return (metric * missed.square()).sum(1)


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_the_projection_is_the_nearest_point_of_scipy(size: tuple[int, int], shifted: bool) -> None:
    from scipy.optimize import nnls

    features, target, metric = problem(*size)
    start = torch.ones(features.shape[:2], dtype=torch.float64)
    found = project(features, target, metric, start, rounds=2000, shifted=shifted)
    assert (found >= 0).all()
    near = residual(features, target, metric, found, shifted)
    for i in range(len(features)):
        root = metric[i].sqrt().numpy()
        constant = np.ones((1, size[1])) * root
        columns = np.concatenate(
            [features[i].numpy() * root, *([constant, -constant] if shifted else [])]
        )
        _, distance = nnls(columns.T, target[i].numpy() * root)
        assert near[i].item() == pytest.approx(distance**2, rel=1e-6, abs=1e-9)


def test_a_flat_channel_shapes_no_map_and_nothing_comes_of_nothing() -> None:
    features, target, metric = problem(12, 5)
    start = torch.ones(3, 12, dtype=torch.float64)
    assert (project(features, target, metric, start, rounds=9)[:, 0] == 0).all()
    assert not project(torch.zeros_like(features), target, metric, start, rounds=9).any()


def test_how_features_lie_in_memory_does_not_matter() -> None:
    features, target, metric = problem(12, 5)
    start = torch.ones(3, 12, dtype=torch.float64)
    lies = features.mT.contiguous().mT  # as a layer with channels last leaves them
    kept = lies.clone()
    found = [project(one, target, metric, start, rounds=60) for one in (features, lies)]
    torch.testing.assert_close(*found)
    assert torch.equal(lies, kept)


def test_a_target_of_the_cone_is_found_and_few_rounds_do_not_lose_the_start() -> None:
    features, _, metric = problem(5, 12)
    weights = torch.rand(3, 5, dtype=torch.float64)
    target = (weights[:, None] @ features)[:, 0] + 2.0
    weights[:, 0] = 0  # the flat channel
    stayed = project(features, target, metric, weights, rounds=1)
    torch.testing.assert_close(stayed, weights)
    found = project(features, target, metric, torch.ones_like(weights), rounds=3000)
    torch.testing.assert_close(found, weights, rtol=0, atol=1e-6)


def test_the_objective_knows_a_map_up_to_scale_and_shift_as_the_cone_takes_it() -> None:
    maps = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    seen = [normalize(upsample(each, (24, 32))) for each in (maps, 5 * maps - 2)]
    torch.testing.assert_close(*seen)
    seen = [opticam.relative(upsample(each, (24, 32))) for each in (maps, 5 * maps)]
    torch.testing.assert_close(*seen)


def literal_cone(model: Classifier, image: Tensor, c: int, A: Tensor, T: int) -> Tensor:
    """The cone's map of one image in float64, from its equations and with scipy's least squares."""
    from scipy.optimize import nnls

    settings = CONE
    a, b = settings.betas
    size = A.shape[-2:]
    A = A.flatten(1)
    w, m, v = torch.ones(len(A)).to(A), torch.zeros(A.shape[1]).to(A), torch.zeros(A.shape[1]).to(A)
    best, highest = w, -float("inf")

    def value(s: Tensor) -> Tensor:
        saliency = normalize(upsample(s.view(1, 1, *size), image.shape[-2:]))
        return model(image[None] * saliency)[0, c]

    for t in range(1, T + 2):
        s = w @ A
        w = w / (s.max() - s.min())
        s = (w @ A).requires_grad_()
        reached = value(s)
        if reached > highest:
            best, highest = w, reached.item()
        if t > T:
            break
        (g,) = torch.autograd.grad(reached, s)
        m, v = a * m + (1 - a) * g, b * v + (1 - b) * g**2
        ahead = a * m / (1 - a ** (t + 1)) + (1 - a) * g / (1 - a**t)
        q = (v / (1 - b**t)).sqrt() + 1e-8
        z = s.detach() + settings.learning_rate * min(1, 2 * (T - t + 1) / T) * ahead / q
        root = q.sqrt()
        one = torch.ones_like(A[:1])
        columns = torch.cat([A, one, -one]) * root
        w = torch.from_numpy(nnls(columns.T.numpy(), (z * root).numpy())[0])[: len(A)]
    return normalize(upsample((best @ A).view(1, 1, *size), image.shape[-2:]))[0, 0]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_cone_equals_a_literal_reimplementation_in_float64(network: str) -> None:
    model, images = NETWORKS[network]().double(), pictures(2).double()
    features = capture(model, images).features
    exact = Cone(3, 0.15, (0.8, 0.95), rounds=1500, half=False)
    found = OptiCAM(model, preset=exact)(images, TARGETS)
    for i, c in enumerate(TARGETS.tolist()):
        expected = literal_cone(model, images[i], c, features[i], 3)
        torch.testing.assert_close(found[i, 0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "normalization", "objective"),
    list(product(NETWORKS, KNOWN_TO_A_SCALE, OBJECTIVES)),
)
def test_weights_are_convex_and_the_best_that_were_met(
    network: str, normalization: str, objective: str
) -> None:
    model, images = NETWORKS[network]().double(), pictures(2).double()
    options: dict[str, Any] = {"normalization": normalization, "objective": objective}
    explain = OptiCAM(model, 6, preset="cone", **options)
    found = explain.optimise(images, TARGETS)
    assert found.objective.shape == (7, 2)
    assert (found.weights >= 0).all()
    torch.testing.assert_close(found.weights.sum(1), torch.ones(2).double())
    start = found.weights.clamp_min(1e-300).log()
    again = OptiCAM(model, 0, preset="cone", initial=start, **options).optimise(images, TARGETS)
    torch.testing.assert_close(again.objective[0], found.objective.max(0).values)
    assert (again.objective[0] >= found.objective[0]).all()


@pytest.mark.parametrize("baseline", ["mean", "blur", torch.rand(3, 16, 16)])
def test_every_baseline_can_be_climbed_against(baseline: str | Tensor) -> None:
    explain = OptiCAM(classifier().double(), 5, baseline=baseline, preset="cone")
    found = explain.optimise(pictures(3).double(), 1)
    assert (found.objective.max(0).values > found.objective[0]).all()


def test_maps_that_cannot_be_told_apart_keep_their_start() -> None:
    net = classifier().net
    flat = Classifier(nn.Sequential(net[:6], Flat(), net[6:]).eval())
    model = Classifier(flat.net, layer=flat.net[1])
    explain = OptiCAM(model, 5, preset="cone")
    assert not explain(pictures(2), TARGETS).any()
    torch.testing.assert_close(explain.optimise(pictures(2)).weights, torch.full((2, 6), 1 / 6))


def test_a_map_that_is_nowhere_positive_stays_under_the_maximum() -> None:
    net = classifier().net
    model = Classifier(nn.Sequential(net[:6], Negative(), net[6:]).eval(), layer="1")
    explain = OptiCAM(model, 3, normalization="max", preset="cone")
    assert not explain(pictures(2), TARGETS).any()


class Flat(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3), keepdim=True).expand_as(features).contiguous()


def test_weights_of_nothing_are_never_returned_and_what_is_no_number_is() -> None:
    """The objective of an empty map may be the highest of all; its weights have no sum."""
    features, weights = torch.eye(3)[None, :, :], torch.full((1, 3), 1 / 3)
    down = Cone(3, 5.0, (0.8, 0.95), half=False)
    found, path = climb(lambda maps: -maps.sum(1), features, weights, down, shifted=False)
    assert (path[1:] >= path[0]).all()
    torch.testing.assert_close(found.sum(1), torch.ones(1))
    lost, _ = climb(lambda maps: maps.sum(1) * torch.nan, features, weights, down, shifted=True)
    assert lost.isnan().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalization": "sigmoid"}, "sees the scale of a map, which a cone has not: use range"),
        ({"tolerance": 0.1}, "the cone takes all its steps: leave tolerance out"),
        ({"betas": (0.9, 1.0)}, r"two betas in \[0, 1\)"),
        ({"iterations": -1}, "iterations >= 0"),
        ({"preset": "kone"}, "did you mean cone"),
    ],
)
def test_what_the_cone_cannot_do_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OptiCAM(classifier(), **{"preset": "cone", **options})
