"""The loops that users of other libraries write: six methods, five metrics, image batches of eight.

Maps come from pytorch-grad-cam and captum, AD and AI from torchcam; AG, which none of them has, is
written by hand, with one forward of the images for all methods and one of what each map shows.
Both curves come from torchcam, or from Quantus, where insertion is the deletion of the opposite
map. Everything is masked in the normalised image, as these libraries do: removed pixels are the
mean colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import quantus
import torch
from captum.attr import Saliency
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

from benchmarks.calls.torchcam import Given

CAMS: dict[str, type[BaseCAM]] = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
}
SOFTMAX = partial(torch.softmax, dim=-1)

Batch = tuple[Tensor, Tensor]
Curves = Callable[[nn.Module, Tensor, Tensor, Tensor, int], tuple[float, float]]


def loop(
    net: nn.Module, layer: nn.Module, batches: Iterable[Batch], steps: int, curves: Curves
) -> dict[str, dict[str, float]]:
    """Return the mean of each metric for each method.

    Args:
        net: the network, in evaluation mode.
        layer: the layer that a CAM looks at.
        batches: normalised images and their classes.
        steps: steps of insertion and deletion.
        curves: measures both.
    """
    makers: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        name: partial(_cam, method(net, [layer])) for name, method in CAMS.items()
    }
    makers["saliency"] = partial(_gradient, Saliency(net))
    sums = {name: np.zeros(5) for name in makers}
    count = 0
    for inputs, targets in batches:
        count += len(inputs)
        p = _probability(net, inputs, targets)
        for name, make in makers.items():
            maps = make(inputs, targets)
            found = [*_confidences(net, inputs, targets, maps, p)]
            found += curves(net, inputs, targets, maps, steps)
            sums[name] += np.array(found) * len(inputs)
    names = ("AD", "AI", "AG", "insertion", "deletion")
    return {name: dict(zip(names, total / count, strict=True)) for name, total in sums.items()}


def of_torchcam(
    net: nn.Module, inputs: Tensor, targets: Tensor, maps: Tensor, steps: int
) -> tuple[float, float]:
    """Both curves by torchcam, in its own chunks of 32."""
    metric = DeletionInsertionMetric(Given(net, maps), SOFTMAX, steps=steps)
    metric.update(inputs, targets.tolist())
    found = metric.summary()
    return found["insertion_auc"], found["deletion_auc"]


def of_quantus(
    net: nn.Module, inputs: Tensor, targets: Tensor, maps: Tensor, steps: int
) -> tuple[float, float]:
    """Both curves by Quantus; the steps must divide the pixels of an image."""
    pixels, values = inputs[0, 0].numel(), inputs[0].numel()
    allowed = (n for n in range(1, pixels) if pixels % n == 0 and values // n >= steps)
    metric = quantus.PixelFlipping(
        features_in_step=max(allowed),
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    found = []
    for sign in (-1, 1):
        rows = metric(
            model=net,
            x_batch=inputs.numpy(),
            y_batch=targets.numpy(),
            a_batch=sign * maps[:, None].numpy(),
            device="cpu",
            softmax=True,
            channel_first=True,
        )
        found.append(float(np.mean(rows)))
    return found[0], found[1]


def _confidences(
    net: nn.Module, inputs: Tensor, targets: Tensor, maps: Tensor, p: Tensor
) -> tuple[float, float, float]:
    metric = ClassificationMetric(Given(net, maps), SOFTMAX)
    metric.update(inputs, targets.tolist())
    found = metric.summary()
    o = _probability(net, inputs * maps[:, None], targets)
    gain = ((o - p).clamp(min=0) / (1 - p)).nan_to_num(0)
    return found["avg_drop"], found["conf_increase"], gain.mean().item()


@torch.no_grad()
def _probability(net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    return SOFTMAX(net(inputs)).gather(1, targets[:, None])[:, 0].double()


def _cam(method: BaseCAM, inputs: Tensor, targets: Tensor) -> Tensor:
    return torch.from_numpy(method(inputs, [ClassifierOutputTarget(t) for t in targets.tolist()]))


def _gradient(method: Saliency, inputs: Tensor, targets: Tensor) -> Tensor:
    raw = method.attribute(inputs.clone().requires_grad_(), target=targets).detach()
    flat = raw.amax(1)
    low, high = flat.amin((1, 2), keepdim=True), flat.amax((1, 2), keepdim=True)
    return (flat - low) / (high - low)
