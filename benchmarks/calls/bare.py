"""Nothing but the network: the least that an iteration of Opti-CAM can cost."""

import torch

from benchmarks.case import Case, Part
from benchmarks.workloads import OPTI_CAM_STEPS, STEPS_RUN


def passes(case: Case) -> Part:
    """The forwards of Opti-CAM and its backwards to the input; weights get no gradient."""
    case.net.requires_grad_(False)

    def run() -> None:
        with torch.no_grad():
            case.net(case.images)
        for _ in range(STEPS_RUN):
            images = case.images.clone().requires_grad_()
            logits = case.net(images).gather(1, case.targets[:, None])
            torch.autograd.grad(logits.sum(), images)

    return Part(run, scale=(OPTI_CAM_STEPS + 1) / (STEPS_RUN + 1))
