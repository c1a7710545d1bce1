r"""Train a network whose plain input gradients resemble its guided ones.

.. math:: L = L_C + \lambda\, \frac1n \sum_i E(\delta_i, \mathrm{sg}[\delta^G_i]), \qquad
    \delta_i = \frac{\partial s_i}{\partial x_i}, \quad
    \delta^G_i = \frac{\partial_G s_i}{\partial x_i}

:math:`L_C` is the mean cross-entropy of :math:`n` images and :math:`s_i` the quantity of image
:math:`i` whose gradient is to be read, of the image alone and not divided by :math:`n`; nothing is
learnt through the guided gradient. Source: Torres Figueroa et al., *A learning paradigm for
interpretable gradients*, VISAPP 2024, whose :math:`s_i` is the cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xaicore.attribution.cuts import differentiating
from xaicore.attribution.rules import GuidedRule
from xaicore.classifier import check_name
from xaicore.training.loop import cross_entropy
from xaicore.training.twice import TwiceDifferentiable

SMALLEST = 1e-12
"""Norm below which a gradient has no direction."""


class Gradients(NamedTuple):
    """Two gradients of one forward pass.

    Attributes:
        logits: ``(B, C)``, differentiable.
        plain: the gradient by the plain rule, of the shape of the images.
        guided: that by the guided rule, detached.
    """

    logits: Tensor
    plain: Tensor
    guided: Tensor


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each image: what speaks against its class is positive."""
    return F.cross_entropy(logits, targets, reduction="none")


def log_probability_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log-probability of each image's class: what speaks for it is positive."""
    return -loss_of(logits, targets)


def logit_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logit of each image's class, of probabilities of classes the mean logit."""
    if targets.is_floating_point():
        return (logits * targets).sum(1)
    return logits.gather(1, targets[:, None])[:, 0]


def cosine_error(plain: Tensor, guided: Tensor) -> Tensor:
    """Return one minus the cosine of two gradients, in ``[0, 2]``; of a zero gradient it is one."""
    return 1 - (F.normalize(plain, dim=1, eps=SMALLEST) * F.normalize(guided, dim=1)).sum(1)


def absolute_error(plain: Tensor, guided: Tensor) -> Tensor:
    """Return the mean absolute difference, in the unit of the gradient."""
    return (plain - guided).abs().mean(1)


def squared_error(plain: Tensor, guided: Tensor) -> Tensor:
    """Return the mean squared difference, in the unit of the gradient, squared."""
    return (plain - guided).square().mean(1)


def histogram_error(plain: Tensor, guided: Tensor) -> Tensor:
    """Return one minus the intersection of absolute values of sum one, in ``[0, 1]``."""
    shares = (F.normalize(one.abs(), p=1, dim=1, eps=SMALLEST) for one in (plain, guided))
    return 1 - torch.minimum(*shares).sum(1)


TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "loss": loss_of,
    "log-probability": log_probability_of,
    "logit": logit_of,
}
"""What the gradient is of; each maps logits ``(B, C)`` and targets to ``(B,)``."""

ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine_error,
    "mae": absolute_error,
    "mse": squared_error,
    "histogram": histogram_error,
}
"""How two gradients differ; each maps two tensors ``(B, N)`` to ``(B,)``."""


def both_gradients(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    target: str = "loss",
    create_graph: bool = False,
) -> Gradients:
    r"""Return the plain and the guided gradient with respect to the inputs of a network.

    The guided rule acts at every ReLU and ReLU6, be it a module, a function, or in place. While a
    network trains, batch normalisation makes the images of a batch depend on each other; the
    gradient is then that of the sum over the batch. Cost: one forward and two backward passes to
    the inputs; no gradient for any parameter. It works under ``torch.no_grad``.

    Args:
        net: a network of ReLUs from inputs to logits; it is left as it is, but for the statistics
            of its batch normalisation, which are updated once if it trains.
        images: what the network takes, ``(B, …)``.
        targets: class indices ``(B,)``, or probabilities of classes ``(B, C)``.
        target: whose gradient: ``"loss"``, ``"log-probability"`` or ``"logit"``. The first two
            differ in sign, and so in what the guided rule lets pass.
        create_graph: whether the plain gradient can be differentiated again.

    Raises:
        ValueError: there is no such target, the network has an activation for which there is no
            guided rule, or no ReLU at all.
    """
    check_name("target", target, TARGETS)
    with differentiating(net, images.detach(), type(net).__name__):
        return _both(net, images.detach().requires_grad_(), targets, target, create_graph)


def _both(
    net: nn.Module, images: Tensor, targets: Tensor, target: str, create_graph: bool
) -> Gradients:
    with torch.enable_grad(), TwiceDifferentiable(), GuidedRule() as rule:
        logits = net(images)
    rule.check_met(net)
    with torch.enable_grad():
        total = TARGETS[target](logits, targets).sum()
    (guided,) = torch.autograd.grad(total, images, retain_graph=True)
    rule.guided = False
    keep = create_graph or None
    (plain,) = torch.autograd.grad(total, images, create_graph=create_graph, retain_graph=keep)
    images.requires_grad_(False)  # no later pass need come down to them
    return Gradients(logits, plain, guided)


@dataclass(frozen=True)
class InterpretableGradient:
    r"""The objective :math:`L`, a loss of ``xaicore.training.loop.train``.

    Cost: one forward, two backward passes to the inputs, and a backward pass through the second of
    them to the parameters: two and a half to three plain steps. With a weight of 0 it is the
    cross-entropy, to the bit and at its cost.

    Attributes:
        weight: the coefficient :math:`\lambda`.
        error: ``"cosine"``, which does not depend on the gradient's scale; ``"mae"`` or ``"mse"``,
            which do, so that their coefficients are of another order; or ``"histogram"``.
        target: whose gradient: ``"loss"`` as in the paper, ``"log-probability"`` or ``"logit"``.

    Raises:
        ValueError: a name is unknown, or the weight is negative or not finite. Called: the network
            is not one of ReLUs.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
        >>> objective = InterpretableGradient(weight=0.1, target="logit")
        >>> objective(net, torch.rand(2, 3, 4, 4), torch.tensor([0, 1])).backward()
        >>> net[0].weight.grad.shape
        torch.Size([4, 3, 3, 3])
    """

    weight: float = 7.5e-3
    error: str = "cosine"
    target: str = "loss"

    def __post_init__(self) -> None:
        check_name("error", self.error, ERRORS)
        check_name("target", self.target, TARGETS)
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight must be 0 or more, and finite, not {self.weight}")

    def __call__(self, net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar to minimise, of a batch."""
        if not self.weight:
            return cross_entropy(net, images, targets)
        found = both_gradients(net, images, targets, self.target, create_graph=True)
        errors = ERRORS[self.error](found.plain.flatten(1), found.guided.flatten(1))
        return F.cross_entropy(found.logits, targets) + self.weight * errors.mean()
