"""Rectifiers that are differentiated twice: PyTorch's to the bit, and their derivatives."""

import pytest
import torch
import torch.nn.functional as F

from xaicore.training import rectification

NAMES = ("relu", "relu6", "hardtanh")
ENDS = torch.tensor([[-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 7.0, float("inf")]])


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_passes_and_what_comes_back_are_pytorch_s_to_the_bit(name, inplace):
    found = []
    for module in (F, rectification):
        start = ENDS.clone().requires_grad_()
        x = start * 1
        y = getattr(module, name)(x, inplace=inplace)
        assert (y is x) == inplace
        (back,) = torch.autograd.grad(y, start, torch.arange(1.0, 11)[None])
        found.append((y, back))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_both_derivatives_agree_with_finite_differences(name):
    x = torch.linspace(-3.3, 7.7, 12, dtype=torch.float64).requires_grad_()
    above = torch.linspace(1, 2, 12, dtype=torch.float64).requires_grad_()
    rectify = getattr(rectification, name)

    def gradient(x, above):
        return torch.autograd.grad((rectify(x) * above).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(rectify, x)
    assert torch.autograd.gradcheck(gradient, (x, above))
