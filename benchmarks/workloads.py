"""What is measured: the workloads, who takes part, and the speed that xaicore aims at."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Workload:
    """One question, asked of several contenders in turn.

    Attributes:
        title: what is asked.
        network: a torchvision network, with random weights.
        layer: the layer that a CAM looks at.
        batch: number of images.
        contenders: names of functions, ``"module.function"`` in ``benchmarks.calls``; the first is
            the one that the others' results are compared with.
        rounds: how often each contender takes its turn.
        side: height and width of the images in pixels.
        channels: how many channels a contender ablates that is too slow to ablate all; its time is
            then scaled up by the number of forwards. ``None``: all.
    """

    title: str
    network: str
    layer: str
    batch: int
    contenders: tuple[str, ...]
    rounds: int = 7
    side: int = 224
    channels: int | None = None


@dataclass(frozen=True)
class Aim:
    """How many times faster than every one of ``peers`` a contender of xaicore shall be."""

    text: str
    workload: str
    ours: str
    peers: tuple[str, ...]
    factor: float


OPTI_CAM_STEPS = 100
"""Iterations of Opti-CAM in the paper."""

STEPS_RUN = 10
"""How many of them are run; the time is scaled up by the number of forwards."""

GRAD_CAM_PEERS = ("captum.grad_cam", "torchcam.grad_cam", "gradcam.grad_cam")

OPTI_CAMS = (
    "xaicore.opti_cam",
    "xaicore.opti_cam_fast",
    "xaicore.opti_cam_cone",
    "xaicore.opti_cam_cone_12",
    "authors.opti_cam",
    "bare.passes",
)
CURVES = (
    "xaicore.insertion_deletion",
    "xaicore.insertion_deletion_folded",
    "xaicore.insertion_deletion_bfloat16",
    "torchcam.insertion_deletion",
)

WORKLOADS = {
    "grad-cam": Workload(
        "Gradient-based class activation maps",
        "resnet50",
        "layer4",
        8,
        ("xaicore.grad_cam", "xaicore.six_cams", *GRAD_CAM_PEERS),
    ),
    "score-cam": Workload(
        "Score-CAM, 512 channels",
        "resnet18",
        "layer4",
        1,
        ("xaicore.score_cam", "torchcam.score_cam", "gradcam.score_cam"),
        rounds=3,
    ),
    "score-cam-mobilenet": Workload(
        "Score-CAM, 1280 channels",
        "mobilenet_v2",
        "features",
        1,
        ("xaicore.score_cam", "xaicore.score_cam_folded", "torchcam.score_cam"),
        rounds=3,
    ),
    "opti-cam-or-score-cam": Workload(
        "A map by optimisation in the cone, or by Score-CAM's 512 passes",
        "resnet18",
        "layer4",
        1,
        ("xaicore.opti_cam_cone", "xaicore.opti_cam_cone_12", "gradcam.score_cam"),
        rounds=3,
    ),
    "ablation-cam": Workload(
        "Ablation-CAM, 2048 channels, linear head on averaged features",
        "resnet50",
        "layer4",
        1,
        ("xaicore.ablation_cam", "xaicore.ablation_cam_by_ablation", "gradcam.ablation_cam"),
        rounds=3,
        channels=128,
    ),
    "ablation-cam-vgg": Workload(
        "Ablation-CAM, 512 channels, head of three linear layers",
        "vgg16_bn",
        "features.42",
        1,
        ("xaicore.ablation_cam", "gradcam.ablation_cam"),
        rounds=3,
        channels=64,
    ),
    "ablation-cam-64px": Workload(
        "Ablation-CAM, every channel really ablated, linear head on averaged features",
        "resnet50",
        "layer4",
        1,
        ("xaicore.ablation_cam", "xaicore.ablation_cam_by_ablation", "gradcam.ablation_cam"),
        rounds=1,
        side=64,
    ),
    "ablation-cam-vgg-64px": Workload(
        "Ablation-CAM, every channel really ablated, head of three linear layers",
        "vgg16_bn",
        "features.42",
        1,
        ("xaicore.ablation_cam", "gradcam.ablation_cam"),
        rounds=1,
        side=64,
    ),
    "opti-cam": Workload(
        "Opti-CAM, one image",
        "resnet18",
        "layer4",
        1,
        OPTI_CAMS,
        rounds=3,
    ),
    "opti-cam-batch": Workload(
        "Opti-CAM, a batch",
        "resnet18",
        "layer4",
        8,
        OPTI_CAMS,
        rounds=3,
    ),
    "opti-cam-float64": Workload(
        "Opti-CAM, 10 iterations in float64, for the difference of the maps",
        "resnet18",
        "layer4",
        2,
        ("xaicore.opti_cam_float64", "authors.opti_cam_float64"),
        rounds=1,
    ),
    "insertion-deletion": Workload(
        "Insertion and deletion, 28 steps",
        "resnet18",
        "layer4",
        8,
        (
            *CURVES,
            "quantus.pixel_flipping",
            "quantus.region_perturbation",
        ),
        rounds=3,
    ),
    "insertion-deletion-mobilenet": Workload(
        "Insertion and deletion, 28 steps",
        "mobilenet_v2",
        "features",
        8,
        CURVES,
        rounds=3,
    ),
}

AIMS = (
    Aim(
        "six gradient CAMs cost at most 1.1 × one Grad-CAM of captum",
        "grad-cam",
        "xaicore.six_cams",
        ("captum.grad_cam",),
        1 / 1.1,
    ),
    Aim(
        "Grad-CAM at least 3 × faster than pytorch-grad-cam",
        "grad-cam",
        "xaicore.grad_cam",
        ("gradcam.grad_cam",),
        3,
    ),
    Aim(
        "Grad-CAM not slower than captum",
        "grad-cam",
        "xaicore.grad_cam",
        ("captum.grad_cam",),
        1,
    ),
    Aim(
        "Score-CAM of ResNet-18 at least 1.4 × faster than torchcam",
        "score-cam",
        "xaicore.score_cam",
        ("torchcam.score_cam",),
        1.4,
    ),
    Aim(
        "Ablation-CAM at least 500 × faster than pytorch-grad-cam",
        "ablation-cam",
        "xaicore.ablation_cam",
        ("gradcam.ablation_cam",),
        500,
    ),
    Aim(
        "Opti-CAM, one image, at least 3 × faster than the authors' code",
        "opti-cam",
        "xaicore.opti_cam",
        ("authors.opti_cam",),
        3,
    ),
    Aim(
        "Opti-CAM, a batch of 8, at least 3 × faster than the authors' code",
        "opti-cam-batch",
        "xaicore.opti_cam",
        ("authors.opti_cam",),
        3,
    ),
    Aim(
        "Opti-CAM in the cone, one image, at least 25 × faster than the authors' code",
        "opti-cam",
        "xaicore.opti_cam_cone",
        ("authors.opti_cam",),
        25,
    ),
    Aim(
        "Opti-CAM in the cone, a batch of 8, at least 22 × faster than the authors' code",
        "opti-cam-batch",
        "xaicore.opti_cam_cone",
        ("authors.opti_cam",),
        22,
    ),
    Aim(
        "Opti-CAM in the cone at least 40 × faster than pytorch-grad-cam's Score-CAM",
        "opti-cam-or-score-cam",
        "xaicore.opti_cam_cone",
        ("gradcam.score_cam",),
        40,
    ),
    Aim(
        "Score-CAM of MobileNet-V2, folded, at least 2 × faster than torchcam",
        "score-cam-mobilenet",
        "xaicore.score_cam_folded",
        ("torchcam.score_cam",),
        2,
    ),
    Aim(
        "insertion and deletion of MobileNet-V2, folded, at least 1.8 × faster than torchcam",
        "insertion-deletion-mobilenet",
        "xaicore.insertion_deletion_folded",
        ("torchcam.insertion_deletion",),
        1.8,
    ),
    Aim(
        "insertion and deletion of ResNet-18, folded, in bfloat16, at least 2.5 × faster",
        "insertion-deletion",
        "xaicore.insertion_deletion_bfloat16",
        ("torchcam.insertion_deletion",),
        2.5,
    ),
    Aim(
        "insertion and deletion of MobileNet-V2, folded, in bfloat16, at least 2.5 × faster",
        "insertion-deletion-mobilenet",
        "xaicore.insertion_deletion_bfloat16",
        ("torchcam.insertion_deletion",),
        2.5,
    ),
    Aim(
        "Opti-CAM, one image, at most 1.15 × its bare forwards and backwards to the input",
        "opti-cam",
        "xaicore.opti_cam",
        ("bare.passes",),
        1 / 1.15,
    ),
    Aim(
        "Opti-CAM, a batch of 8, at most 1.15 × its bare forwards and backwards to the input",
        "opti-cam-batch",
        "xaicore.opti_cam",
        ("bare.passes",),
        1 / 1.15,
    ),
    Aim(
        "insertion and deletion of ResNet-18, folded, at least 1.3 × faster than torchcam",
        "insertion-deletion",
        "xaicore.insertion_deletion_folded",
        ("torchcam.insertion_deletion",),
        1.3,
    ),
    Aim(
        "insertion and deletion at least 3 × faster than Quantus",
        "insertion-deletion",
        "xaicore.insertion_deletion",
        ("quantus.pixel_flipping", "quantus.region_perturbation"),
        3,
    ),
)


def quick(workload: Workload) -> Workload:
    """Return the workload made small, to see that every contender runs."""
    channels = min(workload.channels or 32, 32)
    return replace(workload, batch=min(workload.batch, 2), rounds=1, side=64, channels=channels)
