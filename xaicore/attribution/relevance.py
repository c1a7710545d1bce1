"""Layer-wise relevance propagation: a backward pass whose derivatives are replaced by rules.

Inside ``with RelevanceRules():`` a network computes what it always computes, but ``backward`` hands
down relevance: what an output has is divided among the inputs that made it. The rules are those of
Chefer, Gur and Wolf, CVPR 2021, as their code has them. A tensor that is used twice receives the
sum, which is what a backward pass does anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

STABILISER = 1e-9
"""Keeps a quotient finite, as in the authors' code."""

NORMS = frozenset({"layer_norm", "rms_norm", "gelu", "tanh", "softmax", "dropout"})
SCALES = frozenset({"mul", "rmul", "truediv", "div"})
ALONE = NORMS | SCALES
"""Operations on one tensor, a normalisation, an activation or a scale: relevance is unchanged."""

SHAPES = frozenset({"view", "reshape", "flatten", "unflatten", "permute", "transpose", "expand"})
PARTS = frozenset({"getitem", "unbind", "chunk", "cat", "stack"})
ROUTES = SHAPES | PARTS | {"get", "contiguous", "to", "requires_grad_"}
"""Operations that move values: relevance moves back."""

REPLACED = frozenset({"multi_head_attention_forward", "scaled_dot_product_attention"})
"""Fused attentions: the capture replaces their result by explicit products."""


class RelevanceRules(TorchFunctionMode):
    """Replace the derivative of every operation by its relevance rule while this is active.

    Raises:
        ValueError: an operation that relevance must pass has no rule.
    """

    def __torch_function__(
        self, function: Callable, types: Any, args: Sequence = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation of torch, recorded with its rule if relevance can reach it."""
        kwargs = kwargs or {}
        name = function.__name__
        name = name.strip("_") if name.startswith("__") else name
        active = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
        if name in RULES and active:
            return RULES[name](*args, **kwargs)
        if name in ALONE and len(active) == 1 and active[0] is args[0]:
            return _Alone.apply(args[0], lambda x: function(x, *args[1:], **kwargs))
        result = function(*args, **kwargs)
        if name not in ROUTES | REPLACED and _differentiable(result):
            raise ValueError(
                f"relevance has no rule for '{name}', which this network uses: "
                "TIBAV explains plain vision transformers; AttentionRollout needs no rules"
            )
        return result


def _differentiable(result: Any) -> bool:
    parts = result if isinstance(result, tuple | list) else [result]
    return any(isinstance(part, Tensor) and part.requires_grad for part in parts)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b, kept finite; zero where b is zero."""
    return a / torch.where(b == 0, torch.inf, b + b.sign() * STABILISER)


class _Alone(Function):
    r"""One tensor in, one of the same shape out: :math:`R_x = R_y`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor, None]:
        return R, None


class _Linear(Function):
    r"""What is positive among the :math:`x_i w_{ji}` shares; the bias receives nothing.

    .. math:: R_i = \sum_j \frac{(x_i w_{ji})^+}{\sum_k (x_k w_{jk})^+} R_j
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor, None, None]:
        x, weight = ctx.saved_tensors
        x_plus, x_minus = x.clamp(min=0), x.clamp(max=0)
        w_plus, w_minus = weight.clamp(min=0), weight.clamp(max=0)
        share = _divide(R, F.linear(x_plus, w_plus) + F.linear(x_minus, w_minus))
        return x_plus * (share @ w_plus) + x_minus * (share @ w_minus), None, None


class _Product(Function):
    r"""Both factors of :math:`Y = A V` receive half, in proportion to what they contribute.

    .. math:: R_A = \tfrac12 A \odot \Big(\frac{R}{Y} V^\top\Big), \qquad
        R_V = \tfrac12 V \odot \Big(A^\top \frac{R}{Y}\Big)
    """

    @staticmethod
    def forward(ctx: Any, A: Tensor, V: Tensor) -> Tensor:
        ctx.save_for_backward(A, V)
        return A @ V

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor, Tensor]:
        A, V = ctx.saved_tensors
        share = _divide(R, A @ V)
        return A * (share @ V.mT) / 2, V * (A.mT @ share) / 2


class _Sum(Function):
    r"""Both terms of :math:`y = a + b` receive their contribution, scaled so that none explodes.

    With :math:`r_a = a R / y` and :math:`\Sigma` the sum over all that belongs to one image:

    .. math:: R_a = r_a \; \frac{|\Sigma r_a|}{|\Sigma r_a| + |\Sigma r_b|}\;
        \frac{\Sigma R}{\Sigma r_a}
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        if not isinstance(b, Tensor) or a.shape != b.shape:
            raise ValueError("relevance has a rule only for a sum of two tensors of equal shape")
        ctx.save_for_backward(a, b)
        return a + b

    @staticmethod
    def backward(ctx: Any, R: Tensor) -> tuple[Tensor, ...]:
        a, b = ctx.saved_tensors
        share = _divide(R, a + b)
        parts = a * share, b * share
        total, *sums = (x.sum(dim=tuple(range(1, x.ndim)), keepdim=True) for x in (R, *parts))
        size = sums[0].abs() + sums[1].abs()
        return tuple(
            part * _divide(_divide(amount.abs(), size) * total, amount)
            for part, amount in zip(parts, sums, strict=True)
        )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _Linear.apply(x, weight, bias)


RULES: dict[str, Callable[..., Tensor]] = {
    "linear": _linear,
    "matmul": _Product.apply,
    "add": _Sum.apply,
    "iadd": _Sum.apply,
}
"""The operations that share relevance among several inputs."""
