"""Batch normalisation that is differentiated twice: PyTorch's to the bit, and its derivatives."""

import pytest
import torch
import torch.nn.functional as F

from xaicore.training.normalization import batch_norm


def features(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=dtype).mul(2).add(1).requires_grad_()


@pytest.mark.parametrize("shape", [(3, 4, 3, 2), (5, 3), (2, 3, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_both_derivatives_agree_with_finite_differences(shape, affine):
    x, above = features(*shape), features(*shape)
    parameters = (features(shape[1]), features(shape[1] + 1)[1:]) if affine else (None, None)

    def normalised(x, weight, bias):
        return batch_norm(x, None, None, weight, bias, True)

    def gradient(x, weight, bias, above):
        y = normalised(x, weight, bias)
        return torch.autograd.grad((y * above).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(normalised, (x, *parameters))
    assert torch.autograd.gradcheck(gradient, (x, *parameters, above))


def test_a_scale_of_zero_is_no_exception():
    x, above, weight = features(3, 2, 2, 2), features(3, 2, 2, 2), torch.zeros(2).double()
    weight.requires_grad_()
    found = []
    for normalise in (F.batch_norm, batch_norm):
        y = normalise(x, None, None, weight, None, True)
        (first,) = torch.autograd.grad((y * above).sum(), x, create_graph=True)
        total = (first * torch.arange(24.0).view_as(first)).sum()
        found.append(torch.autograd.grad(total, (weight, above)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_the_forward_pass_and_the_statistics_are_pytorch_s_to_the_bit():
    x, weight, bias = (features(*s, dtype=torch.float32) for s in ((4, 3, 5, 5), (3,), (3,)))
    kept = [(torch.zeros(3), torch.ones(3)) for _ in range(2)]
    expected = F.batch_norm(x, *kept[0], weight, bias, True, 0.3, 1e-3)
    assert torch.equal(batch_norm(x, *kept[1], weight, bias, True, 0.3, 1e-3), expected)
    for one, other in zip(*kept, strict=True):
        assert torch.equal(one, other)


def test_evaluation_is_left_to_pytorch():
    x, mean, variance = features(2, 3, 4, 4), torch.zeros(3).double(), torch.ones(3).double()
    assert torch.equal(batch_norm(x, mean, variance), F.batch_norm(x, mean, variance))


def test_a_second_derivative_of_the_parameters_is_refused():
    x, weight = features(3, 2), features(2)
    y = batch_norm(x, None, None, weight, None, True)
    (gradient,) = torch.autograd.grad(y.square().sum(), weight, create_graph=True)
    with pytest.raises(NotImplementedError, match="only that of the features"):
        gradient.sum().backward()
