"""Convolution that is differentiated twice: PyTorch's to the bit, and its derivatives."""

import pytest
import torch
import torch.nn.functional as F

from xaicore.training.convolution import PYTORCH_S, convolution

CASES = {
    "one axis": ((2, 3, 7), (4, 3, 3), {"stride": 2, "padding": 1}),
    "two axes": ((2, 3, 6, 5), (4, 3, 3, 2), {"stride": (2, 1), "padding": [1, 0]}),
    "three axes": ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), {}),
    "far apart": ((1, 2, 7, 7), (3, 2, 3, 3), {"dilation": 2, "padding": 2}),
    "in groups": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 4, 5, 5), (4, 1, 3, 3), {"groups": 4, "stride": 2, "padding": 1}),
}


def tensor(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize(("shape", "filters", "settings"), CASES.values(), ids=CASES)
def test_both_derivatives_agree_with_finite_differences(shape, filters, settings):
    x, weight, bias = tensor(*shape), tensor(*filters, seed=1), tensor(filters[0], seed=2)

    def convolved(x, weight, bias):
        return convolution(x, weight, bias, **settings)

    y = convolved(x, weight, bias)
    above = tensor(*y.shape, seed=3)

    def gradient(x, weight, above):
        total = (convolution(x, weight, **settings) * above).sum()
        return torch.autograd.grad(total, x, create_graph=True)[0]

    assert torch.equal(y, PYTORCH_S[x.ndim](x, weight, bias, **settings))
    assert torch.autograd.gradcheck(convolved, (x, weight, bias))
    assert torch.autograd.gradcheck(gradient, (x, weight, above))


def test_what_is_convolved_may_be_changed_in_place():
    x, weight = tensor(1, 2, 4, 4), tensor(2, 2, 3, 3, seed=1)
    found = [torch.relu_(layer(x, weight)).sum() for layer in (convolution, F.conv2d)]
    for one, other in zip(*(torch.autograd.grad(it, (x, weight)) for it in found), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_that_nobody_asks_for_are_not_computed():
    x, weight = tensor(1, 2, 4, 4), tensor(2, 2, 3, 3, seed=1)
    y = convolution(x, weight)
    assert len(operations(lambda: torch.autograd.grad(y.sum(), x, retain_graph=True))) == 1
    x.requires_grad_(False)
    assert len(operations(y.sum().backward)) == 1
    assert x.grad is None
    assert weight.grad is not None


def operations(work):
    """Return the first derivatives of convolutions that some work takes."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    return [it for it in profile.events() if it.name == "aten::convolution_backward"]


@pytest.mark.parametrize(
    ("shape", "padding", "half"),
    [((2, 3, 5, 5), "same", False), ((3, 5, 5), 1, False), ((2, 3, 5, 5), 1, True)],
)
def test_the_rest_is_left_to_pytorch(shape, padding, half):
    x, weight = tensor(*shape).detach().float(), tensor(4, 3, 3, 3).detach().float()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = convolution(x, weight, padding=padding)
        assert torch.equal(found, F.conv2d(x, weight, padding=padding))


def test_a_second_derivative_of_the_filters_is_refused():
    x, weight = tensor(1, 2, 4, 4), tensor(2, 2, 3, 3, seed=1)
    y = convolution(x, weight)
    (gradient,) = torch.autograd.grad(y.square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
