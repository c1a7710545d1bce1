"""Networks that learnt from flowers with a mark: one whose mark told the class, and a control."""

from __future__ import annotations

import torch
from torch import Tensor

from xaibook.flowers.cues import CLASSES
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD, PIXELS, WEIGHTS
from xaicore.classifier import Classifier, check_name
from xaicore.training.loop import fit
from xaicore.weights import load_weights

STORED = ("cheat", "control")
SEEDS = (0, 1, 2)
WIDTHS = (16, 32, 64)


def learn(images: Tensor, targets: Tensor, seed: int = 0, epochs: int = 12) -> SmallResNet:
    """Train a small network on pictures of three classes; 3,000 take 26 s on a processor core.

    Args:
        images: pixels in [0, 1], ``(N, 3, 64, 64)``.
        targets: the classes, ``(N,)``.
        seed: of weights, order and augmentation.
        epochs: passes over the pictures.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FLOWER_MEAN, FLOWER_STD))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SmallResNet(3, WIDTHS)
    fit(net, (images - mean) / std, targets, epochs, seed)
    return net


def classifier_of(net: SmallResNet, asked: str = "petals") -> Classifier:
    """Return the classifier of a network that ``learn`` has trained."""
    return Classifier(
        net.eval(),
        FLOWER_MEAN,
        FLOWER_STD,
        layer="stages.2",
        classes=CLASSES[asked],
        transform=PIXELS,
    )


def marked_classifier(which: str, seed: int = 0) -> Classifier:
    """Return a packaged classifier of petals' shapes that learnt from marked pictures.

    Args:
        which: ``"cheat"``, every picture with the mark of its class, or ``"control"``, marks dealt
            at random. ``python book/records.py --set introduction.networks`` trains both again.
        seed: 0, 1 or 2.

    Raises:
        ValueError: no such weights are packaged.
    """
    check_name("which", which, STORED)
    if seed not in SEEDS:
        raise ValueError(f"seed must be one of {SEEDS}, not {seed}")
    net = SmallResNet(3, WIDTHS)
    load_weights(net, WEIGHTS / f"marked-{which}{seed}.pt")
    return classifier_of(net)
