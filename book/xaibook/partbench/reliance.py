"""Does a network use the part it was meant to use, and that part alone? Repaint parts and see."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from xaibook.flowers.dataset import PALETTE, Flowers
from xaibook.flowers.rendering import Scene
from xaicore.attribution.capture import full_precision
from xaicore.attribution.explainer import check_evaluation_mode
from xaicore.classifier import Classifier, check_name

TWINS = ("petal", "stem")
"""The two tasks on the same pictures, each named after the part whose colour it asks for."""

BATCH = 100
"""Pictures in one forward."""


class Reliance(NamedTuple):
    """What a network does when parts are repainted, picture by picture.

    Attributes:
        correct: whether the class is right, ``(n,)``.
        follows: in what share of the other colours of the part the network names the new one, in
            ``[0, 1]``, ``(n,)``.
        stays: in what share of the other colours of the other part it names the same class as
            before, ``(n,)``.
        guesses: whether it names the class all the same when the part is gone, ``(n,)``; the mean
            is at chance, as the picture does not depend on the class.
    """

    correct: Tensor
    follows: Tensor
    stays: Tensor
    guesses: Tensor

    @property
    def relies(self) -> Tensor:
        """Whether the class is right, follows every colour and stays with every other, ``(n,)``."""
        return self.correct & (self.follows == 1) & (self.stays == 1)


class Repainted(NamedTuple):
    """Pictures of a task as they are, and with every part repainted; the same for all networks.

    Attributes:
        flowers: the pictures.
        part: the pictures with the task's part in each other colour, ``(n, 3, H, W)`` each.
        other: the same of the other task's part.
        bare: the pictures without the task's part.
    """

    flowers: Flowers
    part: tuple[Tensor, ...]
    other: tuple[Tensor, ...]
    bare: Tensor


def repainted(flowers: Flowers) -> Repainted:
    """Render what ``reliance`` asks a network about, to ask several networks.

    Args:
        flowers: pictures of the task ``"petal"`` or ``"stem"``.

    Raises:
        ValueError: the task is another one.
    """
    check_name("flowers.task", flowers.task, TWINS)
    part, other = flowers.task, TWINS[1 - TWINS.index(flowers.task)]
    shifts = range(1, len(PALETTE))
    return Repainted(
        flowers,
        tuple(flowers.changed(repaint(part, shift)) for shift in shifts),
        tuple(flowers.changed(repaint(other, shift)) for shift in shifts),
        flowers.changed(lambda scene: scene.without(part)),
    )


def reliance(classifier: Classifier, flowers: Flowers | Repainted) -> Reliance:
    """Repaint the part of the task, then the other task's part, in every other colour.

    A valid mask is not enough for a ground truth: the network may have learned something else, or
    nothing (Zhang et al., AttributionLab, 2023). Explanations are scored where it relies on the
    part. Cost: eight forwards and seven renderings of each picture; with ``repainted`` pictures,
    the forwards alone.

    Args:
        classifier: the network of the task.
        flowers: pictures of the task ``"petal"`` or ``"stem"``, repainted or to be repainted.

    Raises:
        ValueError: the task is another one, or the network is in training mode.
    """
    check_evaluation_mode(classifier)
    shown = repainted(flowers) if isinstance(flowers, Flowers) else flowers
    targets = shown.flowers.targets
    predicted = predict(classifier, shown.flowers.images)
    follows, stays = torch.zeros(len(targets)), torch.zeros(len(targets))
    for shift, (own, other) in enumerate(zip(shown.part, shown.other, strict=True), start=1):
        follows += predict(classifier, own) == (targets + shift) % len(PALETTE)
        stays += predict(classifier, other) == predicted
    guesses = predict(classifier, shown.bare) == targets
    count = len(PALETTE) - 1
    return Reliance(predicted == targets, follows / count, stays / count, guesses)


def repaint(part: str, shift: int) -> Callable[[Scene], Scene]:
    """Return the intervention that gives a part the colour ``shift`` further in the palette."""

    def change(scene: Scene) -> Scene:
        own = PALETTE.index(getattr(scene.flower, part))
        return scene.recolour(part, PALETTE[(own + shift) % len(PALETTE)])

    return change


@torch.no_grad()
def logits_of(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the logits ``(n, C)`` of any number of images, on the CPU."""
    device = classifier.mean.device
    return in_batches(lambda part: full_precision(classifier(part)), BATCH, device, images)


def predict(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the predicted classes ``(n,)``, on the CPU."""
    return logits_of(classifier, images).argmax(1)


def in_batches(
    call: Callable[..., Tensor], size: int, device: torch.device | str, *given: Tensor
) -> Tensor:
    """Return what a call makes of any number of pictures, on the CPU.

    Args:
        call: takes some rows of what is given, and returns as many rows.
        size: pictures in one call.
        device: where the call finds them.
        given: tensors with a row for each picture.
    """
    parts = zip(*(some.split(size) for some in given), strict=True)
    return torch.cat([call(*(some.to(device) for some in part)).detach().cpu() for part in parts])
