r"""The guided rule of rectifiers: nothing negative is passed back.

A rectifier :math:`v = \mathrm{relu}(u)` passes back :math:`\mathbb 1[u > 0]\, \delta_v` by the
plain rule, :math:`\mathbb 1[u > 0]\, [\delta_v]_+` by the guided one (Springenberg et al., ICLR
Workshops 2015); for ReLU6 the mask is :math:`\mathbb 1[0 < u < 6]`. Nothing of the network is
replaced: calls of rectifiers are met as they are made, whether by a module, by a function or in
place, and what they return is watched in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RECTIFIERS = frozenset({"relu", "relu6", "hardtanh"})
"""Functions by name, in place or not; hardtanh is one where its lower end is 0."""

OTHERS = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "glu": "GLU",
    "hardshrink": "Hardshrink",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "leaky_relu": "LeakyReLU",
    "logsigmoid": "LogSigmoid",
    "mish": "Mish",
    "prelu": "PReLU",
    "rrelu": "RReLU",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softplus": "Softplus",
    "softshrink": "Softshrink",
    "softsign": "Softsign",
    "tanh": "Tanh",
    "tanhshrink": "Tanhshrink",
    "threshold": "Threshold",
}
"""Activations for which there is no guided rule, by the name of their function."""


class GuidedRule(TorchFunctionMode):
    """Inside, a forward pass is recorded that can be differentiated by either rule.

    By the plain rule what is recorded can be differentiated twice, at the cost that it always has;
    by the guided one each rectifier takes one more pass over its signal.

    Example:
        >>> import torch
        >>> images = torch.tensor([[1.0]], requires_grad=True)
        >>> with GuidedRule() as rule:
        ...     loss = -torch.relu(images).sum()
        >>> torch.autograd.grad(loss, images, retain_graph=True)[0].item()
        0.0
        >>> rule.guided = False
        >>> torch.autograd.grad(loss, images)[0].item()
        -1.0

    Args:
        guided: whether it is on at all; off, a network may have any activation.

    Attributes:
        guided: whether backward passes follow the guided rule; else they follow the plain one.
        met: rectifiers that ran.

    Raises:
        ValueError: an activation runs for which there is no guided rule.
    """

    def __init__(self, guided: bool = True) -> None:
        super().__init__()
        self.guided = guided
        self.met = 0

    def __torch_function__(
        self, function: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch; watch what it returns if it is a rectifier."""
        kwargs = kwargs or {}
        if not self.guided:
            return function(*args, **kwargs)
        name = function.__name__.rstrip("_")
        if name in OTHERS or (name == "hardtanh" and _lower_end(*args, **kwargs) != 0):
            raise ValueError(
                f"the guided rule is defined for ReLU and ReLU6, and this network has "
                f"{OTHERS.get(name, 'Hardtanh')}: where it falls, or lets negative values through, "
                "'positive gradients alone' would mean something else; use a network with ReLU"
            )
        found = function(*args, **kwargs)
        if name in RECTIFIERS:
            self.met += 1
            if found.requires_grad:
                found.register_hook(self._passed_back)
        return found

    def check_met(self, net: nn.Module) -> None:
        """Refuse a network of which no rectifier ran.

        Raises:
            ValueError: none did.
        """
        if not self.met:
            raise ValueError(
                "the guided rule needs a network with ReLU or ReLU6, and no such activation ran in "
                f"this {type(net).__name__}"
            )

    def _passed_back(self, gradient: Tensor | None) -> Tensor | None:
        return gradient.clamp(min=0) if self.guided and gradient is not None else None


def _lower_end(_x: Tensor, min_val: float = -1.0, *_rest: Any, **_more: Any) -> float:
    """The value below which hardtanh is constant; of ReLU6 it is 0."""
    return min_val
