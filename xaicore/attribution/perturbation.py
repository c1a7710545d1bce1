"""Black-box methods: remove parts of the image and ask what becomes of the class's probability.

Nothing of the network is used but its output. One set of masks serves all images of a batch:
``batch_size`` masks at a time exist at the size of the image, and are laid on the images in turn,
all of them on one image in one forward. Masks fill a forward as a batch of images would, so turn by
turn is no slower, and what an image gives is summed in an order that does not depend on the images
beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.attribution.capture import full_precision
from xaicore.attribution.explainer import Explainer, resolve_targets
from xaicore.classifier import Classifier
from xaicore.masking import mask, removed


class MaskedImages:
    """The images as the network sees them through masks.

    Args:
        classifier: the classifier.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``, at least one.
        targets: the classes ``(B,)``, or ``None`` for the predicted ones.
        baseline: what replaces removed pixels.

    Attributes:
        probability: the probability of the classes on the whole images, ``(B,)``.
    """

    def __init__(
        self, classifier: Classifier, images: Tensor, targets: Tensor | None, baseline: str | Tensor
    ) -> None:
        logits = classifier(images)
        self.classifier = classifier
        self.images = images
        self.targets = resolve_targets(targets, logits)
        self.absent = removed(images, baseline, classifier.mean).expand_as(images)
        self.probability = classifier.probability(logits, self.targets)

    def probabilities(self, masks: Tensor) -> Iterator[Tensor]:
        """Yield the probabilities ``(m,)`` of each image through masks ``(m, H, W)``."""
        masks = masks[:, None].to(self.images)
        for image, absent, target in zip(self.images, self.absent, self.targets, strict=True):
            seen = mask(image, masks, absent).contiguous(memory_format=torch.channels_last)
            yield self.classifier.probability(self.classifier(seen), target.expand(len(seen)))


class Perturbation(Explainer):
    """A method that shows the network masked images, without gradients."""

    family = "masking"

    def __init__(self, classifier: Classifier, baseline: str | Tensor, batch_size: int) -> None:
        super().__init__(classifier)
        if batch_size < 1:
            raise ValueError(f"{type(self).__name__} needs batch_size >= 1, got {batch_size}")
        self.baseline = baseline
        self.batch_size = batch_size

    @torch.no_grad()
    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        if not len(images):
            return images[:, :1]
        seen = MaskedImages(self.classifier, images, targets, self.baseline)
        return self._map(seen)[:, None]

    @abstractmethod
    def _map(self, seen: MaskedImages) -> Tensor:
        """Compute the maps ``(B, H, W)``."""


def weighted_sum(weights: Tensor, masks: Tensor) -> Tensor:
    """Return the weighted sum ``(H, W)`` of masks ``(m, H, W)``, not rounded by autocast."""
    return (weights.to(masks)[:, None, None] * masks).sum(0)


class RISE(Perturbation):
    r"""The average of random masks, weighted by the probability that survives each.

    .. math:: S^c = \frac{1}{p N} \sum_{i=1}^N f_c(x \odot M_i)\, M_i, \qquad p = \mathbb E[M]

    A mask is a grid of ``cells`` by ``cells``, each kept with probability ``keep``, upsampled
    bilinearly to one cell more than the image and cropped at a random place. :math:`f_c` is the
    softmax probability. A cell measures the image's side divided by ``cells``, rounded up as in the
    authors' code (the paper rounds down, which leaves too little to crop). Removed pixels are
    black; the authors' code, which masks normalised images, puts the mean colour.
    Cost: 1 + N forwards. Source: Petsiuk et al., BMVC 2018.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        masks: the number N of masks; the paper takes 4,000 for VGG-16 and 8,000 for ResNet-50.
        cells: cells of the grid along each side.
        keep: the probability that a cell is kept, in ``(0, 1]``.
        seed: of the masks.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        batch_size: the number of masks, hence of masked copies of an image, in one forward.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> xc.RISE(model, masks=8)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "rise"
    label = "RISE"
    cost = "1 F + N F"

    def __init__(
        self,
        classifier: Classifier,
        masks: int = 4000,
        cells: int = 7,
        keep: float = 0.5,
        seed: int = 0,
        baseline: str | Tensor = "black",
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier, baseline, batch_size)
        if masks < 1 or cells < 1 or not 0 < keep <= 1:
            raise ValueError(
                "RISE needs masks >= 1, cells >= 1 and keep in (0, 1]; "
                f"got {masks}, {cells} and {keep}"
            )
        self.masks = masks
        self.cells = cells
        self.keep = keep
        self.seed = seed

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        return 1 + self.masks

    def _map(self, seen: MaskedImages) -> Tensor:
        total = torch.zeros_like(full_precision(seen.images[:, 0]))
        for masks in self._draw(total[0]):
            for i, survived in enumerate(seen.probabilities(masks)):
                total[i] += weighted_sum(survived, masks)
        return total / (self.masks * self.keep)

    def _draw(self, like: Tensor) -> Iterator[Tensor]:
        """Yield the masks ``(m, H, W)``, ``batch_size`` at a time, as wide and high as ``like``."""
        generator = torch.Generator().manual_seed(self.seed)
        grids = torch.rand(self.masks, 1, self.cells, self.cells, generator=generator) < self.keep
        cell = [-(-side // self.cells) for side in like.shape]
        top, left = (torch.randint(c, (self.masks, 1), generator=generator) for c in cell)
        large = [(self.cells + 1) * c for c in cell]
        rows, columns = (
            (first + torch.arange(side)).to(like.device)
            for first, side in zip((top, left), like.shape, strict=True)
        )
        for part in torch.arange(self.masks).split(self.batch_size):
            fine = F.interpolate(grids[part].to(like), size=large, mode="bilinear")[:, 0]
            which = torch.arange(len(part), device=like.device)[:, None, None]
            part = part.to(like.device)  # noqa: PLW2901
            yield fine[which, rows[part, :, None], columns[part, None, :]]


class Occlusion(Perturbation):
    r"""How far the probability drops while a window hides the pixel.

    .. math:: S^c(u) = \frac{1}{|\{i : u \in W_i\}|} \sum_{i\,:\,u \in W_i}
        \big(f_c(x) - f_c(x \text{ without } W_i)\big)

    :math:`f_c` is the softmax probability, which the paper monitors; a pixel's value is the mean
    over the windows :math:`W_i` that hide it, and negative where hiding it helps the class. The
    windows stand ``stride`` apart; the last of a row or column ends at the border, so that every
    pixel is hidden. The paper hides by grey and gives no size.
    Cost: 1 forward and one for each window (122 in all for a square image of 224 pixels).
    Source: Zeiler and Fergus, ECCV 2014.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        window: side of the window, in pixels; ``None``: two sevenths of the image's shorter side
            (64 of 224).
        stride: pixels from one window to the next; ``None``: a quarter of the window (16 of 64).
        baseline: what replaces hidden pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        batch_size: the number of masks, hence of masked copies of an image, in one forward.

    Raises:
        ValueError: a number is not positive, the windows leave gaps, or exceed the image.

    Example:
        >>> xc.Occlusion(model, window=8, stride=8)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "occlusion"
    label = "Occlusion"
    cost = "1 F + (number of windows) F"

    def __init__(
        self,
        classifier: Classifier,
        window: int | None = None,
        stride: int | None = None,
        baseline: str | Tensor = "black",
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier, baseline, batch_size)
        for name, value in (("window", window), ("stride", stride)):
            if value is not None and value < 1:
                raise ValueError(f"Occlusion needs {name} >= 1 pixel, got {value}")
        self.window = window
        self.stride = stride

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        window, stride = self._geometry(min(size))
        rows, columns = (len(_intervals(side, window, stride)) for side in size)
        return 1 + rows * columns

    def _map(self, seen: MaskedImages) -> Tensor:
        total = torch.zeros_like(full_precision(seen.images[:, 0]))
        count = torch.zeros_like(total[0])
        for hidden in self._windows(total[0]):
            for i, survived in enumerate(seen.probabilities(1 - hidden)):
                total[i] += weighted_sum(seen.probability[i] - survived, hidden)
            count += hidden.sum(0)
        return total / count

    def _windows(self, like: Tensor) -> Iterator[Tensor]:
        """Yield masks ``(m, H, W)``, 1 inside the window, ``batch_size`` at a time."""
        window, stride = self._geometry(min(like.shape))
        rows, columns = (_intervals(side, window, stride).to(like) for side in like.shape)
        windows = torch.arange(len(rows) * len(columns), device=like.device)
        for part in windows.split(self.batch_size):
            row, column = rows[part // len(columns)], columns[part % len(columns)]
            yield row[:, :, None] * column[:, None, :]

    def _geometry(self, side: int) -> tuple[int, int]:
        """Return window and stride for an image whose shorter side is given."""
        window = max(1, round(side * 2 / 7)) if self.window is None else self.window
        stride = max(1, window // 4) if self.stride is None else self.stride
        if window > side:
            raise ValueError(f"window: {window} pixels exceed the image's shorter side, {side}")
        if stride > window:
            raise ValueError(
                f"stride: {stride} pixels leave gaps between windows of {window}; "
                "choose a stride no larger than the window"
            )
        return window, stride


def _intervals(side: int, window: int, stride: int) -> Tensor:
    """Return one row for each place of the window along a side: true where it stands."""
    starts = torch.tensor([*range(0, side - window, stride), side - window])[:, None]
    place = torch.arange(side)
    return (place >= starts) & (place < starts + window)
