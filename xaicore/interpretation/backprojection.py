r"""Back-project whole channels to the image, by guided backpropagation and without a grid.

Inside ``with BackwardRules():`` a network computes what it always computes, but two operations hand
another signal back:

- a rectifier passes what is positive (guided backpropagation: ``attribution.rules``);
- a convolution of stride s > 1 hands its signal down on a lattice of period s. Instead, the signal
  is enlarged to the size that the convolution would put out with stride 1, each position taking the
  value of its nearest neighbour, and handed down with stride 1 (Oramas et al., ICLR 2019). The
  authors' code takes that size from the image, which is right for the first layer only; here it is
  taken from each layer's own input.

With the second rule the result is no gradient, and larger. Pooling stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

from xaicore.attribution.capture import frozen, full_precision, gradients_on, own, watched
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.rules import GuidedRule
from xaicore.classifier import Classifier
from xaicore.interpretation.responses import Watcher


class BackwardRules(GuidedRule):
    """Change what rectifiers and strided convolutions hand back, while this is active.

    Args:
        guided: whether a rectifier holds back what is negative.
        smooth: whether strided convolutions spread what they hand down.

    Raises:
        ValueError: guided, and an activation runs for which there is no guided rule.
    """

    def __init__(self, guided: bool = True, smooth: bool = True) -> None:
        super().__init__(guided)
        self.smooth = smooth

    def __torch_function__(
        self, function: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one operation of torch, recorded with its rule if it has one."""
        if self.smooth and function is F.conv2d:
            return _smooth_conv(*args, **kwargs or {})
        return super().__torch_function__(function, types, args, kwargs)


def _smooth_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    if max(_pair(stride)) == 1 or isinstance(padding, str):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return _SmoothConv.apply(input, weight, bias, stride, _pair(padding), _pair(dilation), groups)


class _SmoothConv(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        stride, padding, dilation, groups = settings
        ctx.save_for_backward(weight)
        ctx.geometry = padding, dilation, groups
        ctx.size = [
            side + 2 * p - d * (k - 1)
            for side, p, d, k in zip(
                x.shape[-2:], padding, dilation, weight.shape[-2:], strict=True
            )
        ]
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        padding, dilation, groups = ctx.geometry
        spread = F.interpolate(signal, size=ctx.size, mode="nearest")
        down = F.conv_transpose2d(spread, weight, None, 1, padding, 0, groups, dilation)
        return (down, *[None] * 6)


def back_project(
    classifier: Classifier,
    images: Tensor,
    layer: str,
    channels: Tensor | int,
    guided: bool = True,
    smooth: bool = True,
) -> Tensor:
    r"""Send one whole channel of a layer back to the pixels.

    The signal begins as the map itself, :math:`R = A_{l,c}(x)`, at every position. With neither
    rule the result is therefore :math:`\nabla_x \tfrac12 \lVert A_{l,c}(x) \rVert^2`.

    Cost: one forward, one backward from the layer.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        layer: the layer's name.
        channels: the channel of each image ``(B,)``, or one for all.
        guided: whether a rectifier holds back what is negative.
        smooth: whether strided convolutions spread what they hand down.

    Returns:
        The signal that reaches each colour of each pixel, ``(B, channels, H, W)``, detached.

    Raises:
        ValueError: the network has no such layer or channel, or, guided, an activation for which
            there is no guided rule.
    """
    watcher = Watcher(images, keep=[layer])
    with (
        differentiating(classifier, own(images), type(classifier.net).__name__),
        gradients_on(),
        watched(classifier, [layer.partition(":")[0]], watcher.see),
    ):
        pixels = own(images).requires_grad_()
        with BackwardRules(guided, smooth):
            frozen(classifier)(pixels)
        if layer not in watcher.maps:
            raise ValueError(f"layer '{layer}' did not run on these images")
        seeds = {layer: torch.as_tensor(channels).expand(len(images))}
        return hand_back(pixels, watcher.maps, seeds)


def hand_back(pixels: Tensor, maps: Mapping[str, Tensor], channels: Mapping[str, Tensor]) -> Tensor:
    """Return the signal ``(B, channels, H, W)`` that one channel of each image sends to the pixels.

    All images go back together, each from its own layer: where one has no channel, its signal is 0.

    Args:
        pixels: the leaf of the graph.
        maps: the maps of each layer, ``(B, K, h, w)``, parts of the graph.
        channels: for each of these layers the channel of each image, ``(B,)``; -1: none.
    """
    seeds = [_seed(maps[layer], which) for layer, which in channels.items()]
    outputs = [maps[layer] for layer in channels]
    (signal,) = torch.autograd.grad(outputs, pixels, seeds, retain_graph=True)
    return full_precision(signal)


def _seed(maps: Tensor, which: Tensor) -> Tensor:
    count = maps.shape[1]
    if len(which) and int(which.max()) >= count:
        raise ValueError(f"channel {int(which.max())} is out of range: the layer has {count}")
    chosen = which.to(maps.device)[:, None] == torch.arange(count, device=maps.device)
    return maps.detach() * chosen[..., None, None]


def phase_spread(maps: Tensor, stride: int) -> Tensor:
    r"""Return how much a map is printed on a grid: 0 if its phases have equal means.

    .. math:: \frac{\operatorname{std}_{ij} m_{ij}}{\operatorname{mean}_{ij} m_{ij}}, \qquad
        m_{ij} = \operatorname{mean} S[i :: s,\, j :: s]

    Args:
        maps: maps ``(B, 1, H, W)``, not negative.
        stride: the period s of the grid.

    Returns:
        One value per map, float64 ``(B,)``; 0 for a map of zeros.

    Raises:
        ValueError: the maps are smaller than the period.
    """
    if not 1 <= stride <= min(maps.shape[-2:]):
        raise ValueError(f"stride must be from 1 to the maps' side, not {stride}")
    values = maps.detach().double()
    phases = [
        values[..., i::stride, j::stride].mean((1, 2, 3))
        for i in range(stride)
        for j in range(stride)
    ]
    means = torch.stack(phases, dim=1)
    mean = means.mean(1)
    return torch.where(mean > 0, means.std(1, correction=0) / mean.where(mean > 0, 1), 0)
