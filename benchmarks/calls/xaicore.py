"""Calls of xaicore."""

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.case import STEPS, Case, Part
from benchmarks.workloads import OPTI_CAM_STEPS, STEPS_RUN
from xaicore.attribution import (
    CAM,
    AblationCAM,
    Explainer,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    OptiCAM,
    ScoreCAM,
    XGradCAM,
    ablationcam,
    explain_all,
)
from xaicore.classifier import Classifier
from xaicore.folding import folded
from xaicore.metrics import causal

SIX = (GradCAM, CAM, GradCAMPlusPlus, XGradCAM, LayerCAM, HiResCAM)


def grad_cam(case: Case) -> Callable[[], np.ndarray]:
    """Grad-CAM."""
    return _run(GradCAM, case)


def six_cams(case: Case) -> Callable[[], np.ndarray]:
    """Six maps of each image, of which the first is Grad-CAM's."""
    classifier = Classifier(case.net, layer=case.layer)
    methods = {method.__name__: method(classifier) for method in SIX}

    def run() -> np.ndarray:
        maps = explain_all(methods, case.images, case.targets)
        return maps["GradCAM"][:, 0].numpy()

    return run


def score_cam(case: Case) -> Callable[[], np.ndarray]:
    """Score-CAM: softmax over channels of the logit, what a mask removes is the mean colour."""
    return _run(ScoreCAM, case, baseline="mean")


def score_cam_folded(case: Case) -> Callable[[], np.ndarray]:
    """Score-CAM through a network that was folded beforehand."""
    return score_cam(folded_case(case))


def ablation_cam(case: Case) -> Callable[[], np.ndarray]:
    """Ablation-CAM: in closed form where the network allows it."""
    return _run(AblationCAM, case)


def ablation_cam_by_ablation(case: Case) -> Callable[[], np.ndarray]:
    """Ablation-CAM that does not know the closed form: each channel is ablated."""
    explain = _run(AblationCAM, case)

    def run() -> np.ndarray:
        with patch.object(ablationcam, "linear_head", return_value=None):
            return explain()

    return run


def opti_cam(case: Case) -> Part:
    """Opti-CAM at the paper's settings; some of its iterations, its time scaled up."""
    run = _run(OptiCAM, case, iterations=STEPS_RUN)
    return Part(run, scale=(OPTI_CAM_STEPS + 1) / (STEPS_RUN + 1))


def opti_cam_fast(case: Case) -> Callable[[], np.ndarray]:
    """Opti-CAM at its fast preset, the whole of it."""
    return _run(OptiCAM, case, preset="fast")


def opti_cam_cone(case: Case) -> Callable[[], np.ndarray]:
    """Opti-CAM at its preset that climbs in the cone, the whole of it."""
    return _run(OptiCAM, case, preset="cone")


def opti_cam_cone_12(case: Case) -> Callable[[], np.ndarray]:
    """The same with half its steps."""
    return _run(OptiCAM, case, preset="cone", iterations=12)


def opti_cam_float64(case: Case) -> Callable[[], np.ndarray]:
    """A few iterations of the paper's in float64, for the map."""
    case.net.double()
    return _run(OptiCAM, replace(case, images=case.images.double()), iterations=STEPS_RUN)


def insertion_deletion(case: Case) -> Callable[[], np.ndarray]:
    """Both curves in one pass; pixels become the mean colour."""
    classifier = Classifier(case.net, layer=case.layer)
    protocol = causal.CausalProtocol(steps=STEPS, blur=None, removed="mean")

    def run() -> np.ndarray:
        curves = causal.insertion_deletion(
            classifier, case.images, case.maps, case.targets, protocol
        )
        return np.array([causal.auc(curves.deletion).mean(), causal.auc(curves.insertion).mean()])

    return run


def insertion_deletion_folded(case: Case) -> Callable[[], np.ndarray]:
    """The same through a network that was folded beforehand."""
    return insertion_deletion(folded_case(case))


def insertion_deletion_bfloat16(case: Case) -> Callable[[], np.ndarray]:
    """The same through a folded network in bfloat16."""
    follow = insertion_deletion(folded_case(case))

    def run() -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16):
            return follow()

    return run


def folded_case(case: Case) -> Case:
    """Return the case with its network folded."""
    light = folded(Classifier(case.net, layer=case.layer), case.images[:2])
    return replace(case, net=light.net)


def _run(method: type[Explainer], case: Case, **options: str | int) -> Callable[[], np.ndarray]:
    explainer = method(Classifier(case.net, layer=case.layer), **options)

    def run() -> np.ndarray:
        return explainer(case.images, case.targets)[:, 0].numpy()

    return run
