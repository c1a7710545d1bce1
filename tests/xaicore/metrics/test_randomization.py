"""The sanity check: weights drawn anew on copies alone, and similarity against other code."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from tests.networks import classifier, pictures
from xaicore.attribution import FakeCAM, GradCAM
from xaicore.classifier import Classifier
from xaicore.metrics.randomization import randomized, spearman, structural_similarity

LAYERS = ["8", "4", "3", "1", "0"]
"""The layers of the pooled network that have weights, from the logits down."""


def state(model: Classifier) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: Classifier, copy: Classifier) -> set[str]:
    ours, theirs = model.state_dict(), copy.state_dict()
    return {name.split(".")[1] for name in ours if not torch.equal(ours[name], theirs[name])}


def trained() -> Classifier:
    """A classifier none of whose values is what ``reset_parameters`` gives."""
    model = classifier()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.01)
    return model


def test_cascading_goes_from_the_logits_down() -> None:
    model = trained()
    found = [(name, changed(model, copy)) for name, copy in randomized(model)]
    assert found == [(name, set(LAYERS[: i + 1])) for i, name in enumerate(LAYERS)]


def test_independent_draws_one_layer_at_a_time() -> None:
    model = trained()
    found = [(name, changed(model, copy)) for name, copy in randomized(model, cascading=False)]
    assert found == [(name, {name}) for name in LAYERS]


def test_cascading_keeps_what_was_drawn_before() -> None:
    copies = [copy for _, copy in randomized(trained(), seed=3)]
    for before, after in itertools.pairwise(copies):
        assert torch.equal(before.net[8].weight, after.net[8].weight)


def test_named_blocks_are_drawn_whole() -> None:
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Flatten(), nn.LazyLinear(2)
    )
    net(torch.zeros(1, 3, 5, 5))
    model = Classifier(net.eval(), layer="0.0")
    names = [name for name, _ in randomized(model, ["2", "0"])]
    assert names == ["2", "0"]
    (_, block), *_ = randomized(model, ["0"])
    assert changed(model, block) == {"0"}


def test_the_given_network_and_the_random_state_are_untouched() -> None:
    model = trained()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    before, random = state(model), torch.get_rng_state()
    for _, copy in randomized(model):
        assert not copy.net.training
        assert not any(p.requires_grad for p in copy.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in state(model).items())


def test_seeds_decide() -> None:
    weights = [next(iter(randomized(trained(), seed=seed)))[1].net[8].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_copies_made_in_inference_mode_can_be_explained() -> None:
    model = trained()
    with torch.inference_mode():
        copies = [copy for _, copy in randomized(model, ["8"])]
    assert not any(p.is_inference() for p in copies[0].parameters())
    assert GradCAM(copies[0])(pictures(), 0).shape == (3, 1, 16, 16)


def test_attention_is_drawn_with_its_private_reset() -> None:
    net = nn.Sequential(nn.Flatten(2), nn.MultiheadAttention(4, 2)).eval()
    model = Classifier(net, layer="0")
    with torch.no_grad():
        net[1].in_proj_weight += 1
    copies = dict(randomized(model))
    assert not torch.equal(copies["1"].net[1].in_proj_weight, net[1].in_proj_weight)


def test_a_map_of_no_network_fails_the_check_and_grad_cam_passes() -> None:
    model, images = trained(), pictures()
    for explainer, same in ((FakeCAM, True), (GradCAM, False)):
        maps = explainer(model)(images, 0)
        *_, (_, copy) = randomized(model)
        assert torch.equal(explainer(copy)(images, 0), maps) is same


def test_what_cannot_be_drawn_is_refused() -> None:
    model = trained()
    with pytest.raises(ValueError, match="no module called 'fc'"):
        list(randomized(model, ["fc"]))
    with pytest.raises(ValueError, match="nothing in '2'"):
        list(randomized(model, ["2"]))
    with pytest.raises(ValueError, match="no layer with reset_parameters"):
        list(randomized(Classifier(nn.Sequential(nn.ReLU()).eval())))


def draws(seed: int, levels: int = 1000, shape: tuple[int, ...] = (3, 1, 7, 5)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) * levels).round() / levels


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 1000]))
def test_spearman_equals_scipy_and_pandas(seed: int, levels: int) -> None:
    a, b = draws(seed, levels), draws(seed + 1, levels)
    found = spearman(a, b)
    for i in range(3):
        x, y = a[i].flatten().numpy(), b[i].flatten().numpy()
        assert found[i].item() == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        ranks = pd.Series(x).rank().corr(pd.Series(y).rank())
        assert found[i].item() == pytest.approx(ranks, abs=1e-12)


def test_spearman_sees_order_alone() -> None:
    a = draws(1)
    assert spearman(a, a**3 * 5 - 2).tolist() == pytest.approx([1, 1, 1])
    assert spearman(a, -a).tolist() == pytest.approx([-1, -1, -1])
    assert spearman(a, torch.full_like(a, 0.3)).tolist() == [0, 0, 0]
    assert spearman(a[:0], a[:0]).shape == (0,)


def literal_ssim(a: Tensor, b: Tensor) -> float:
    """Window after window, with weighted moments about the weighted means."""
    x = torch.arange(-5, 6).double()
    weights = torch.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    weights = weights / weights.sum()
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            m, n = (weights * p).sum(), (weights * q).sum()
            s, t = (weights * (p - m) ** 2).sum(), (weights * (q - n) ** 2).sum()
            c = (weights * (p - m) * (q - n)).sum()
            value = (2 * m * n + 1e-4) * (2 * c + 9e-4)
            values.append(value / ((m**2 + n**2 + 1e-4) * (s + t + 9e-4)))
    return torch.stack(values).mean().item()


def test_structural_similarity_equals_a_literal_loop() -> None:
    a, b = draws(2, shape=(3, 1, 15, 13)), draws(3, shape=(3, 1, 15, 13))
    b[1] = (a[1] + b[1] / 5).clamp(0, 1)
    found = structural_similarity(a, b)
    for i in range(3):
        expected = literal_ssim(a[i, 0].double(), b[i, 0].double())
        assert found[i].item() == pytest.approx(expected, abs=1e-10)
    assert found[1] > found[0]


def test_structural_similarity_at_its_ends() -> None:
    a = draws(4, shape=(2, 1, 16, 16))
    assert structural_similarity(a, a).tolist() == pytest.approx([1, 1])
    assert (structural_similarity(a, 1 - a) < 0).all()
    zeros = torch.zeros_like(a)
    assert structural_similarity(zeros, zeros).tolist() == [1, 1]
    assert structural_similarity(a[:0], a[:0]).shape == (0,)


def test_maps_that_cannot_be_compared_are_refused() -> None:
    a = draws(5)
    for similarity in (spearman, structural_similarity):
        with pytest.raises(ValueError, match="one shape"):
            similarity(a, a[:2])
        with pytest.raises(ValueError, match="finite"):
            similarity(a, a / 0)
    with pytest.raises(ValueError, match="at least 11"):
        structural_similarity(a, a)
