"""The drawings of rules, objectives and sharpness print the numbers of their tensors."""

import pytest
import torch
from matplotlib.figure import Figure

from xaibook.drawings.ladder import Rung, evenness, ladder
from xaibook.drawings.objective import objective
from xaibook.drawings.rules import results, two_rules

U, D = torch.tensor([2.0, -1.0, 3.0]), torch.tensor([4.0, 5.0, -6.0])


def said(figure: Figure) -> list[str]:
    """Return what is written in a figure."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_the_guided_rule_keeps_the_other_unit_of_the_opposite():
    assert results(U, D)["plain"].tolist() == [4, 0, -6]
    assert results(U, D)["guided"].tolist() == [4, 0, 0]
    assert results(U, -D)["plain"].tolist() == [-4, 0, 6]
    assert results(U, -D)["guided"].tolist() == [0, 0, 6]


def test_the_neurons_print_their_numbers():
    told = said(two_rules(U, {"s": D, "−s": -D}))
    drawn = [float(t.replace("−", "-")) for t in told if t.lstrip("−").isdigit()]
    expected = [value for signal in (D, -D) for value in results(U, signal).values()]
    assert drawn == torch.cat(expected).tolist()


def test_a_gate_that_is_refused_is_hatched_and_one_that_is_off_is_not():
    left, right = two_rules(U, {"s": D, "−s": -D}).axes
    assert [bool(patch.get_hatch()) for patch in left.patches[-3:]] == [False, False, True]
    assert [bool(patch.get_hatch()) for patch in right.patches[-3:]] == [True, False, False]


def test_the_objective_adds_what_it_prints():
    told = said(objective(cross_entropy=0.09, cosine=0.19, weight=2.0))
    assert {"cross-entropy\n0.09", "cosine 0.19", "loss\n1.71"} <= set(told)


def test_evenness_is_that_of_the_entropy():
    flat = torch.full((1, 1, 2, 4), 1 / 8)
    half = torch.tensor([0.5, 0.5] + [0.0] * 6).view(1, 1, 2, 4)
    assert evenness(flat) == pytest.approx(100)
    assert evenness(half) == pytest.approx(100 / 3)


def test_a_rung_prints_what_it_is_told():
    attention = torch.tensor([[[0.7, 0.1], [0.1, 0.1]]])
    rung = Rung(attention, entropy=61.2, length=1.44, accuracy=97.0, gain=12.3)
    assert rung.times_even.max() == pytest.approx(2.8)
    figure = ladder(torch.rand(3, 8, 8), {"sharpness 4": rung})
    assert "entropy 61 %\nlength 1.4\naccuracy 97 %\nAG 12 %" in said(figure)
    assert figure.axes[0].get_title() == "sharpness 4"
