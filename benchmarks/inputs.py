"""Give ten inputs of the table of inputs to other libraries, and store what each does.

``python -m benchmarks.inputs`` writes ``inputs.json``; ``python -m tests.xaicore.inputs.page`` then
sets it into the book's page, beside what xaicore does, which tests hold.

Each library is called as its documentation shows: Grad-CAM of one layer, upsampled to the images
where the library does that. Quantus, which makes no maps, is given one that keeps the left half,
and asked for the curve of pixel flipping, of probabilities by its softmax.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import captum.attr
import numpy as np
import pytorch_grad_cam
import quantus
import torch
from pytorch_grad_cam.metrics.cam_mult_image import CamMultImageConfidenceChange
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputSoftmaxTarget,
    ClassifierOutputTarget,
)
from torch import Tensor, nn
from torchcam import methods, metrics

from tests.xaicore.inputs.subjects import (
    Cut,
    Halves,
    Returning,
    images,
    network,
    of_nan,
    of_one_logit,
    of_volumes,
    segmentation,
    small_resnet,
)

STORED = Path(__file__).with_name("inputs.json")
LIBRARIES = {"pytorch-grad-cam": "grad-cam", "captum": "captum", "torchcam": "torchcam"}
LIBRARIES |= {"Quantus": "quantus"}
"""What the libraries call themselves, and what their packages are called."""


@dataclass(frozen=True)
class Input:
    """A network and its images, already normalised as the network wants them.

    Args:
        net: the network.
        layer: the name of the layer that Grad-CAM looks at.
        inputs: the images.
        target: the class.
        measured: whether the confidence without the other half is asked for, not a map.
    """

    net: nn.Module
    layer: str
    inputs: Tensor
    target: int = 1
    measured: bool = False

    @property
    def targets(self) -> list[int]:
        """The class of each image."""
        return [self.target] * len(self.inputs)

    @property
    def half(self) -> Tensor:
        """Maps ``(B, 1, ...)`` that keep the left half."""
        maps = torch.zeros_like(self.inputs[:, :1])
        maps[..., : maps.shape[-1] // 2] = 1
        return maps


def normalised(channels: int = 3) -> Tensor:
    """Return the images of the table, from -1 to 1."""
    return (images(channels) - 0.5) / 0.5


def inputs() -> dict[str, Input]:
    """Return the inputs by the names of their rows."""
    seen, small = normalised(), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    softmax = nn.Sequential(*network(), nn.Softmax(1)).eval()
    by_name = Returning(lambda y: {"logits": y, "features": y[:1]}).eval()
    return {
        "a network of one channel (X-rays, MNIST)": Input(network(1), "1", normalised(1)),
        "volumes (1, 1, 8, 8, 8)": Input(
            of_volumes(), "1", small[:1, :1, :8, :8, None].expand(-1, -1, -1, -1, 8)
        ),
        "one logit, about -2, nothing said": Input(of_one_logit(), "1", seen, 0),
        "several labels, two of them surely there, one masked away": Input(
            Halves().eval(), "feat", torch.ones(1, 3, 16, 16), 0, measured=True
        ),
        "a softmax as last layer of the network": Input(softmax, "1", seen),
        'a dict with "logits"': Input(by_name, "net.1", seen),
        "a segmentation (B, C, H, W)": Input(Returning(segmentation).eval(), "net.1", seen),
        "`torch.no_grad()` inside the network, Grad-CAM": Input(
            Cut("no_grad").eval(), "net.1", seen
        ),
        "32 × 32 pixels in a ResNet: its last map is 1 × 1": Input(small_resnet(), "layer4", small),
        "a network that gives NaN": Input(of_nan(), "1", seen),
    }


def by_pytorch_grad_cam(given: Input) -> str:
    """Grad-CAM; or its measure, by its target of a softmax."""
    if given.measured:
        maps, change = given.half[:, 0].numpy(), CamMultImageConfidenceChange()
        softmax = [ClassifierOutputSoftmaxTarget(t) for t in given.targets]
        sigmoid = [lambda logits, t=t: logits[..., t].sigmoid() for t in given.targets]
        by_softmax, by_sigmoid = (
            change(given.inputs, maps, targets, given.net)[0] for targets in (softmax, sigmoid)
        )
        return (
            f"masked, the confidence changes by {by_softmax:+.3f} with its target of a softmax, by "
            f"{abs(by_sigmoid):.3f} with a function of one's own for target, a sigmoid"
        )
    layer = given.net.get_submodule(given.layer)
    method = pytorch_grad_cam.GradCAM(given.net, [layer])
    maps = method(given.inputs, [ClassifierOutputTarget(t) for t in given.targets])
    return told(torch.from_numpy(np.asarray(maps)))


def by_captum(given: Input) -> str:
    """Grad-CAM, upsampled."""
    if given.measured:
        return "has no such measure"
    layer = given.net.get_submodule(given.layer)
    method = captum.attr.LayerGradCam(given.net, layer)
    maps = method.attribute(given.inputs, given.targets, relu_attributions=True)
    size = tuple(given.inputs.shape[2:])
    return told(captum.attr.LayerAttribution.interpolate(maps, size))


def by_torchcam(given: Input) -> str:
    """Grad-CAM; or its measure of its own map, by a function of the logits that it is given."""
    method = methods.GradCAM(given.net, given.layer)
    if given.measured:
        metric = metrics.ClassificationMetric(method, torch.sigmoid)
        metric.update(given.inputs, given.targets)
        found = ", ".join(metric.summary())
        return f"measures its own maps alone ({found}), by a function of the logits, here a sigmoid"
    (maps,) = method(given.targets, given.net(given.inputs))
    return told(maps)


def by_quantus(given: Input) -> str:
    """Pixel flipping of maps that keep the left half."""
    places = given.inputs[0, 0].numel()
    metric = quantus.PixelFlipping(
        features_in_step=places // 4, perturb_baseline=0.0, disable_warnings=True
    )
    curves = metric(
        given.net,
        given.inputs.numpy(),
        np.array(given.targets),
        given.half.numpy(),
        device="cpu",
        softmax=True,
    )
    values = np.array(curves[0])
    if values.ndim > 1:
        return f"a curve whose points have the shape {values.shape[1:]}"
    return f"a curve from {values[0]:.3f} to {values[-1]:.3f}"


def told(maps: Tensor) -> str:
    """What maps are."""
    maps = maps.detach()
    what = f"maps of shape {tuple(maps.shape)}"
    if maps.isnan().any():
        return f"{what}, with NaN"
    same = maps.flatten(1).amax(1) == maps.flatten(1).amin(1)
    return f"{what}, {int(same.sum())} of {len(maps)} constant" if same.any() else what


CALLS: dict[str, Callable[[Input], str]] = {
    "pytorch-grad-cam": by_pytorch_grad_cam,
    "captum": by_captum,
    "torchcam": by_torchcam,
    "Quantus": by_quantus,
}


def outcome(call: Callable[[Input], str], given: Input) -> str:
    """What a library does with an input: what it returns, or its error; and its warnings."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        try:
            found = call(given)
        except Exception as error:
            words = " ".join(str(error).split())
            found = f"{type(error).__name__}: {words[:100]}{'…' if len(words) > 100 else ''}"
    remarks = {str(w.message) for w in warned if w.category is UserWarning}
    return "; warning: ".join([found, *sorted(remarks)])


def main() -> None:
    """Run all, print and store it."""
    rows = {
        name: {library: outcome(call, inputs()[name]) for library, call in CALLS.items()}
        for name in inputs()
    }
    versions = {library: version(package) for library, package in LIBRARIES.items()}
    versions["torch"] = version("torch").partition("+")[0]
    text = json.dumps({"versions": versions, "inputs": rows}, indent=1, ensure_ascii=False)
    STORED.write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
