"""Relevant features: tables, controls, the path of the bound, and how stable the choice is."""

from __future__ import annotations

import pytest
import torch

from xaicore.interpretation import (
    Layer,
    NormalEquations,
    RelevantFeatures,
    Responses,
    Unit,
    identify,
    largest_mu,
    mu_path,
    stability,
)


def told(noise: float = 0.0, N: int = 120, seed: int = 0) -> Responses:
    """Two layers of three channels; channel c of the second responds to class c alone."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(N) % 3
    first = torch.rand(N, 3, generator=generator, dtype=torch.double) + 0.2
    second = torch.eye(3, dtype=torch.double)[labels]
    second = second + noise * torch.rand(N, 3, generator=generator, dtype=torch.double)
    a = torch.cat([first / first.sum(1, keepdim=True), second / second.sum(1, keepdim=True)], 1)
    x = a / a.norm(dim=1, keepdim=True)
    return Responses(x, labels, labels.flip(0), (Layer("one", 3), Layer("two", 3)), 3)


def test_the_channel_that_tells_a_class_is_its_relevant_feature() -> None:
    features = identify(told(), mu=0.5)
    for target in range(3):
        assert [features.units[row] for row in features.of_class(target)] == [Unit("two", target)]
    table = features.table(["a", "b", "c"])
    assert table[["class", "layer", "channel"]].to_numpy().tolist() == [
        ["a", "two", 0],
        ["b", "two", 1],
        ["c", "two", 2],
    ]
    assert table["weight"].tolist() == pytest.approx([0.5] * 3)
    assert features.bound.all()
    with pytest.raises(ValueError, match="class 3 is out of range"):
        features.of_class(3)


def test_the_labels_may_be_the_predicted_or_the_true_classes() -> None:
    predicted, true = (identify(told(), 0.5, labels) for labels in ("predicted", "true"))
    assert (predicted.labels, true.labels) == ("predicted", "true")
    assert not torch.equal(predicted.W, true.W)
    with pytest.raises(ValueError, match="labels must be one of"):
        identify(told(), 0.5, "wrong")


def test_features_come_strongest_first() -> None:
    W = torch.tensor([[0.1, 0], [0.7, 0], [0, 0.3], [0.2, 0]], dtype=torch.double)
    features = RelevantFeatures(W, (Layer("one", 1), Layer("two", 3)), 1.0, "true")
    assert features.of_class(0) == [1, 3, 0]
    assert features.table()["channel"].tolist() == [0, 2, 0, 1]
    assert features.bound.tolist() == [True, False]


def test_shuffled_features_are_as_many_of_the_same_layers() -> None:
    features = identify(told(0.5), mu=20.0)
    moved = [features.shuffled(seed) for seed in range(5)]
    for other in moved:
        for ours, theirs in zip(features.W.split([3, 3]), other.W.split([3, 3]), strict=True):
            assert torch.equal(ours.sort(0).values, theirs.sort(0).values)
    assert torch.equal(features.shuffled(1).W, moved[1].W)
    assert any(not torch.equal(features.W, other.W) for other in moved)


def test_on_the_path_the_bound_loosens_until_positivity_alone_is_left() -> None:
    problem = NormalEquations.of(told(0.5))
    path = mu_path(problem, fractions=(0.1, 0.5, 1.0, 2.0))
    assert path["mu"].unique().tolist() == pytest.approx(
        [f * largest_mu(problem) for f in (0.1, 0.5, 1.0, 2.0)]
    )
    by = path.set_index(["fraction", "class"])
    assert (path["norm"] <= path["mu"] * (1 + 1e-9)).all()
    assert by.loc[0.1, "bound"].all()
    assert by.loc[1.0, "bound"].sum() == 1
    assert not by.loc[2.0, "bound"].any()
    assert by.loc[2.0, "features"].equals(by.loc[1.0, "features"])
    for target in range(3):
        assert by.xs(target, level="class")["error"].is_monotonic_decreasing


def test_the_error_of_the_path_is_measured_on_the_images_held_out() -> None:
    problem, held_out = (NormalEquations.of(told(0.5, seed=seed)) for seed in (0, 1))
    path = mu_path(problem, held_out, (0.5,))
    expected = held_out.error(identify(told(0.5), 0.5 * largest_mu(problem)).W)
    assert path["error"].tolist() == pytest.approx(expected.tolist())


def test_what_every_image_tells_is_chosen_every_time() -> None:
    found = stability(told(), mu=0.5, draws=6)
    assert found.jaccard.shape == (6, 3)
    assert (found.jaccard == 1).all()
    assert torch.equal(found.frequency, (identify(told(), 0.5).W > 0).double())


def test_channels_that_respond_alike_are_exchanged_between_samples() -> None:
    found = told()
    generator = torch.Generator().manual_seed(3)
    twins = found.x[:, 3:] * (1 + 0.3 * torch.rand(120, 3, generator=generator))
    both = Responses(
        torch.cat([found.x[:, 3:], twins], 1),
        found.predicted,
        found.true,
        (Layer("two", 3), Layer("twins", 3)),
        3,
    )
    shared = stability(both, mu=20.0, draws=20)
    assert shared.jaccard.mean() < 1
    assert ((shared.frequency > 0) & (shared.frequency < 1)).any()
    again = stability(both, mu=20.0, draws=20)
    assert torch.equal(shared.frequency, again.frequency)
    assert not torch.equal(shared.frequency, stability(both, 20.0, draws=20, seed=1).frequency)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        stability(found, draws=0)
