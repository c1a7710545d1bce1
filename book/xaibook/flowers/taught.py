"""Networks of half the book's width that learnt with the objectives of interpretable gradients."""

from __future__ import annotations

from pathlib import Path

from xaibook.flowers.dataset import class_names
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD, PIXELS, WEIGHTS
from xaicore.classifier import Classifier, check_name
from xaicore.models.stems import averaged_downsampling
from xaicore.weights import load_weights

WIDTHS = (16, 32, 64)
"""Half of the book's own network, so that many can be trained."""

TAUGHT = {
    "cross-entropy": "plain",
    "log-probability": "log-probability 1",
    "averages": "plain, averages",
}
"""What they learnt with, and what the records call it. The first two learnt from the first step
on; the last went on from the first, with averages in the place of its strides."""


def stored_weights(name: str) -> Path:
    """Return the file of a network's weights."""
    return WEIGHTS / f"gradients-{name}.pt"


def taught_classifier(name: str = "cross-entropy") -> Classifier:
    """Return a network of half width, in evaluation mode and float32.

    The weights, of one seed and in half precision, are made again by
    ``PYTHONPATH=book python -m studies.interpretable_gradients``.

    Args:
        name: What it learnt with, a key of ``TAUGHT``.

    Raises:
        ValueError: There is no such network.
    """
    check_name("name", name, TAUGHT)
    net = SmallResNet(len(class_names("species")), WIDTHS)
    if name == "averages":
        averaged_downsampling(net)
    load_weights(net, stored_weights(name))
    return Classifier(
        net.eval(),
        FLOWER_MEAN,
        FLOWER_STD,
        layer="stages.2",
        classes=class_names("species"),
        transform=PIXELS,
    )
