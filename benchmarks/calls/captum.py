"""Calls of captum."""

from collections.abc import Callable

import numpy as np
from captum.attr import LayerAttribution, LayerGradCam

from benchmarks.case import Case


def grad_cam(case: Case) -> Callable[[], np.ndarray]:
    """Grad-CAM with its positive part, brought to the size of the images."""
    method = LayerGradCam(case.net, case.net.get_submodule(case.layer))

    def run() -> np.ndarray:
        raw = method.attribute(case.inputs, target=case.targets, relu_attributions=True)
        maps = LayerAttribution.interpolate(raw, case.inputs.shape[-2:], "bilinear")
        return maps[:, 0].detach().numpy()

    return run
