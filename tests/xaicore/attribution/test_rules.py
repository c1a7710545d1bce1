"""The guided rule: every way to write a rectifier, and both rules from one forward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaicore.attribution.rules import GuidedRule

X = torch.tensor([-1.0, 0.0, 3.0, 3.0, 6.0, 7.0])
SIGNAL = torch.tensor([1.0, 1.0, 2.0, -2.0, 1.0, 5.0])
RELU = [0.0, 0, 2, -2, 1, 5], [0.0, 0, 2, 0, 1, 5]
RELU6 = [0.0, 0, 2, -2, 0, 0], [0.0, 0, 2, 0, 0, 0]
WRITTEN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[list[float], list[float]]]] = {
    "nn.ReLU": (nn.ReLU(), RELU),
    "nn.ReLU in place": (nn.ReLU(inplace=True), RELU),
    "F.relu": (F.relu, RELU),
    "F.relu in place": (lambda x: F.relu(x, inplace=True), RELU),
    "F.relu_": (F.relu_, RELU),
    "torch.relu": (torch.relu, RELU),
    "torch.relu_": (torch.relu_, RELU),
    "x.relu": (lambda x: x.relu(), RELU),
    "x.relu_": (lambda x: x.relu_(), RELU),
    "nn.ReLU6": (nn.ReLU6(), RELU6),
    "nn.ReLU6 in place": (nn.ReLU6(inplace=True), RELU6),
    "F.relu6": (F.relu6, RELU6),
    "nn.Hardtanh": (nn.Hardtanh(0, 6), RELU6),
    "F.hardtanh by name": (lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0), RELU6),
    "F.hardtanh_": (lambda x: F.hardtanh_(x, 0.0, 6.0), RELU6),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_a_rectifier_is_met_however_it_is_written(case: str) -> None:
    rectify, (plain, guided) = WRITTEN[case]
    leaf = X.clone().requires_grad_()
    with GuidedRule() as rule:
        found = rectify(leaf.clone())
    assert torch.equal(found, rectify(X.clone()))
    assert rule.met == 1
    for rule.guided, expected in ((True, guided), (False, plain), (True, guided)):
        (gradient,) = torch.autograd.grad(found, leaf, SIGNAL, retain_graph=True)
        assert gradient.tolist() == expected


OTHERS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "a module": (nn.SiLU(), "SiLU"),
    "a function": (F.gelu, "GELU"),
    "of a tensor": (lambda x: x.tanh(), "Tanh"),
    "in place": (F.leaky_relu_, "LeakyReLU"),
    "of a tensor in place": (lambda x: x.sigmoid_(), "Sigmoid"),
    "below zero": (nn.Hardtanh(-1, 6), "Hardtanh"),
    "in place, below zero": (F.hardtanh_, "Hardtanh"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_activations_are_refused_unless_the_rule_is_off(case: str) -> None:
    activate, name = OTHERS[case]
    with pytest.raises(ValueError, match=f"has {name}: "), GuidedRule():
        activate(X.clone())
    with GuidedRule(guided=False) as rule:
        assert torch.equal(activate(X.clone()), activate(X.clone()))
    assert rule.met == 0


def test_what_several_branches_hand_back_is_rectified_as_a_sum() -> None:
    u = torch.tensor([2.0, 2.0], requires_grad=True)
    with GuidedRule():
        v = (u * 1).relu_()
        (-v[0] + 2 * v[0] + v[1] - 3 * v[1]).backward()
    assert u.grad is not None
    assert u.grad.tolist() == [1, 0]


def test_the_plain_gradient_can_be_differentiated_again() -> None:
    weight = torch.tensor([2.0, -3.0], requires_grad=True)
    images = torch.tensor([1.0, 1.0], requires_grad=True)
    with GuidedRule() as rule:
        value = (weight * images.relu()).sum() ** 2
    rule.guided = False
    (plain,) = torch.autograd.grad(value, images, create_graph=True)
    (second,) = torch.autograd.grad(plain.sum(), weight)
    expected = [2 * (2 - 3) + 2 * (2 - 3), 2 * (2 - 3) + 2 * (2 - 3)]
    assert second.tolist() == expected
