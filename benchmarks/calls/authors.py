"""Calls of the code that the authors of Opti-CAM published; a checkout, which is not installed."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_grad_cam
import torch

from benchmarks.case import Case, Part
from benchmarks.checkouts import VARIABLE
from benchmarks.workloads import OPTI_CAM_STEPS, STEPS_RUN
from xaicore.classifier import Classifier

sys.path += [os.environ[VARIABLE], str(Path(pytorch_grad_cam.__file__).parent)]

from util import Basic_OptCAM


class _Unstopped(Basic_OptCAM):
    """Runs all its iterations: a random network would end most of them at the first look.

    The loss is shifted downwards by more at each step than it can rise; gradients are the same.
    """

    shift = 0.0

    def get_loss(self, *arguments: object) -> torch.Tensor:
        self.shift += 1e6
        return super().get_loss(*arguments) - self.shift


def opti_cam(case: Case) -> Part:
    """Opti-CAM; some of its iterations, its time scaled up."""
    return Part(_run(case, STEPS_RUN), scale=(OPTI_CAM_STEPS + 1) / (STEPS_RUN + 1))


def opti_cam_float64(case: Case) -> Callable[[], np.ndarray]:
    """A few iterations in float64, for the map."""
    case.net.double()
    return _run(case, STEPS_RUN)


def _run(case: Case, steps: int) -> Callable[[], np.ndarray]:
    """The paper's settings; the layer in a list, as today's pytorch-grad-cam needs it."""
    model = Classifier(case.net, layer=case.layer).eval()
    images = case.images.to(next(model.net.parameters()).dtype)

    def run() -> np.ndarray:
        method = _Unstopped(
            model,
            torch.device("cpu"),
            max_iter=steps,
            learning_rate=0.1,
            target_layer=[model.layer],
            name_loss="plain",
            name_mode="resnet",
        )
        with contextlib.redirect_stdout(io.StringIO()):
            maps, _ = method(images, case.targets)
        method.fea_ext.release()
        return maps[:, 0].detach().numpy()

    return run
