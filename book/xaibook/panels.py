"""Panels that a reader moves without a kernel: along a curve, to a power, to sharper attention.

Each is one call of :func:`xaibook.chooser.chooser` on frames of the pixels that the network saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from xaibook.chooser import chooser
from xaibook.drawings.film import check_steps, frame
from xaibook.drawings.ladder import evenness
from xaicore.classifier import Classifier
from xaicore.html import Fragment
from xaicore.masking import BASELINES, mask, removed
from xaicore.metrics import average_drop, average_gain, confidence
from xaicore.plot import blend, picture

SHARES = (0, 5, 10, 15, 20, 30, 50, 70, 100)
"""The frames along a curve, by the share of the pixels that have come or gone, in per cent."""

POWERS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
SIDE = 256


def scrub(
    image: Tensor,
    maps: Mapping[str, Tensor],
    curves: Mapping[str, Sequence[Tensor]],
    ends: tuple[Tensor, Tensor],
    alt: str,
) -> Fragment:
    """Let a reader go along insertion and deletion, step by step, in the order of each map.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, as the network takes them.
        maps: maps ``(1, H, W)``, by their names.
        curves: for each map the probabilities ``(n + 1,)`` along insertion and along deletion.
        ends: the pixels that insertion starts from, and those that deletion ends with.
        alt: what the frames show, for readers who do not see them.

    Returns:
        The panel, which opens with a tenth of the pixels inserted in the order of the first map.

    Raises:
        ValueError: the number of steps does not meet every frame.
    """
    check_steps(curves)
    ways = {"insertion": (ends[0], image, "come"), "deletion": (image, ends[1], "gone")}
    frames: dict[tuple[str, ...], np.ndarray] = {}
    said: dict[tuple[str, ...], str] = {}
    for kind, (way, (first, last, verb)) in enumerate(ways.items()):
        for name, saliency in maps.items():
            line = curves[name][kind]
            for share in SHARES:
                key = way, name, f"{share} %"
                frames[key] = picture(frame(first, last, saliency, share))
                p = 100 * float(line[share * (len(line) - 1) // 100])
                said[key] = f"{share} % of the pixels have {verb}: the class has {p:.0f} %."
    chosen = ["curve", "order of", "pixels"]
    opens = "insertion", next(iter(maps)), "10 %"
    return chooser(frames, chosen, alt, said, ordered=["pixels"], side=SIDE, opens=opens)


def powers(
    classifier: Classifier, image: Tensor, target: Tensor, maps: Mapping[str, Tensor], alt: str
) -> Fragment:
    """Let a reader raise a map to a power, and choose what stands where nothing is kept.

    Args:
        classifier: what is asked.
        image: pixels ``(1, 3, H, W)`` in ``[0, 1]``.
        target: the class ``(1,)``.
        maps: maps ``(1, 1, H, W)`` in ``[0, 1]``, by their names.
        alt: what the frames show, for readers who do not see them.

    Returns:
        The panel, which opens with the first map as it is, on black.
    """
    frames: dict[tuple[str, ...], np.ndarray] = {}
    said: dict[tuple[str, ...], str] = {}
    for name, saliency in maps.items():
        for power in POWERS:
            raised = saliency**power
            for baseline in BASELINES:
                key = name, f"{power:g}", baseline
                kept = mask(image, raised, removed(image, baseline, classifier.mean))
                frames[key] = picture(kept[0].cpu())
                p, o = confidence(classifier, image, raised, target, baseline)
                drop, gain = (100 * f(p, o).item() for f in (average_drop, average_gain))
                said[key] = f"{p.item():.2f} → {o.item():.2f}: drop {drop:.0f} %, gain {gain:.0f} %"
    chosen = ["map", "power α", "baseline"]
    opens = next(iter(maps)), "1", BASELINES[0]
    return chooser(frames, chosen, alt, said, ordered=["power α"], side=SIDE, opens=opens)


def sharpness(
    images: Tensor, attention: Mapping[str, Tensor], alt: str, most: float = 4.0
) -> Fragment:
    """Let a reader sharpen attention, on the scale of :func:`xaibook.drawings.ladder.ladder`.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        attention: weights of the positions ``(B, 1, h, w)``, of sum 1, by their sharpness.
        alt: what the frames show, for readers who do not see them.
        most: the multiple of an even weight at which the colour is full.

    Returns:
        The panel, which opens with the sharpest but one.
    """
    frames: dict[tuple[str, ...], np.ndarray] = {}
    said: dict[tuple[str, ...], str] = {}
    for place, image in enumerate(images):
        for factor, weights in attention.items():
            key = str(place + 1), factor
            times_even = weights[place] * weights[place].numel()
            frames[key] = blend(image, (times_even / most).clamp(max=1))
            said[key] = (
                f"The highest weight is {times_even.max().item():.1f} times an even one; "
                f"the entropy is {evenness(weights[place : place + 1]):.0f} % of even attention's."
            )
    opens = "1", [*attention][-2]
    chosen = ["picture", "sharpness"]
    return chooser(frames, chosen, alt, said, ordered=["sharpness"], side=SIDE, opens=opens)
