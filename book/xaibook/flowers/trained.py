"""Trained networks for the rendered flowers, shipped with the package."""

from __future__ import annotations

from pathlib import Path

from torchvision.transforms import v2

from xaibook.flowers.dataset import class_names
from xaibook.flowers.network import SmallResNet
from xaicore.classifier import Classifier, to_pixels
from xaicore.weights import load_weights

FLOWER_MEAN = (0.443, 0.502, 0.403)
FLOWER_STD = (0.222, 0.203, 0.217)
"""Mean and standard deviation of each colour channel over the 4,500 training pictures of
``species``, used for every task."""

PIXELS = to_pixels(v2.Resize(64), v2.CenterCrop(64))
"""From any picture to the pixels the networks were trained on."""

WEIGHTS = Path(__file__).parent.parent / "weights"


def available_weights() -> tuple[tuple[str, int], ...]:
    """Return the (task, seed) pairs for which the package holds trained weights."""
    names = (path.stem.partition("-seed") for path in sorted(WEIGHTS.glob("*-seed*.pt")))
    return tuple((task, int(seed)) for task, _, seed in names)


def flower_classifier(task: str = "species", seed: int = 0) -> Classifier:
    """Return a trained flower classifier, in evaluation mode and float32.

    Its images have 64x64 pixels; its CAM layer, ``stages.2``, has 128 maps of 8x8. The weights are
    stored in half precision; ``python -m xaibook.flowers`` makes them again. Those of the tasks
    that are told by parts have learnt from pictures of which half had lost parts, so that a picture
    without them is nothing new: ``--pictures 6000 --epochs 14 --removed 0.5``.

    Args:
        task: The question it answers, a key of ``xaibook.flowers.dataset.TASKS``.
        seed: The seed it was trained with.

    Raises:
        ValueError: No weights are packaged for this task and seed.
    """
    if (task, seed) not in available_weights():
        pairs = ", ".join(f"({known!r}, {number})" for known, number in available_weights())
        raise ValueError(f"no weights are packaged for ({task!r}, {seed}): use one of {pairs}")
    net = SmallResNet(len(class_names(task)))
    load_weights(net, WEIGHTS / f"{task}-seed{seed}.pt")
    return Classifier(
        net.eval(),
        FLOWER_MEAN,
        FLOWER_STD,
        layer="stages.2",
        classes=class_names(task),
        transform=PIXELS,
    )
