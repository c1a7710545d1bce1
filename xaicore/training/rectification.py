"""Rectifiers that are cheap to differentiate twice.

PyTorch passes a gradient of zeros back to what a rectifier saw, wherever its gradient is
differentiated, adds it up with the others, and keeps a copy of what a ReLU6 in place saw. Where a
rectifier passes is seen in what it returns, which the next layer keeps anyway; and that it passes
there does not change with what it saw.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Rectify as ``F.relu`` does, to the bit; its names are torch's."""
    return _rectified(input, 0.0, None, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Rectify as ``F.relu6`` does, to the bit; its names are torch's."""
    return _rectified(input, 0.0, 6.0, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Clamp as ``F.hardtanh`` does, to the bit; its names are torch's."""
    return _rectified(input, min_val, max_val, inplace)


def _rectified(x: Tensor, low: float, high: float | None, inplace: bool) -> Tensor:
    found: Tensor = _Rectify.apply(x, low, high, inplace)
    return found


class _Rectify(Function):
    """The forward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float | None, inplace: bool) -> Tensor:
        y = x.clamp_(low, high) if inplace else x.clamp(low, high)
        if inplace:
            ctx.mark_dirty(x)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(y)
        ctx.ends = low, high
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (grad,), (y,) = gradients, ctx.saved_tensors
        if grad is None:
            return (None,) * 4
        low, high = ctx.ends
        if high is None:
            passed = torch.ops.aten.threshold_backward(grad, y.detach(), low)
        else:
            passed = torch.ops.aten.hardtanh_backward(grad, y.detach(), low, high)
        return passed, None, None, None
