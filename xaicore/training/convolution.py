r"""Convolution that is cheap to differentiate twice.

The gradient of a convolution with respect to its input is linear, :math:`\delta_x = W^\top
\delta_y`, so that a function :math:`S` of it with gradient :math:`G` has

.. math:: \frac{\partial S}{\partial \delta_y} = W G, \qquad
    \frac{\partial S}{\partial W} = \text{the gradient of } W \text{ in } \langle W G, \delta_y
    \rangle :

the convolution itself, and the gradient of its filters. PyTorch composes the second out of
convolutions with swapped axes, in depthwise layers of one for each channel, which is half of a step
that differentiates a gradient of MobileNet-V2. Here both are kernels that a plain step takes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PYTORCH_S = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
"""PyTorch's functions, by the axes of the filters."""

Places = int | Sequence[int]


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Places = 1,
    padding: Places | str = 0,
    dilation: Places = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve as ``F.conv1d``, ``F.conv2d`` and ``F.conv3d`` do, to the bit.

    The gradient of the features can be differentiated again, that of the filters cannot. Padding by
    its name, images without a batch and mixed precision are left to PyTorch.

    Args:
        x: ``(B, C, …)``.
        weight: the filters, ``(D, C / groups, …)``.
        bias: one value for each filter.
        stride: steps of the filters, one number or one for each axis; so are the next two.
        padding: zeros on either side.
        dilation: distance of what a filter looks at.
        groups: groups of channels that do not see each other.
    """
    mixed = torch.is_autocast_enabled(x.device.type)
    if isinstance(padding, str) or x.ndim != weight.ndim or mixed:
        return PYTORCH_S[weight.ndim](x, weight, bias, stride, padding, dilation, groups)
    lists = ([it] if isinstance(it, int) else list(it) for it in (stride, padding, dilation))
    settings = (*lists, False, [0], groups)
    # PyTorch's own node gives the gradients of the filters, but only where they are asked for.
    y = torch.ops.aten.convolution(x.detach(), _Filters.apply(weight), bias, *settings)
    found: Tensor = _Passed.apply(y, x, weight, settings)
    return found


class _Filters(Function):
    """Filters; their gradient is recorded as if x were constant, and so it is the last one."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _Passed(Function):
    """What was convolved, of which a gradient comes down to x."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, weight: Tensor, settings: Any) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = gradients, ctx.saved_tensors
        if grad is None or not x.requires_grad:  # inputs may not ask for a gradient any more
            return grad, None, None, None
        return grad, _Gradient.apply(grad, x, weight, ctx.settings), None, None


class _Gradient(Function):
    """The gradient of x, which is linear both in that of y and in the filters."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, settings: Any) -> Tensor:
        ctx.save_for_backward(grad, weight)
        ctx.settings = settings
        return _kernel(grad, x, weight, settings, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (above,) = gradients
        grad, weight = ctx.saved_tensors
        of_grad = torch.ops.aten.convolution(above, weight, None, *ctx.settings)
        learnt = ctx.needs_input_grad[2]
        of_weight = _kernel(grad, above, weight, ctx.settings, 1) if learnt else None
        return of_grad, None, of_weight, None


def _kernel(grad: Tensor, x: Tensor, weight: Tensor, settings: Any, place: int) -> Tensor:
    """PyTorch's first derivative with respect to x, place 0, or to the filters, place 1."""
    asked = [place == 0, place == 1, False]
    found = torch.ops.aten.convolution_backward(grad, x, weight, None, *settings, asked)
    gradient: Tensor = found[place]
    return gradient
