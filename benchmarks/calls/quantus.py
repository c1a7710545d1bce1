"""Calls of Quantus, which knows deletion; insertion is the deletion of the opposite map.

Showing the j most salient pixels is hiding all the others, so the curve of insertion is that of
deletion with the least salient first, read backwards.
"""

from collections.abc import Callable

import numpy as np
import quantus

from benchmarks.case import STEPS, Case


def pixel_flipping(case: Case) -> Callable[[], np.ndarray]:
    """Both curves, pixel by pixel.

    It flips colour values, not pixels, and the flips of a step must divide the pixels of the image:
    the number of steps is the smallest one allowed that is not below ``STEPS``.
    """
    pixels, values = case.images[0, 0].numel(), case.images[0].numel()
    allowed = (n for n in range(1, pixels) if pixels % n == 0 and values // n >= STEPS)
    metric = quantus.PixelFlipping(features_in_step=max(allowed), **OPTIONS)

    def run() -> np.ndarray:
        maps = case.maps.numpy()
        return np.array([np.mean(_evaluate(metric, case, sign * maps)) for sign in (1, -1)])

    return run


def region_perturbation(case: Case) -> Callable[[], None]:
    """Both curves, of as many square patches as there are steps: not the whole image."""
    side = case.images.shape[-1] // 16
    patches = {"patch_size": side, "regions_evaluation": STEPS}
    metrics = [
        quantus.RegionPerturbation(order=order, **patches, **OPTIONS) for order in ("morf", "lerf")
    ]

    def run() -> None:
        for metric in metrics:
            _evaluate(metric, case, case.maps.numpy())

    return run


OPTIONS = {"perturb_baseline": 0.0, "normalise": False, "disable_warnings": True}
"""Zero in the normalised image is the mean colour."""


def _evaluate(metric: quantus.Metric, case: Case, maps: np.ndarray) -> list[list[float]]:
    return metric(
        model=case.net,
        x_batch=case.inputs.numpy(),
        y_batch=case.targets.numpy(),
        a_batch=maps,
        device="cpu",
        softmax=True,
        channel_first=True,
    )
