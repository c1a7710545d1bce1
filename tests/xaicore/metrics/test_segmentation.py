"""Localisation from masks: by hand, by literal loops, by identity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xaicore.metrics.segmentation import (
    IOU_THRESHOLDS,
    best_threshold,
    iou_curve,
    mask_iou,
    mask_pointing_game,
    paired_contrast,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
)


def draws(count: int, seed: int, shape: tuple[int, int] = (6, 5)) -> Tensor:
    return torch.rand(count, 1, *shape, generator=torch.Generator().manual_seed(seed))


def test_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 0.6], [0.4, 0.0]]]])
    masks = torch.tensor([[[[True, False], [True, False]]]])
    assert iou_curve(maps, masks, (0.3, 0.5, 0.9)).tolist() == [
        [pytest.approx(2 / 3), pytest.approx(1 / 3), 0.5]
    ]
    assert relevance_mass_accuracy(maps, masks).item() == pytest.approx(0.7)
    assert relevance_rank_accuracy(maps, masks).item() == 0.5


def test_thresholds_are_the_nineteen_of_the_papers() -> None:
    assert len(IOU_THRESHOLDS) == 19
    assert [t / 0.05 for t in IOU_THRESHOLDS] == pytest.approx(list(range(1, 20)))


@pytest.mark.parametrize("soft", [True, False])
def test_curves_equal_a_literal_loop(soft: bool) -> None:
    maps, masks = draws(3, 0), draws(3, 1)
    masks = masks if soft else masks > 0.6
    found = iou_curve(maps, masks)
    for i in range(3):
        for k, t in enumerate(IOU_THRESHOLDS):
            pairs = [
                (float(s >= t), float(m))
                for s, m in zip(maps[i].flatten().double(), masks[i].flatten(), strict=True)
            ]
            expected = sum(map(min, pairs)) / sum(map(max, pairs))
            assert found[i, k].item() == pytest.approx(expected, abs=1e-6)


def test_the_threshold_is_chosen_on_the_mean_and_applied() -> None:
    curves = torch.tensor([[0.2, 0.6, 0.6], [0.8, 0.5, 0.5]])
    assert best_threshold(curves, (0.25, 0.5, 0.75)) == 0.5  # the lower of equals
    maps, masks = draws(20, 2), draws(20, 3) > 0.7
    validation = iou_curve(maps, masks)
    chosen = best_threshold(validation)
    torch.testing.assert_close(mask_iou(maps, masks, chosen).mean(), validation.mean(0).max())


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_rank_accuracy_is_the_mean_over_random_ties_and_ignores_scale(seed: int) -> None:
    maps = (draws(1, seed, (3, 2)) * 3).round() / 3
    masks = draws(1, seed + 1, (3, 2)) > 0.5
    masks[0, 0, 0, 0] = True
    found = relevance_rank_accuracy(maps, masks)
    assert torch.equal(found, relevance_rank_accuracy(maps**3 / 2, masks))
    hits = []
    generator = torch.Generator().manual_seed(seed)
    n = int(masks.sum())
    for _ in range(600):
        jitter = torch.rand(6, generator=generator) / 10
        top = (maps.flatten() + jitter).topk(n).indices
        hits.append(masks.flatten()[top].double().mean())
    assert found.item() == pytest.approx(torch.stack(hits).mean().item(), abs=0.1)


def test_a_mask_is_its_own_best_map() -> None:
    soft = draws(2, 4)
    hard = (soft > 0.5).float()
    for masks in (soft, hard):
        assert relevance_rank_accuracy(masks, masks).tolist() == pytest.approx([1, 1])
    assert iou_curve(hard, hard).tolist() == [[1.0] * 19] * 2
    assert relevance_mass_accuracy(hard, hard).tolist() == [1, 1]


def test_constant_maps_score_without_nan() -> None:
    masks = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    masks[..., :1, :] = True
    zeros, ones = torch.zeros(1, 1, 4, 5), torch.ones(1, 1, 4, 5)
    assert not iou_curve(zeros, masks).any()
    assert relevance_mass_accuracy(zeros, masks) == 0
    assert relevance_rank_accuracy(zeros, masks).item() == pytest.approx(0.25)
    assert relevance_mass_accuracy(ones, masks) == relevance_rank_accuracy(ones, masks) == 0.25
    assert (iou_curve(ones, masks) == 0.25).all()


def test_a_batch_gives_what_its_images_give() -> None:
    maps, masks = draws(4, 5), draws(4, 6)
    for score in (iou_curve, relevance_mass_accuracy, relevance_rank_accuracy):
        alone = torch.cat([score(maps[i : i + 1], masks[i : i + 1]) for i in range(4)])
        assert torch.equal(score(maps, masks), alone)
        assert len(score(maps[:0], masks[:0])) == 0


def test_what_cannot_be_used_is_refused() -> None:
    maps, masks = draws(2, 0), draws(2, 1)
    masks[1] = 0
    with pytest.raises(ValueError, match=r"masks \[1\] mark no pixel"):
        relevance_mass_accuracy(maps, masks)
    with pytest.raises(ValueError, match="maps' shape"):
        iou_curve(maps, masks[:1])
    with pytest.raises(ValueError, match="coverage"):
        relevance_rank_accuracy(maps, maps * 9)
    with pytest.raises(ValueError, match="thresholds"):
        iou_curve(maps, maps, (0.0,))
    with pytest.raises(ValueError, match="N > 0"):
        best_threshold(torch.zeros(0, 19))


def test_pointing_at_a_mask_by_hand() -> None:
    maps = torch.tensor([[0.0, 1, 0, 0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5]]).view(3, 1, 2, 2)
    masks = torch.tensor([[1.0, 0.25, 0, 0]] * 3).view(3, 1, 2, 2)
    assert mask_pointing_game(maps, masks).tolist() == [0.25, 0.625, 0.3125]
    assert mask_pointing_game(maps[:0], masks[:0]).shape == (0,)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), constant=st.booleans())
def test_a_map_that_ignores_the_network_has_no_paired_contrast_at_all(
    seed: int, constant: bool
) -> None:
    maps = torch.ones(4, 1, 6, 5) if constant else draws(4, seed)
    masks = draws(4, seed + 1), draws(4, seed + 2) > 0.5
    found = paired_contrast([maps, maps.clone()], masks)
    assert found.tolist() == [0, 0, 0, 0]


def test_the_paired_contrast_by_hand() -> None:
    """Masks, taken for maps, score 1; swapped, -1; the masks of one task for both, 0."""
    first = torch.zeros(1, 1, 2, 2)
    first[..., 0, :] = 1
    second = 1 - first
    masks = first, second
    assert paired_contrast([first, second], masks).item() == 1
    assert paired_contrast([second, first], masks).item() == -1
    assert paired_contrast([first, first], masks).item() == 0
    half = torch.full((1, 1, 2, 2), 0.5)
    assert paired_contrast([first, half], masks).item() == 0.5
    with pytest.raises(ValueError, match="two maps and two masks are compared, not 1 and 2"):
        paired_contrast([first], masks)
