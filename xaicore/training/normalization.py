r"""Batch normalisation that is cheap to differentiate twice.

PyTorch composes the second derivative of batch normalisation of some twenty passes over the
features, which is more than a third of a step that differentiates a gradient. Here it takes the
first derivative's own kernel once more, its sums another time, and three multiply-adds.

With :math:`\hat x = r\,(x - \mu)`, :math:`r = 1 / \sqrt{\sigma^2 + \epsilon}` over the :math:`m`
values of a channel, the gradient of :math:`y = \gamma \hat x + \beta` is

.. math:: \delta_x = \gamma r P \delta_y, \qquad
    P = I - \tfrac1m \mathbf 1 \mathbf 1^\top - \tfrac1m \hat x \hat x^\top .

:math:`P` is symmetric, so a function :math:`S` of :math:`\delta_x` with gradient :math:`G` has

.. math::
    \frac{\partial S}{\partial \delta_y} = \gamma\, h, \quad
    \frac{\partial S}{\partial \gamma} = \langle h, \delta_y \rangle, \quad
    \frac{\partial S}{\partial x} = -\frac{r}{m} \big(\gamma \langle h, \delta_y \rangle\, \hat x
    + \langle G, \hat x \rangle\, \delta_x + \langle \delta_y, \hat x \rangle\, \gamma h\big),
    \qquad h = r P G .

With the mean :math:`\bar\delta_y` of a channel, :math:`\langle h, \delta_y \rangle = r\,
\big(\langle G, \delta_y - \bar\delta_y \rangle - \tfrac1m \langle G, \hat x \rangle
\langle \delta_y, \hat x \rangle\big)`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

Gradients = tuple[Tensor, Tensor, Tensor]


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise by the statistics of the batch, as ``F.batch_norm`` does, to the bit on a CPU.

    The running statistics are updated once. What is asked for besides, evaluation or half
    precision, is left to PyTorch.

    Args:
        x: ``(B, C, …)``.
        running_mean: ``(C,)``, updated in place; ``None`` keeps none.
        running_var: the same.
        weight: the scale of each channel.
        bias: the shift of each channel.
        training: whether the statistics are the batch's.
        momentum: share of the new statistics in the running ones.
        eps: added to the variance.
    """
    if not training or x.dtype not in (torch.float32, torch.float64):
        arguments = (running_mean, running_var, weight, bias, training, momentum, eps)
        return F.batch_norm(x, *arguments)
    found: Tensor = _Normalize.apply(x, weight, bias, running_mean, running_var, momentum, eps)
    return found


class _Normalize(Function):
    """The forward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Any, bias: Any, *rest: Any) -> Tensor:
        running_mean, running_var, momentum, eps = rest
        y, mean, scale = torch.native_batch_norm(
            x, weight, bias, running_mean, running_var, True, momentum, eps
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (grad,) = gradients
        if grad is None:
            return (None,) * 7
        x, weight, mean, scale = ctx.saved_tensors
        found = _Gradient.apply(grad, x, weight, mean, scale, ctx.eps)
        asked = ctx.needs_input_grad[:3]
        wanted = (g if needed else None for g, needed in zip(found, asked, strict=True))
        return *wanted, None, None, None, None


class _Gradient(Function):
    """The first derivative, of which the second can be taken."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, x: Tensor, weight: Any, mean: Tensor, scale: Tensor, eps: float
    ) -> Gradients:
        ctx.set_materialize_grads(False)
        grad_x, grad_weight, grad_bias = _kernel(grad, x, weight, mean, scale, eps)
        ctx.save_for_backward(grad, x, weight, mean, scale, grad_x, grad_weight, grad_bias)
        ctx.eps = eps
        return grad_x, grad_weight, grad_bias

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        above, *of_parameters = gradients
        if any(gradient is not None for gradient in of_parameters):
            raise NotImplementedError(
                "the gradient of a batch norm's weight or bias was differentiated again; here "
                "only that of the features can be"
            )
        if above is None:
            return (None,) * 6
        grad, x, weight, mean, scale, grad_x, along, total = ctx.saved_tensors
        of_grad, across, _ = _kernel(above, x, weight, mean, scale, ctx.eps)
        share = mean.numel() / x.numel()
        apart = _product(above, grad, total * share, ctx.eps)
        of_weight = scale * (apart - share * across * along)
        rate, gamma = -share * scale, 1 if weight is None else weight
        of_x = rate * gamma * of_weight * scale
        shape = (1, -1, *(1,) * (x.ndim - 2))
        twice = torch.addcmul((-mean * of_x).view(shape), x, of_x.view(shape))
        twice.addcmul_(grad_x, (rate * across).view(shape))
        twice.addcmul_(of_grad, (rate * along).view(shape))
        return of_grad, twice, None if weight is None else of_weight, None, None, None


def _product(one: Tensor, other: Tensor, mean: Tensor, eps: float) -> Tensor:
    """Return the sum of one times (the other - mean) over each channel: the kernel's, alone."""
    scale, asked = torch.ones_like(mean), [False, True, False]
    found: Tensor = torch.ops.aten.native_batch_norm_backward(
        one, other, None, None, None, mean, scale, True, eps, asked
    )[1]
    return found


def _kernel(
    grad: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, scale: Tensor, eps: float
) -> Gradients:
    """PyTorch's first derivative with respect to features, scale and shift."""
    found: Gradients = torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, None, None, mean, scale, True, eps, [True, True, True]
    )
    return found
