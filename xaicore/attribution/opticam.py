"""Opti-CAM: a saliency map optimised, image by image, to keep the class's logit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer, combine
from xaicore.attribution.capture import (
    Capture,
    capture,
    frozen,
    full_precision,
    gradients_on,
    own,
)
from xaicore.attribution.explainer import check_inputs
from xaicore.classifier import Classifier
from xaicore.masking import mask, normalize, removed, upsample

BETAS = 0.9, 0.999
EPSILON = 1e-8


class Optimisation(NamedTuple):
    r"""What Opti-CAM found for each image.

    Attributes:
        features: the feature maps :math:`A`, ``(B, K, h, w)``.
        weights: the channel weights :math:`\mathrm{softmax}(u^*)`, ``(B, K)``; each row sums to 1.
        objective: the logit of the masked image before each step, ``(steps, B)``; a finished
            image keeps its last value; when all have finished the path ends.
    """

    features: Tensor
    weights: Tensor
    objective: Tensor


class OptiCAM(CAMExplainer):
    r"""Weight the channels so that the image, seen through the map, keeps its logit.

    .. math:: u^* = \arg\max_u\; f_c\big(x \odot n(\mathrm{up}(S(u)))\big), \qquad
        S(u) = \sum_k \mathrm{softmax}(u)_k A^k

    The defaults are the paper's: Adam from :math:`u = 0`, learning rate 0.1, 100 iterations, an
    image stops when its objective moves by less than ``tolerance``. Rounding in float32 can send
    Adam along another path: maps agree across machines in float64, statistics in float32.

    Cost: 1 forward, then one forward and one backward to the input per iteration; no gradient for
    any parameter. Source: Zhang, Torres, Sicre, Avrithis and Ayache, CVIU 248 (2024), eqs 8-11.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        iterations: the number of Adam steps, at most.
        learning_rate: Adam's learning rate.
        tolerance: an image is finished when its objective changes by less than this in one step.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.

    Raises:
        ValueError: a number is not positive.
    """

    cost = "1 F + T (F + B)"

    def __init__(
        self,
        classifier: Classifier,
        iterations: int = 100,
        learning_rate: float = 0.1,
        tolerance: float = 1e-10,
        baseline: str | Tensor = "black",
    ) -> None:
        super().__init__(classifier)
        if iterations < 0 or learning_rate <= 0 or tolerance < 0:
            raise ValueError(
                "OptiCAM needs iterations >= 0, learning_rate > 0 and tolerance >= 0; "
                f"got {iterations}, {learning_rate} and {tolerance}"
            )
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.tolerance = tolerance
        self.baseline = baseline

    def _map(self, captured: Capture) -> Tensor:
        return combine(self._optimise(captured).weights, captured.features)

    def optimise(self, images: Tensor, targets: Tensor | int | None = None) -> Optimisation:
        """Return the weights and the path of the objective; the arguments are those of a call."""
        checked = check_inputs(self.classifier, images, targets)
        return self._optimise(capture(self.classifier, images, checked))

    def _optimise(self, captured: Capture) -> Optimisation:
        features = captured.features
        with gradients_on():
            u, objective = self._ascend(own(captured.images), own(features), captured.targets)
        return Optimisation(features, u.softmax(1), objective)

    def _ascend(self, images: Tensor, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Run Adam on every image's u at once; an image that is finished leaves the batch."""
        network = frozen(self.classifier)
        images = images.contiguous(memory_format=torch.channels_last)
        absent = removed(images, self.baseline, self.classifier.mean).expand_as(images)
        u = features.new_zeros(features.shape[:2])
        first, second = torch.zeros_like(u), torch.zeros_like(u)
        current = u.new_full((len(u),), torch.inf)
        path = []
        active = torch.arange(len(u), device=u.device)
        for step in range(1, self.iterations + 1):
            value, gradient = _objective(network, u[active], images, absent, features, targets)
            first[active] = torch.lerp(gradient, first[active], BETAS[0])
            second[active] = torch.lerp(gradient.square(), second[active], BETAS[1])
            mean = first[active] / (1 - BETAS[0] ** step)
            deviation = (second[active] / (1 - BETAS[1] ** step)).sqrt()
            u[active] += self.learning_rate * mean / (deviation + EPSILON)
            moving = (value - current[active]).abs() >= self.tolerance
            current[active] = value
            path.append(current.clone())
            if not moving.all():
                active = active[moving]
                if not len(active):
                    break
                images, absent, features, targets = (
                    row[moving] for row in (images, absent, features, targets)
                )
        return u, torch.stack(path) if path else u.new_zeros(0, len(u))


def _objective(
    network: Callable[[Tensor], Tensor],
    u: Tensor,
    images: Tensor,
    absent: Tensor,
    features: Tensor,
    targets: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the logit of each masked image, eq. 10, and its gradient with respect to u."""
    u = u.detach().requires_grad_()
    saliency = normalize(upsample(combine(u.softmax(1), features), images.shape[-2:]))
    logits = network(mask(images, saliency.to(images), absent))
    value = full_precision(logits.gather(1, targets[:, None]))[:, 0]
    (gradient,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), gradient
