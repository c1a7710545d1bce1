r"""The guided rule beside the plain one: two gradients of one forward pass.

A rectifier :math:`v = \mathrm{relu}(u)` passes back :math:`\mathbb 1[u > 0]\, \delta_v` by the
plain rule, :math:`\mathbb 1[u > 0]\, [\delta_v]_+` by the guided one (Springenberg et al., ICLR
Workshops 2015); for ReLU6 the mask is :math:`\mathbb 1[0 < u < 6]`. Nothing of the network is
replaced: calls of rectifiers are met as they are made, whether by a module, by a function or in
place, and what they return is watched in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from xaicore.training.normalization import batch_norm

Function = Callable[..., Any]

RECTIFIERS: set[Function] = {F.relu, F.relu_, F.relu6}
RECTIFIERS |= {torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
OTHERS: dict[Function, str] = {
    F.celu: "CELU",
    F.elu: "ELU",
    F.gelu: "GELU",
    F.hardsigmoid: "Hardsigmoid",
    F.hardswish: "Hardswish",
    F.leaky_relu: "LeakyReLU",
    F.mish: "Mish",
    F.prelu: "PReLU",
    F.rrelu: "RReLU",
    F.selu: "SELU",
    F.sigmoid: "Sigmoid",
    F.silu: "SiLU",
    F.softplus: "Softplus",
    F.tanh: "Tanh",
    torch.sigmoid: "Sigmoid",
    torch.tanh: "Tanh",
    Tensor.sigmoid: "Sigmoid",
    Tensor.tanh: "Tanh",
}
"""Activations for which there is no guided rule."""


class BothRules(TorchFunctionMode):
    """Inside, a forward pass is recorded that can be differentiated by either rule.

    Batch normalisation is recorded so that differentiating it twice is cheap.

    Example:
        >>> images = torch.tensor([[1.0]], requires_grad=True)
        >>> with BothRules() as rules:
        ...     loss = -torch.relu(images).sum()
        >>> with rules.guided():
        ...     torch.autograd.grad(loss, images, retain_graph=True)[0].item()
        0.0
        >>> torch.autograd.grad(loss, images)[0].item()
        -1.0

    Attributes:
        met: rectifiers that ran.

    Raises:
        ValueError: an activation runs for which there is no guided rule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.met = 0
        self._guiding = False

    def __torch_function__(
        self, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch; watch it if it is a rectifier."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return batch_norm(*args, **kwargs)
        if func in OTHERS or (func is F.hardtanh and _lower_end(*args, **kwargs) != 0):
            raise ValueError(
                f"the guided rule is defined for ReLU and ReLU6, and this network has "
                f"{OTHERS.get(func, 'Hardtanh')}: where it falls, or lets negative values through, "
                "'positive gradients alone' would mean something else; use a network with ReLU"
            )
        found = func(*args, **kwargs)
        if func in RECTIFIERS or func is F.hardtanh:
            self.met += 1
            if found.requires_grad:
                found.register_hook(self._passed_back)
        return found

    @contextmanager
    def guided(self) -> Iterator[None]:
        """Let backward passes inside follow the guided rule."""
        self._guiding = True
        try:
            yield
        finally:
            self._guiding = False

    def _passed_back(self, gradient: Tensor) -> Tensor | None:
        return gradient.clamp(min=0) if self._guiding else None


def _lower_end(_x: Tensor, min_val: float = -1.0, *_rest: Any, **_more: Any) -> float:
    """The value below which hardtanh is constant; of ReLU6 it is 0."""
    return min_val
