"""The measures by parts: the paper's worked value, toys by hand, and literal loops."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from xaibook.partbench.parts import (
    THRESHOLDS,
    background_independence,
    completeness,
    deletion_check,
    distractibility,
    important_parts,
    overall,
    part_importances,
    preservation_check,
    removal,
    rival_classes,
    single_deletion,
    sufficient_sets,
    synthetic_data_check,
    target_sensitivity,
)

BIRDS = [
    {"beak": "a", "wing": "x", "tail": "1"},
    {"beak": "a", "wing": "y", "tail": "1"},
    {"beak": "b", "wing": "y", "tail": "2"},
]


def test_the_papers_worked_value() -> None:
    """ResNet-50 with Input x Gradient, as the authors' README gives it."""
    com = completeness(csdc=0.7353, pc=0.602, dc=0.532, d=0.54372)
    assert com == pytest.approx(0.583, abs=5e-4)
    assert overall(com, sd=0.54592, ts=0.806) == pytest.approx(0.645, abs=5e-4)


def test_thresholds_are_eighty_from_a_hundredth_to_a_half() -> None:
    assert len(THRESHOLDS) == 80
    assert (THRESHOLDS[0], THRESHOLDS[-1]) == pytest.approx((0.01, 0.5))


def test_importances_are_signed_sums_over_dilated_parts() -> None:
    attribution = torch.arange(25.0).view(1, 1, 5, 5) - 12
    masks = torch.zeros(1, 2, 5, 5)
    masks[0, 0, 0, 0], masks[0, 1, 2, 2] = 0.1, 1
    exact = part_importances(attribution, masks, window=1)
    assert exact.tolist() == [[-12, 0]]
    dilated = part_importances(attribution, masks)
    assert dilated.tolist() == [[-12 - 11 - 7 - 6, 0]]
    assert dilated.dtype == torch.float64
    assert part_importances(attribution[:0], masks[:0]).shape == (0, 2)


def test_a_part_is_important_above_a_share_of_all_that_is_attributed() -> None:
    attribution = torch.tensor([[[[4.0, 3.0, 2.0, -1.0]]]])
    importances = torch.tensor([[4.0, 3.0, 2.0, -1.0]]).double()
    found = important_parts(importances, attribution, (0.0, 0.2, 0.35))
    assert found[0].T.tolist() == [
        [True, True, True, False],
        [True, True, False, False],
        [True, False, False, False],
    ]


def test_sufficient_sets_are_the_smallest_that_no_other_class_shares() -> None:
    assert sufficient_sets(BIRDS) == (((1,),), ((0, 1), (1, 2)), ((0,), (2,)))


def test_the_synthetic_data_check_by_hand() -> None:
    important = torch.tensor([[True, False, False], [False, True, True]])[..., None]
    sets = [((0, 1), (1, 2)), ((0, 1), (1, 2))]
    assert synthetic_data_check(important, sets).tolist() == [[0.5], [1.0]]


def random_case(seed: int, P: int = 4, B: int = 5, T: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    important = torch.rand(B, P, T, generator=generator) > 0.5
    return important, torch.randn(B, 2**P, 3, generator=generator)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999))
def test_preservation_and_deletion_equal_a_literal_loop(seed: int) -> None:
    important, logits = random_case(seed)
    kept, deleted = preservation_check(important, logits), deletion_check(important, logits)
    for i, t in itertools.product(range(5), range(6)):
        number_rest = sum(2**p for p in range(4) if not important[i, p, t])
        number_own = sum(2**p for p in range(4) if important[i, p, t])
        predicted = logits[i, 0].argmax()
        assert kept[i, t] == (logits[i, number_rest].argmax() == predicted)
        assert deleted[i, t] == (logits[i, number_own].argmax() != predicted)


def test_the_bits_of_a_removal_are_its_parts() -> None:
    gone = torch.tensor([[False, False, False], [True, False, True], [True, True, True]])
    assert removal(gone).tolist() == [0, 5, 7]


def test_distractibility_by_hand() -> None:
    """f = 10: losing 0.4 is nothing, gaining is harmless, losing 3 matters; the last is absent."""
    whole = torch.tensor([10.0, 10.0])
    without = torch.tensor([[9.6, 12.0, 7.0, 9.9], [5.0, 5.0, 5.0, 5.0]])
    present = torch.tensor([[True, True, True, False], [True, True, True, True]])
    important = torch.tensor([[True, False, True, True], [True, False, True, False]])[..., None]
    found = distractibility(important, whole, without, present)
    assert found[0].item() == 0.5
    assert math.isnan(found[1].item())


def test_background_independence_counts_the_objects_that_are_needed() -> None:
    whole = torch.tensor([10.0, -10.0])
    without = torch.tensor([[9.4, 9.6], [-11.0, -9.0]])
    present = torch.tensor([[True, True], [True, False]])
    assert background_independence(whole, without, present) == pytest.approx(1 / 3)


def test_single_deletion_is_spearmans_correlation() -> None:
    generator = torch.Generator().manual_seed(0)
    importances, drops = torch.rand(2, 20, 4, generator=generator).double()
    importances[3] = drops[3].exp()
    importances[4] = -drops[4]
    importances[5, 0] = importances[5, 1]
    found = single_deletion(importances, drops)
    for i in range(20):
        rho = spearmanr(importances[i], drops[i]).statistic
        assert found[i].item() == pytest.approx((rho + 1) / 2)
    assert found[3:5].tolist() == pytest.approx([1, 0], abs=1e-12)
    constant = single_deletion(torch.ones(1, 4).double(), drops[:1])
    assert math.isnan(constant.item())


def test_rivals_share_two_parts_each_and_not_the_same() -> None:
    own = {"a": "1", "b": "1", "c": "1", "d": "1"}
    parts = [
        own,
        {"a": "1", "b": "1", "c": "2", "d": "2"},
        {"a": "2", "b": "2", "c": "1", "d": "1"},
        {"a": "1", "b": "2", "c": "1", "d": "2"},
        {"a": "1", "b": "1", "c": "1", "d": "2"},
    ]
    assert rival_classes(parts, 0) == [(1, 2, ((0, 1), (2, 3)))]
    assert rival_classes(parts, 4) == []


def test_target_sensitivity_by_hand() -> None:
    first = torch.tensor([[3.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]).double()
    second = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 3.0, 0.0, 3.0]]).double()
    pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3))]
    assert target_sensitivity(first, second, pairs).tolist() == [1.0, 1.0]
    assert target_sensitivity(second, first, pairs).tolist() == [0.0, 0.0]
    assert target_sensitivity(first, first, pairs).tolist() == [0.0, 0.0]
    assert target_sensitivity(first[:0], second[:0], []).shape == (0,)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attribution must be \(B, 1, H, W\)"):
        part_importances(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="do not fit"):
        part_importances(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 5))
    with pytest.raises(ValueError, match="window must be odd"):
        part_importances(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), 2)
