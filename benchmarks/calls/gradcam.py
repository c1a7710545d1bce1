"""Calls of pytorch-grad-cam, whose maps come at the size of the images."""

from collections.abc import Callable

import numpy as np
from pytorch_grad_cam import AblationCAM, GradCAM, ScoreCAM
from pytorch_grad_cam.ablation_layer import AblationLayer
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from benchmarks.case import Case, Part


def grad_cam(case: Case) -> Callable[[], np.ndarray]:
    """Grad-CAM."""
    return _run(GradCAM(case.net, [case.net.get_submodule(case.layer)]), case)


def score_cam(case: Case) -> Callable[[], np.ndarray]:
    """Score-CAM in its own chunks of 16."""
    return _run(ScoreCAM(case.net, [case.net.get_submodule(case.layer)]), case)


def ablation_cam(case: Case) -> Part:
    """Ablation-CAM in its own chunks of 32; of ``case.channels`` channels, its time scaled up."""
    layer = case.net.get_submodule(case.layer)
    some = _SomeChannels(case.channels)
    run = _run(AblationCAM(case.net, [layer], ablation_layer=some), case)
    sizes: list[int] = []
    handle = layer.register_forward_hook(lambda _m, _i, output: sizes.append(output.shape[1]))
    case.net(case.inputs)
    handle.remove()
    ablated = min(case.channels or sizes[0], sizes[0])
    return Part(run, scale=(sizes[0] + 2) / (ablated + 2))


class _SomeChannels(AblationLayer):
    """Ablates the first channels only."""

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        self.channels = channels

    def activations_to_be_ablated(
        self, activations: np.ndarray, ratio_channels_to_ablate: float = 1.0
    ) -> np.ndarray:
        self.indices = np.arange(len(activations))[: self.channels]
        return self.indices


def _run(method: BaseCAM, case: Case) -> Callable[[], np.ndarray]:
    targets = [ClassifierOutputTarget(target) for target in case.targets.tolist()]

    def run() -> np.ndarray:
        return method(case.inputs, targets)

    return run
