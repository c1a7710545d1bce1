"""The contract of every explanation method: images and targets in, saliency out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from xaicore.classifier import Classifier
from xaicore.masking import normalize, upsample

Targets = Tensor | int | str | Sequence[int | str] | None
"""Classes ``(B,)``, or one for all, by number or by name; ``None``: the predicted ones."""

Family = Literal[
    "class activation",
    "learned",
    "masking",
    "gradient",
    "interpretation",
    "attention",
    "no explanation",
]
"""The kinds of methods; the last are maps that know nothing of the network."""


LONGEST = 60
"""How many letters of something that cannot be used are shown."""


class Explainer(ABC):
    """A method that says which pixels of an image matter for a class.

    Calling it returns saliency ``(B, 1, H, W)`` in ``[0, 1]``: the raw map, upsampled bilinearly to
    the image and then brought to ``[0, 1]``. A map that is constant, or nowhere positive where the
    method keeps the positive part, becomes zeros: ``masking.degenerate`` tells.

    Images are explained independently of one another: a batch gives what its images give one by
    one, bit for bit wherever the network itself does so, to within its rounding elsewhere. On a CPU
    convolutions do so with oneDNN and NNPACK disabled (``torch.backends``); with them torch chooses
    kernels by the size of the batch, as it does for linear layers and attention.

    A method of the package says on its class, once, what it is called and what it costs; tables,
    figures and the command line follow.

    Args:
        classifier: the classifier to explain, in evaluation mode.

    Attributes:
        name: what the command line and the records call it, ``"grad-cam"``.
        label: how it is written for readers, ``"Grad-CAM"``.
        family: its kind, which gives it the colour that it is drawn in.
        cost: what a map costs, in forwards F and backwards B of the network per image.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    family: ClassVar[Family]
    cost: ClassVar[str]

    def __init__(self, classifier: Classifier) -> None:
        check_classifier(classifier, type(self).__name__)
        self.classifier = classifier

    def __call__(self, images: Tensor, targets: Targets = None) -> Tensor:
        """Explain images.

        Args:
            images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
            targets: the classes to explain ``(B,)``, one class for all, or ``None`` for the
                predicted ones; by name where the classifier knows ``classes``.

        Returns:
            Saliency ``(B, 1, H, W)`` in ``[0, 1]``, on the images' device, detached.

        Raises:
            ValueError: images, targets or classifier cannot be used; the message says why.
        """
        return self.saliency(self.raw(images, targets), images.shape[-2:])

    def raw(self, images: Tensor, targets: Targets = None) -> Tensor:
        """Return the map before upsampling and normalisation, ``(B, 1, h, w)``, detached."""
        return finite(self._raw(images, check_inputs(self.classifier, images, targets)))

    def saliency(self, raw: Tensor, size: Sequence[int]) -> Tensor:
        """Bring raw maps ``(B, 1, h, w)`` to ``size = (H, W)`` and to ``[0, 1]``."""
        return normalize(upsample(raw, size))

    def forwards(self, size: Sequence[int], channels: int) -> int | None:
        """Return how many images pass the network for a map, at most, where they are many.

        It tells what a map will cost before it is made. ``None``: few, as ``cost`` says.

        Args:
            size: the size of the image, ``(H, W)``.
            channels: of the layer that a class activation map looks at, whose capture is not
                counted.
        """
        return None

    @abstractmethod
    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        """Compute the raw map of checked images; ``targets`` is ``(B,)`` or ``None``."""


def finite(maps: Tensor) -> Tensor:
    """Return raw maps detached; refuse NaN and infinity, which only the network can have made."""
    wrong = (~maps.isfinite()).flatten(1).any(1).nonzero()[:, 0].tolist()
    if wrong:
        raise ValueError(
            f"the map of image {wrong[0]} is not finite: the network gives NaN or infinity there "
            "(look at its logits; half precision overflows early)"
        )
    return maps.detach()


def check_inputs(classifier: Classifier, images: Tensor, targets: Targets) -> Tensor | None:
    """Refuse what no method and no metric can use; return the targets ``(B,)``, or ``None``."""
    check_classifier(classifier)
    check_images(images)
    if images.shape[1] != classifier.channels:
        last = " (channels last? images.permute(0, 3, 1, 2))"
        raise ValueError(
            f"images have {images.shape[1]} channels and the classifier {classifier.channels}, the "
            f"numbers of its mean{last if images.shape[3] == classifier.channels else ''}: "
            "Classifier(net, mean, std) takes one number for each channel"
        )
    check_evaluation_mode(classifier)
    return check_targets(_numbered(classifier, targets), images)


def _numbered(classifier: Classifier, targets: Targets) -> Targets:
    """Return targets in which names of classes are their numbers."""
    if isinstance(targets, str):
        return classifier.class_index(targets)
    listed: Any = targets
    if isinstance(listed, np.ndarray) and listed.dtype.kind == "U":
        listed = listed.ravel().tolist()
    if isinstance(listed, list | tuple) and any(isinstance(name, str) for name in listed):
        return [classifier.class_index(t) if isinstance(t, str) else t for t in listed]
    return targets


def check_classifier(classifier: object, who: str = "this") -> None:
    """Refuse a network that is not wrapped."""
    if not isinstance(classifier, Classifier):
        raise TypeError(
            f"{who} explains a xaicore.Classifier, not {type(classifier).__name__}: wrap it, "
            "Classifier(net, mean, std, layer=…)"
        )


def check_images(images: Tensor) -> None:
    """Refuse anything but finite pixels ``(B, channels, H, W)`` in ``[0, 1]``."""
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images must be a torch tensor, not {type(images).__name__}: "
            "xc.read_image(picture, classifier) makes one"
        )
    if images.ndim != 4:
        hints = {3: " (add a batch dimension: images[None])", 5: ": volumes cannot be explained"}
        raise ValueError(
            f"images must have shape (B, channels, H, W), not {tuple(images.shape)}"
            f"{hints.get(images.ndim, '')}"
        )
    if not images.is_floating_point():
        raise ValueError(
            f"images must be floating point in [0, 1], not {images.dtype}: divide by 255"
        )
    if images.numel() == 0:
        if len(images):
            raise ValueError(f"images are empty: shape {tuple(images.shape)}")
        return
    low, high = (value.item() for value in torch.aminmax(images.detach()))
    if not (low >= 0 and high <= 1):  # also false for NaN
        near = low > -0.5 and high < 1.5  # what rounding and bicubic resizing do
        cure = "images.clamp(0, 1)" if near else "the classifier normalises them itself"
        raise ValueError(
            f"images must be finite pixels in [0, 1], got [{low:.8g}, {high:.8g}]: {cure}"
        )


def check_targets(targets: Targets, images: Tensor) -> Tensor | None:
    """Return targets as integers ``(B,)`` on the images' device; ``None`` stays ``None``."""
    if targets is None:
        return None
    try:
        targets = torch.as_tensor(targets, device=images.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            "targets must be the number or the name of a class, or one for each of the "
            f"{len(images)} images, not {_short(targets)}"
        ) from error
    if targets.ndim == 2 and targets.shape == (len(images), targets.shape[1]):
        raise ValueError(
            f"targets have shape {tuple(targets.shape)}: give one class for each image; of rows "
            "that have 1 where the class is, targets.argmax(1)"
        )
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ValueError(f"targets must be class numbers (integers), not {targets.dtype}")
    if targets.ndim == 0:
        targets = targets.expand(len(images))
    if targets.shape != (len(images),):
        raise ValueError(
            f"targets must have one class for each of the {len(images)} images, "
            f"not shape {tuple(targets.shape)}"
        )
    return targets.long()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def check_batch_size(batch_size: int) -> None:
    """Refuse a number of pictures per forward that is not positive."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def resolve_targets(targets: Tensor | None, logits: Tensor) -> Tensor:
    """Return the given targets, checked against the number of classes, or the predicted ones."""
    blind = logits.isnan().any(1).nonzero()[:, 0].tolist()
    if blind:
        raise ValueError(
            f"the network gives NaN for image {blind[0]} of the batch ({len(blind)} in all): its "
            "logits are not finite there; half precision overflows early"
        )
    if targets is None:
        return logits.argmax(1)
    if not len(targets):
        return targets
    low, high = (int(value) for value in torch.aminmax(targets))
    if low < 0 or high >= logits.shape[1]:
        wrong = low if low < 0 else high
        raise ValueError(
            f"targets: class {wrong} is out of range, the classes are 0…{logits.shape[1] - 1}"
        )
    return targets


def check_evaluation_mode(classifier: Classifier) -> None:
    """Refuse a network in training mode, whose output depends on the batch, or without weights."""
    for name, parameter in classifier.net.named_parameters():
        if is_lazy(parameter):
            raise ValueError(
                f"the network has a lazy layer that has no size yet ('{name}'): run it once on "
                "what it takes, and load its weights, before it is explained"
            )
    for name, module in classifier.net.named_modules(prefix="net"):
        if getattr(module, "training", False):  # what torch.jit.freeze returns has no mode
            raise ValueError(
                f"the classifier is in training mode ('{name}'): call classifier.eval() first"
            )
