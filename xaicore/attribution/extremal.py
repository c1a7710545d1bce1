"""Extremal perturbation: the smooth region of a given area that excites the class most."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.capture import frozen, full_precision, gradients_on, own
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.explainer import Explainer, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import removed

LEARNING_RATE = 0.01 / 32**2
"""Per point of the grid: a point's gradient is inverse to their number."""
MOMENTUM = 0.9
PENALTY = 300.0
"""The weight of the area penalty at the first iteration."""
GROWTH = 1.0035
"""The factor by which it grows at every iteration."""
COLDNESS = 20.0
"""The inverse temperature of the smooth maximum."""
LEVELS = 8
"""Levels of the blur pyramid, the image itself included."""
BLUR = 20.0
"""Sigma of the strongest blur, in pixels of a 224-pixel image."""
REACH = 3
"""Radius of the kernel, in steps of the grid: 21 pixels for a step of 7."""


class ExtremalPerturbation(Explainer):
    r"""Optimise a smooth mask of a given area so that what it preserves excites the class most.

    .. math:: m_a = \arg\max_m\; y_c(m \otimes x) - \lambda\,
        \frac{\|\mathrm{sort}(m) - r_a\|^2}{|\Omega|}, \qquad
        m(u) = \operatorname{smax}_v\; k\Big(\frac{u - v}{\sigma}\Big)\, \bar m(v)

    :math:`\bar m \in [0, 1]` lives on a coarse grid; the smooth maximum is
    :math:`\operatorname{smax} f = \sum f e^{20 f} / \sum e^{20 f}` and the kernel
    :math:`k(z) = e^{-2 [\|z\| - 1/2]_+^2}`. Of the :math:`|\Omega|` pixels of the mask,
    :math:`r_a` has as many at 1 as the share a of the image counts, and the rest at 0: the penalty
    holds the area. :math:`m \otimes x` blurs the image where the mask is low, by a pyramid of eight
    levels.

    As in the authors' TorchRay: gradient ascent from :math:`\bar m = 1` with learning rate 0.01 and
    momentum 0.9 (dampened alike), :math:`\lambda = 300 \cdot 1.0035^t`, the logit as the score, a
    kernel cut off four steps away, and a mask that reaches three steps beyond the image, so that
    the margin, which the score does not need, gives way first. Unlike there: a is a share of the
    image, where TorchRay takes it of the image and its margin; the image is not flipped at every
    other iteration; blur reflects the image at its border instead of fading to black; sizes, given
    there in pixels of 224, follow the image, and the learning rate the number of grid points (0.01
    for the 32 by 32 of the default step).

    Cost: one forward for the class, then for each iteration and area one forward and one backward,
    and no gradient for any parameter. Memory: some 100 MB an image and area at 224 pixels, besides
    the network's. Source: Fong, Patrick and Vedaldi, ICCV 2019.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        areas: the share of the image to preserve, in ``(0, 1)``; of several shares, each optimised
            on its own, the map is the mean of the masks.
        iterations: the number of steps.
        step: pixels between points of the grid; ``None``: a 32nd of the image's shorter side.
        baseline: what stands where the mask removes: ``"pyramid"`` (TorchRay's graded blur),
            ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        batch_size: the number of masked images in one forward, at most.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> xc.ExtremalPerturbation(model, iterations=2)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "extremal-perturbation"
    label = "Extremal perturbation"
    family = "learned"
    cost = "1 F + areas · T (F + B)"

    def __init__(
        self,
        classifier: Classifier,
        areas: float | Sequence[float] = 0.1,
        iterations: int = 800,
        step: int | None = None,
        baseline: str | Tensor = "pyramid",
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier)
        self.areas = (areas,) if isinstance(areas, float | int) else tuple(areas)
        if not self.areas or not all(0 < area < 1 for area in self.areas):
            raise ValueError(f"areas must be shares of the image in (0, 1), not {areas}")
        if iterations < 0 or batch_size < 1 or (step is not None and step < 1):
            raise ValueError(
                "ExtremalPerturbation needs iterations >= 0, batch_size >= 1 and step >= 1; "
                f"got {iterations}, {batch_size} and {step}"
            )
        self.iterations = iterations
        self.step = step
        self.baseline = baseline
        self.batch_size = batch_size

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        return 1 + len(self.areas) * self.iterations

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        if not len(images):
            return images[:, :1]
        with torch.no_grad():
            targets = resolve_targets(targets, self.classifier(images))
        images, called = own(images), type(self.classifier.net).__name__
        with gradients_on(), differentiating(self.classifier, images, called):
            rows = images, own(targets), self._levels(images)
            parts = zip(*(row.split(self.batch_size) for row in rows), strict=True)
            return torch.cat([self._mean_mask(*part) for part in parts])

    def _levels(self, images: Tensor) -> Tensor:
        """Return the images from removed to whole, ``(B, L, channels, H, W)``."""
        if self.baseline == "pyramid":
            return blur_pyramid(images)
        absent = removed(images, self.baseline, self.classifier.mean).expand_as(images)
        return torch.stack([absent, images], 1)

    def _mean_mask(self, images: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
        """Return the mean of the masks of every area, ``(B, 1, H, W)``."""
        masks = [self._optimise(images, targets, levels, area) for area in self.areas]
        return torch.stack(masks).mean(0)

    def _optimise(self, images: Tensor, targets: Tensor, levels: Tensor, area: float) -> Tensor:
        """Return the masks ``(B, 1, H, W)`` of one area, each optimised on its own."""
        network = frozen(self.classifier)
        size = images.shape[-2:]
        step = max(1, round(min(size) / 32)) if self.step is None else self.step
        kernel = mask_kernel(step).to(full_precision(images).dtype).to(images.device)
        sites = kernel.new_ones(len(images), 1, *(-(-side // step) for side in size))
        count = smooth_mask(sites[:1], kernel).numel()
        wanted = torch.arange(count, device=images.device) >= count - round(area * size.numel())
        rate = LEARNING_RATE * sites[0].numel()
        velocity = torch.zeros_like(sites)
        for t in range(self.iterations):
            sites.requires_grad_()
            masks = smooth_mask(sites, kernel)
            shown = blend(levels, within(masks, size, step).to(images))
            score = full_precision(network(shown).gather(1, targets[:, None])).sum()
            excess = (masks.flatten(1).sort(1).values - wanted.to(masks)).square().mean(1).sum()
            (arrived,) = torch.autograd.grad(score, shown)  # by itself: a network may cut it
            signals = arrived, excess.new_tensor(-PENALTY * GROWTH**t)
            (gradient,) = torch.autograd.grad((shown, excess), sites, signals)
            velocity = torch.lerp(gradient, velocity, MOMENTUM if t else 0.0)
            sites = (sites.detach() + rate * velocity).clamp(0, 1)
        return within(smooth_mask(sites, kernel), size, step)


def mask_kernel(step: int) -> Tensor:
    """Return the kernel from every near grid point to every pixel of a cell.

    Args:
        step: pixels between points of the grid; a cell is ``step`` by ``step`` pixels.

    Returns:
        Values in ``[0, 1]``, ``(K, step²)``, for the K grid points up to ``REACH + 1`` steps away.
    """
    near = step * torch.arange(-REACH - 1, REACH + 2)
    apart = (torch.arange(step) - near[:, None]).double().square()  # (k, step), along one axis
    squared = apart[:, None, :, None] + apart[None, :, None, :]
    z = squared.sqrt().reshape(len(near) ** 2, step**2) / (REACH * step)
    return torch.exp(-2 * (z - 0.5).clamp_min(0).square())


def smooth_mask(sites: Tensor, kernel: Tensor) -> Tensor:
    """Return the masks whose grid points have the given values.

    Args:
        sites: values in ``[0, 1]``, ``(B, 1, h, w)``, the grid that covers the image; 0 beyond it.
        kernel: the result of ``mask_kernel``, ``(K, step²)``.

    Returns:
        Masks in ``[0, 1]`` of the grid's cells and ``REACH`` more on every side,
        ``(B, 1, (h + 2 REACH) step, (w + 2 REACH) step)``.
    """
    side, step = math.isqrt(len(kernel)), math.isqrt(kernel.shape[1])
    near = F.unfold(sites, side, padding=side // 2 + REACH)
    values = kernel[:, :, None] * near[:, :, None]  # (B, K, step², cells)
    pixels = (values * (COLDNESS * values).softmax(1)).sum(1)
    cells = [length + 2 * REACH for length in sites.shape[-2:]]
    return F.pixel_shuffle(pixels.unflatten(2, cells), step)


def within(masks: Tensor, size: torch.Size, step: int) -> Tensor:
    """Return the part of the masks that lies on an image of the given height and width."""
    margin = REACH * step
    return masks[..., margin : margin + size[0], margin : margin + size[1]]


def blur_pyramid(images: Tensor) -> Tensor:
    """Return images ``(B, L, channels, H, W)`` from strongly blurred to as they are."""
    from torchvision.transforms.v2.functional import gaussian_blur

    side = min(images.shape[-2:])
    blurred = []
    for level in range(LEVELS - 1):
        sigma = BLUR * side / 224 * (1 - level / (LEVELS - 1))
        width = 2 * min(math.ceil(4 * sigma), side - 1) + 1
        tall = gaussian_blur(images, [1, width], [sigma, sigma])  # one axis at a time: far quicker
        blurred.append(gaussian_blur(tall, [width, 1], [sigma, sigma]))
    return torch.stack([*blurred, images], 1)


def blend(levels: Tensor, masks: Tensor) -> Tensor:
    """Look every pixel up at the level its mask says, linearly between neighbouring levels.

    Args:
        levels: images ``(B, L, channels, H, W)``, from removed (mask 0) to whole (mask 1).
        masks: ``(B, 1, H, W)`` in ``[0, 1]``.

    Returns:
        Images ``(B, channels, H, W)``.
    """
    depth = masks * (levels.shape[1] - 1)
    lower = depth.detach().floor().clamp_max(levels.shape[1] - 2)
    index = lower.long()[:, None].expand_as(levels[:, :1])
    below, above = levels.gather(1, index)[:, 0], levels.gather(1, index + 1)[:, 0]
    return torch.lerp(below, above, depth - lower)
