"""The lasso: optimal by its conditions, and what other solvers find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch import Tensor
from torch.nn import functional as F

from xaicore.interpretation import (
    Layer,
    NormalEquations,
    Responses,
    kkt_residual,
    mu_lasso,
)

BOUNDS = (0.01, 0.5, 2.0, 10.0, float("inf"))


def table(N: int = 200, m: int = 40, C: int = 4, seed: int = 0, copies: int = 0) -> Responses:
    """Responses like a network's: shares of a layer, some tied to a class, some dead or copies."""
    generator = torch.Generator().manual_seed(seed)
    energy = torch.rand(N, m, generator=generator, dtype=torch.double) ** 3
    labels = torch.randint(0, C, (N,), generator=generator)
    for j in range(C):
        energy[labels == j, 2 * j : 2 * j + 2] *= 3
    energy[:, -1] = 0
    energy = torch.cat([energy, energy[:, :copies]], dim=1)
    x = energy / energy.sum(1, keepdim=True)
    x = x / x.norm(dim=1, keepdim=True)
    return Responses(x, labels, labels, (Layer("layer", m + copies),), C)


def equations(**settings: int) -> tuple[Tensor, Tensor, NormalEquations]:
    found = table(**settings)
    return found.x, F.one_hot(found.true).double(), NormalEquations.of(found, "true")


def projected_gradient(G: Tensor, b: Tensor, mu: float, steps: int = 20_000) -> Tensor:
    """The same problem, by steps against the gradient and projections on what is allowed."""
    w, length = torch.zeros_like(b), torch.linalg.eigvalsh(G)[-1]
    for _ in range(steps):
        before, w = w, (w - (G @ w - b) / length).clamp_min(0)
        if w.sum() > mu:
            ordered = w.sort(descending=True).values
            cut = (ordered.cumsum(0) - mu) / torch.arange(1, len(w) + 1)
            w = (w - cut[(ordered > cut).sum() - 1]).clamp_min(0)
        if (w - before).abs().max() < 1e-12:
            break
    return w


@pytest.mark.parametrize("mu", BOUNDS)
@pytest.mark.parametrize("copies", [0, 10])
def test_the_conditions_of_optimality_hold(mu: float, copies: int) -> None:
    _, _, problem = equations(copies=copies)
    W = mu_lasso(problem, mu)
    assert (W >= 0).all()
    assert (W.sum(0) <= mu * (1 + 1e-9)).all()
    assert (kkt_residual(problem, W, mu) <= 1e-6).all()


@settings(max_examples=30, deadline=None)
@given(
    N=st.integers(3, 60),
    m=st.integers(2, 30),
    seed=st.integers(0, 999),
    mu=st.floats(0.001, 50),
)
def test_it_is_optimal_with_more_features_than_images_too(
    N: int, m: int, seed: int, mu: float
) -> None:
    _, _, problem = equations(N=N, m=max(m, 9), seed=seed)
    assert (kkt_residual(problem, mu_lasso(problem, mu), mu) <= 1e-6).all()


def test_without_a_bound_it_is_non_negative_least_squares() -> None:
    x, L, problem = equations()
    for mu in (1e6, float("inf")):
        W = mu_lasso(problem, mu)
        for j in range(4):
            expected, norm = nnls(x.numpy(), L[:, j].numpy())
            np.testing.assert_allclose(W[:, j], expected, atol=1e-8)
            assert (x @ W[:, j] - L[:, j]).norm().item() == pytest.approx(norm, abs=1e-9)


@pytest.mark.parametrize("mu", [0.3, 1.5])
def test_it_is_what_projected_gradients_converge_to(mu: float) -> None:
    _, _, problem = equations(m=12)
    W = mu_lasso(problem, mu)
    for j in range(4):
        expected = projected_gradient(problem.G, problem.B[:, j], mu)
        torch.testing.assert_close(W[:, j], expected, rtol=0, atol=1e-6)


def test_features_at_right_angles_are_shrunk_by_one_threshold() -> None:
    """With G the identity, w = max(b - lambda, 0) with the lambda at which it sums to mu."""
    b = torch.tensor([[3.0], [2.0], [0.5], [-1.0]], dtype=torch.double)
    identity = torch.eye(4, dtype=torch.double)
    problem = NormalEquations(identity, b, torch.ones(1), (Layer("layer", 4),))
    assert mu_lasso(problem, 2.0).flatten().tolist() == pytest.approx([1.5, 0.5, 0, 0])
    assert mu_lasso(problem, 0.4).flatten().tolist() == pytest.approx([0.4, 0, 0, 0])
    assert mu_lasso(problem, 99).flatten().tolist() == pytest.approx([3, 2, 0.5, 0])
    assert mu_lasso(problem, 0).flatten().tolist() == [0, 0, 0, 0]


def test_the_columns_are_independent() -> None:
    _, _, problem = equations()
    W = mu_lasso(problem, 1.0)
    for j in range(4):
        alone = NormalEquations(
            problem.G, problem.B[:, j : j + 1], problem.counts[j : j + 1], problem.layers
        )
        assert torch.equal(mu_lasso(alone, 1.0)[:, 0], W[:, j])


def test_the_residual_sees_what_is_not_optimal() -> None:
    _, _, problem = equations()
    W = mu_lasso(problem, 1.0)
    for wrong, mu in (
        (W * 1.01, 1.0),  # above the bound
        (W * 0.9, 1.0),  # more would be better
        (W + 0.01 * torch.eye(40, dtype=torch.double)[:, 30:31], 2.0),  # a feature that should be 0
        (W - 0.01, 1.0),  # negative
        (W.roll(5, 0), 1.0),  # others
    ):
        assert (kkt_residual(problem, wrong, mu) > 1e-3).any()


def test_a_class_that_no_feature_tells_has_no_weights() -> None:
    found = table()
    problem = NormalEquations.of(
        Responses(found.x, found.predicted, found.true, found.layers, 6), "true"
    )
    W = mu_lasso(problem, 1.0)
    assert (W[:, 4:] == 0).all()
    assert (kkt_residual(problem, W, 1.0) <= 1e-6).all()


def test_sums_over_batches_are_the_sums_over_all() -> None:
    found = table()
    parts = [found[rows] for rows in torch.arange(200).split(60)]
    whole, streamed = NormalEquations.of(found), NormalEquations.of(iter(parts))
    torch.testing.assert_close(streamed.G, whole.G)
    torch.testing.assert_close(streamed.B, whole.B)
    torch.testing.assert_close(streamed.counts, whole.counts)


def test_the_error_is_the_mean_square_of_what_is_left() -> None:
    x, L, problem = equations()
    W = mu_lasso(problem, 1.0)
    torch.testing.assert_close(problem.error(W), (x @ W - L).square().mean(0))


def test_bad_input_is_refused() -> None:
    _, _, problem = equations()
    for mu in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="mu must be 0 or more"):
            mu_lasso(problem, mu)
    with pytest.raises(ValueError, match="there are no responses"):
        NormalEquations.of([])
    with pytest.raises(ValueError, match="different layers do not add up"):
        NormalEquations.of([table(), table(m=30)])
