r"""What happens to the class as pixels come or go in order of saliency? Insertion, deletion, AOPC.

With :math:`s_j` the probability of the class after step :math:`j` of :math:`n`, the area under a
curve is

.. math:: \mathrm{AUC} = \frac1n \Big(\sum_{j=0}^{n} s_j - \frac{s_0 + s_n}{2}\Big) \in [0, 1].

Insertion (higher is better) starts from a blurred image and restores its pixels, deletion (lower is
better) starts from the image and removes them, both in order of decreasing saliency. Petsiuk et
al., RISE, BMVC 2018. AOPC: Samek et al., TNNLS 2017. Removed pixels may be filled from those that
are shown, as ROAD does: Rong et al., ICML 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.capture import frozen
from xaicore.attribution.explainer import check_batch_size, check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import removed
from xaicore.metrics.faithfulness import check_maps, logits_of
from xaicore.metrics.imputation import impute

__all__ = [
    "CAUSAL_PROTOCOLS",
    "CausalCurves",
    "CausalProtocol",
    "CurveEnds",
    "aopc",
    "auc",
    "causal_curves",
    "curve_ends",
    "insertion_deletion",
]

PATCH = 14
"""Side of an AOPC patch, in pixels of a 224-pixel image."""

LINEAR = "linear"
"""The removal that depends on what is shown: ``imputation.impute``."""


@dataclass(frozen=True)
class CausalProtocol:
    """The settings of insertion and deletion; the defaults are Opti-CAM's.

    Args:
        steps: the number of steps n, each of ``H W / n`` pixels; step j ends at pixel
            ``floor(j H W / n)``. ``None``: one step per row of the image, ``H`` steps of ``W``.
        blur: kernel size and sigma of the blur that insertion starts from, in pixels of a 224-pixel
            image; both scale with the shorter side, the kernel is at least 3 wide. ``None``:
            insertion starts from removed pixels, as deletion ends.
        removed: what deletion leaves: ``"black"``, ``"mean"``, ``"blur"`` or pixels; or
            ``"linear"``: removed pixels are filled from those that are shown, by ``impute``, and
            the mean colour stands where none is.

    Raises:
        ValueError: ``steps`` is not positive, or the blur is not a kernel size and a sigma.

    Example:
        >>> quick = xc.metrics.CausalProtocol(steps=8)
        >>> xc.metrics.insertion_deletion(model, images, left, targets, quick).deletion.shape
        torch.Size([2, 9])
    """

    steps: int | None = None
    blur: tuple[int, float] | None = (11, 5.0)
    removed: str | Tensor = "black"

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if self.blur is not None and (self.blur[0] < 1 or self.blur[1] <= 0):
            raise ValueError(f"blur must be a kernel size and a positive sigma, not {self.blur}")


CAUSAL_PROTOCOLS = {
    "paper": CausalProtocol(),
    "rise": CausalProtocol(steps=28, removed="mean"),
    "ca-stream": CausalProtocol(steps=28, blur=(5, 5.0), removed="mean"),
}
"""Opti-CAM (224 steps of 224 pixels at 224 pixels), RISE over a data set, the CA-Stream code.

The Opti-CAM paper does not give its blur: it is RISE's. RISE and the CA-Stream code put zeros into
the *normalised* image, which is the mean colour; Opti-CAM says black.
"""


class CurveEnds(NamedTuple):
    """What insertion and deletion need of images before any map: shared by all maps of the images.

    Attributes:
        steps: the number of steps n.
        targets: the class followed on each image, ``(B,)``.
        start: the pixels insertion starts from, ``(B, channels, H, W)``.
        removed: the pixels deletion ends with, ``(B, channels, H, W)``.
        p_image: the probability of the class on the image, float64 ``(B,)``, on the CPU.
        p_start: the same on ``start``.
        p_removed: the same on ``removed``.
        imputed: whether pixels that lack are filled from those that are shown, while any are: by
            insertion, by deletion.
    """

    steps: int
    targets: Tensor
    start: Tensor
    removed: Tensor
    p_image: Tensor
    p_start: Tensor
    p_removed: Tensor
    imputed: tuple[bool, bool] = (False, False)


class CausalCurves(NamedTuple):
    """The probability of the class along insertion and deletion, float64 ``(B, n + 1)`` each."""

    insertion: Tensor
    deletion: Tensor


def insertion_deletion(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None = None,
    protocol: str | CausalProtocol = "paper",
    batch_size: int = 16,
) -> CausalCurves:
    """Return the insertion and deletion curves of one map per image.

    ``auc`` gives their areas. Cost: 2 (n - 1) forwards for the steps, 2 for the ends, and one for
    the whole batch if what is removed is one image for all (black, mean). For several maps of the
    same images, call ``curve_ends`` once and ``causal_curves`` for each.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones, as in the
            Opti-CAM paper and RISE; the CA-Stream code follows the true classes.
        protocol: a name in ``CAUSAL_PROTOCOLS``, or settings of one's own.
        batch_size: masked images in one forward.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> insertion, deletion = xc.metrics.insertion_deletion(model, images, left, targets)
        >>> xc.metrics.auc(insertion).shape
        torch.Size([2])
    """
    ends = curve_ends(classifier, images, targets, protocol, batch_size)
    return causal_curves(classifier, images, maps, ends, batch_size)


@torch.no_grad()
def curve_ends(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor | int | None = None,
    protocol: str | CausalProtocol = "paper",
    batch_size: int = 16,
    logits: Tensor | None = None,
) -> CurveEnds:
    """Return what the curves of every map of these images share.

    Cost: 2 forwards, and one for the whole batch if what is removed is one image for all; without
    ``blur`` 1 forward and that one; with ``logits`` 1 forward less. Arguments are those of
    ``insertion_deletion``.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones.
        protocol: a name in ``CAUSAL_PROTOCOLS``, or settings of one's own.
        batch_size: images in one forward.
        logits: the classifier's output on the images, if it is there already.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> ends = xc.metrics.curve_ends(model, images, targets)
        >>> curves = xc.metrics.causal_curves(model, images, left, ends)
        >>> torch.equal(curves.deletion[:, 0], ends.p_image)
        True
    """
    checked = check_inputs(classifier, images, targets)
    check_batch_size(batch_size)
    protocol = _protocol(protocol)
    steps = _steps(protocol, images)
    if logits is None:
        logits = logits_of(classifier, images, batch_size)
    classes = resolve_targets(checked, logits)
    absent, imputed = _absent(images, protocol.removed, classifier)
    absent = absent.expand(1 if absent.ndim < 4 else len(absent), *images.shape[1:])
    p_removed = _spread(classifier, logits_of(classifier, absent, batch_size), classes)
    absent = absent.expand_as(images)
    start, p_start = absent, p_removed
    if protocol.blur is not None:
        start = _blur(images, classifier.mean, *protocol.blur)
        p_start = classifier.probability(logits_of(classifier, start, batch_size), classes)
    p = classifier.probability(logits, classes)
    filled = imputed and protocol.blur is None, imputed
    return CurveEnds(steps, classes, start, absent, p, p_start, p_removed, filled)


@torch.no_grad()
def causal_curves(
    classifier: Classifier, images: Tensor, maps: Tensor, ends: CurveEnds, batch_size: int = 16
) -> CausalCurves:
    """Return both curves of one map per image, in one pass, on ends computed before.

    Pixels are taken from the end of a stable ascending sort of the map: in decreasing order of
    saliency, and of equals the last pixel of the image first. So the curves depend on the order
    of the saliency alone. Cost: 2 (n - 1) forwards.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        ends: the result of ``curve_ends`` for these images.
        batch_size: masked images in one forward; it bounds the memory.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> ends = xc.metrics.curve_ends(model, images, targets)
        >>> a, b = (xc.metrics.causal_curves(model, images, m, ends) for m in (left, 1 - left))
        >>> torch.equal(a.insertion[:, -1], b.insertion[:, -1])  # at the end, the whole image
        True
    """
    check_inputs(classifier, images, ends.targets)
    check_maps(maps, images)
    check_batch_size(batch_size)
    if ends.start.shape != images.shape:
        raise ValueError(
            f"ends belong to images {tuple(ends.start.shape)}, not {tuple(images.shape)}: "
            "call curve_ends for these images"
        )
    n, (H, W) = ends.steps, images.shape[-2:]
    counts = (torch.arange(1, n, device=images.device) * (H * W) // n).repeat(2)
    inserting = torch.arange(2 * (n - 1), device=images.device) < n - 1
    ranks = _ranks(maps.to(images.device))
    filled = torch.tensor(ends.imputed).repeat_interleave(n - 1)
    absent = ends.start, ends.removed
    inner = _probabilities(
        classifier, images, ranks, counts, inserting, absent, filled, ends.targets, batch_size
    )
    first, last = (ends.p_start, ends.p_image), (ends.p_image, ends.p_removed)
    insertion, deletion = (
        torch.cat([first[c][:, None], part, last[c][:, None]], dim=1)
        for c, part in enumerate(inner.tensor_split(2, dim=1))
    )
    return CausalCurves(insertion, deletion)


def auc(curves: Tensor) -> Tensor:
    """Return the area under curves ``(B, n + 1)`` of equal steps by the trapezoid rule, ``(B,)``.

    Its width is 1, so a constant curve has its constant as area.

    Example:
        >>> xc.metrics.auc(torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]]))
        tensor([0.5000, 1.0000])
    """
    return torch.trapezoid(curves, dim=1) / (curves.shape[1] - 1)


@torch.no_grad()
def aopc(
    classifier: Classifier,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | int | None = None,
    regions: int = 10,
    patch: int | None = None,
    baseline: str | Tensor = "black",
    batch_size: int = 16,
) -> Tensor:
    r"""Return the area over the perturbation curve, in ``[-1, 1]``; higher is better.

    .. math:: \mathrm{AOPC} = \frac{1}{L+1} \sum_{k=0}^{L}
        \big(p(\mathbf x^{(0)}) - p(\mathbf x^{(k)})\big)

    :math:`\mathbf x^{(k)}` lacks the k patches of highest mean saliency (of equals the last one of
    the image first). The patches tile the image from the top left corner; those at the right and
    lower border may be cut. Samek et al. fill patches with noise; the Opti-CAM paper (14-pixel
    patches, 10 regions) does not say with what: here ``baseline``. Cost: L + 1 forwards.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        maps: saliency ``(B, 1, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, or one for all. ``None``: the predicted ones.
        regions: the number of patches removed, L.
        patch: side of a patch in pixels. ``None``: 14 pixels of a 224-pixel image, scaled with the
            shorter side.
        baseline: what replaces a patch: ``"black"``, ``"mean"``, ``"blur"``, ``"linear"`` or
            pixels.
        batch_size: masked images in one forward.

    Returns:
        One value per image, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: an argument cannot be used; the message says why.

    Example:
        >>> xc.metrics.aopc(model, images, left, targets, regions=4, patch=4).shape
        torch.Size([2])
    """
    checked = check_inputs(classifier, images, targets)
    check_maps(maps, images)
    check_batch_size(batch_size)
    H, W = images.shape[-2:]
    side = max(1, round(PATCH * min(H, W) / 224)) if patch is None else patch
    _check_regions(regions, side, H, W)
    logits = logits_of(classifier, images, batch_size)
    classes = resolve_targets(checked, logits)
    p = classifier.probability(logits, classes)
    absent, imputed = _absent(images, baseline, classifier)
    absent = absent.expand_as(images)
    counts = torch.arange(1, regions + 1, device=images.device)
    deleting = torch.zeros_like(counts, dtype=torch.bool)
    ranks = _patch_ranks(maps.to(images.device), side)
    filled = deleting | imputed
    curve = _probabilities(
        classifier, images, ranks, counts, deleting, (absent, absent), filled, classes, batch_size
    )
    return (p[:, None] - curve).sum(1) / (regions + 1)


def _probabilities(
    classifier: Classifier,
    images: Tensor,
    ranks: Tensor,
    counts: Tensor,
    inserting: Tensor,
    absent: tuple[Tensor, Tensor],
    filled: Tensor,
    targets: Tensor,
    batch_size: int,
) -> Tensor:
    """The probability on each image after each of J jobs, ``(B, J)``.

    Job j shows the pixels of rank below ``counts[j]`` on the first of ``absent`` if
    ``inserting[j]``, else it hides them behind the second; if ``filled[j]``, what is hidden is
    filled from what is shown, beginning there.
    """
    network = frozen(classifier, torch.channels_last)
    J, (start, end) = len(counts), absent
    total = len(images) * J
    found = torch.empty(total, dtype=torch.float64)
    for begin in range(0, total, batch_size):
        job = torch.arange(begin, min(begin + batch_size, total), device=images.device)
        b, j = job // J, job % J
        insert = inserting[j][:, None, None, None]
        shown = (ranks[b] < counts[j][:, None, None, None]) == insert
        missing = torch.where(insert, start[b], end[b])
        masked = torch.where(shown, images[b], missing)
        linear = filled[j]
        if linear.any():
            masked[linear] = impute(images[b][linear], shown[linear], missing[linear])
        logits = network(masked.contiguous(memory_format=torch.channels_last))
        found[begin : begin + len(job)] = classifier.probability(logits, targets[b])
    return found.reshape(len(images), J)


def _absent(images: Tensor, baseline: str | Tensor, classifier: Classifier) -> tuple[Tensor, bool]:
    """What stands where pixels are removed, and whether it is filled from what is shown."""
    imputed = isinstance(baseline, str) and baseline == LINEAR
    chosen = "mean" if imputed else baseline
    return removed(images, chosen, classifier.mean), imputed


def _ranks(maps: Tensor) -> Tensor:
    """The place of each pixel in the order of decreasing saliency, from 0."""
    flat = maps.flatten(1)
    ascending = flat.argsort(dim=1, stable=True).argsort(dim=1)
    return (flat.shape[1] - 1 - ascending).reshape(maps.shape)


def _patch_ranks(maps: Tensor, side: int) -> Tensor:
    """The place of each pixel's patch in the order of decreasing mean saliency."""
    H, W = maps.shape[-2:]
    means = F.avg_pool2d(maps, side, ceil_mode=True)
    ranks = _ranks(means)
    return ranks.repeat_interleave(side, -2).repeat_interleave(side, -1)[..., :H, :W]


def _blur(images: Tensor, mean: Tensor, kernel: int, sigma: float) -> Tensor:
    """Blur as RISE does: a delta, smoothed within its window, and the mean colour around the image.

    Smoothing reflects at the borders of the window, so the kernel sums to 1 and is nearly flat.
    """
    from scipy.ndimage import gaussian_filter

    scale = min(images.shape[-2:]) / 224
    half = max(1, round(scale * (kernel - 1) / 2))
    delta = np.zeros((2 * half + 1, 2 * half + 1))
    delta[half, half] = 1
    window = torch.from_numpy(gaussian_filter(delta, sigma * scale)).to(images)
    mean = mean.to(images)
    channels = images.shape[1]
    weight = window.expand(channels, 1, *window.shape)
    return (F.conv2d(images - mean, weight, padding=half, groups=channels) + mean).clamp(0, 1)


def _spread(classifier: Classifier, logits: Tensor, classes: Tensor) -> Tensor:
    """The probability of each class; one row of logits may stand for all images."""
    return classifier.probability(logits.expand(len(classes), -1), classes)


def _protocol(protocol: str | CausalProtocol) -> CausalProtocol:
    if isinstance(protocol, CausalProtocol):
        return protocol
    if protocol not in CAUSAL_PROTOCOLS:
        raise ValueError(
            f"protocol must be a CausalProtocol or one of {', '.join(CAUSAL_PROTOCOLS)}; "
            f"got {protocol!r}"
        )
    return CAUSAL_PROTOCOLS[protocol]


def _steps(protocol: CausalProtocol, images: Tensor) -> int:
    H, W = images.shape[-2:]
    steps = H if protocol.steps is None else protocol.steps
    if steps > H * W:
        raise ValueError(f"steps: {steps} are more than the {H * W} pixels of an image")
    return steps


def _check_regions(regions: int, side: int, H: int, W: int) -> None:
    if side < 1 or regions < 1:
        raise ValueError(f"regions and patch must be at least 1, not {regions} and {side}")
    patches = -(-H // side) * -(-W // side)
    if regions > patches:
        raise ValueError(
            f"regions: {regions} are more than the {patches} patches of {side} pixels in an image"
        )
