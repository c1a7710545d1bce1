"""Put calls of other libraries and ours side by side on one network, and store how far apart.

``python -m benchmarks.coming_from`` writes ``coming_from.json`` and the tables of the book's page
of the same name. All compute on one small network with random weights, for two pictures of 64
pixels; maps are brought to the size of the picture and to [0, 1], each for itself. pytorch-grad-cam
and Quantus compute in float32. Quantus, which makes no maps, scores ours.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytorch_grad_cam
import quantus
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

import xaicore as xc

STORED = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[1] / "book" / "coming_from.md"
PACKAGES = {
    "pytorch-grad-cam": "grad-cam",
    "captum": "captum",
    "torchcam": "torchcam",
    "Quantus": "quantus",
}


@dataclass(frozen=True)
class Pair:
    """A call of another library and ours.

    Attributes:
        theirs: its call, as its users write it.
        ours: the same with xaicore.
        differs: what differs in the numbers, and why; empty if nothing does.
        run: returns their result and ours.
    """

    theirs: str
    ours: str
    differs: str
    run: Callable[[], tuple[Tensor, Tensor]]


def setting() -> tuple[xc.Classifier, Tensor, Tensor, Tensor]:
    """Return a classifier, its images, what the network receives of them, and the classes."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    model = xc.Classifier(net.eval().double(), layer="5")
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    return model, images, model.normalised(images), torch.tensor([3, 5])


MODEL, IMAGES, INPUTS, TARGETS = setting()
CLASSES = TARGETS.tolist()


def stretched(maps: Tensor) -> Tensor:
    """Return maps ``(B, h, w)`` at the size of the images, each in [0, 1]."""
    return xc.normalize(xc.upsample(maps[:, None].double(), IMAGES.shape[-2:]))


PLUS_PLUS = (
    "they add a small number to the denominator, which decides where gradients are small; ours is "
    "equation 19 of the paper with its fraction reduced, which needs none"
)
REST = "with the same masks; what is left was not looked into"
SCORE = "they mask what is normalised already, so that the mean colour stands where a pixel was"
POOLED = "captum's attributions are signed and of each colour; ours are pooled over the colours"
STEPS = "the mean over the steps, the first picture left out; in the same steps"


def by_grad_cam(theirs: str, ours: Callable[..., xc.Explainer]) -> tuple[Tensor, Tensor]:
    """A method of pytorch-grad-cam, and ours."""
    method = getattr(pytorch_grad_cam, theirs)(MODEL.net.float(), [MODEL.layer])
    maps = method(INPUTS.float(), [ClassifierOutputTarget(c) for c in CLASSES])
    MODEL.net.double()
    return stretched(torch.from_numpy(maps)), ours(MODEL)(IMAGES, TARGETS)


def by_torchcam(theirs: str, ours: Callable[..., xc.Explainer]) -> tuple[Tensor, Tensor]:
    """A method of torchcam, and ours."""
    with getattr(torchcam.methods, theirs)(MODEL.net, MODEL.layer) as method:
        logits = MODEL.net(INPUTS)
        (maps,) = method(CLASSES, logits)
    return stretched(maps.detach()), ours(MODEL)(IMAGES, TARGETS)


def by_captum(signed: Callable[[], Tensor], ours: xc.Explainer) -> tuple[Tensor, Tensor]:
    """Attributions of captum, made a map as ours are, and ours."""
    pooled = getattr(type(ours), "pool", lambda maps: maps)(signed().detach())
    return stretched(pooled[:, 0]), ours(IMAGES, TARGETS)


def deletion_by_quantus() -> tuple[Tensor, Tensor]:
    """The area under the deletion curve of one map, by Quantus and by us, in 64 steps."""
    maps = xc.GradCAM(MODEL)(IMAGES, TARGETS)
    metric = quantus.PixelFlipping(
        features_in_step=64, perturb_baseline=0.0, normalise=False, disable_warnings=True
    )
    curves = metric(
        model=MODEL.net.float(),
        x_batch=INPUTS.float().numpy(),
        y_batch=TARGETS.numpy(),
        a_batch=maps.expand(-1, 3, -1, -1).float().numpy(),
        device="cpu",
        softmax=True,
        channel_first=True,
    )
    MODEL.net.double()
    protocol = xc.metrics.CausalProtocol(steps=64, removed="mean")
    ours = xc.metrics.insertion_deletion(MODEL, IMAGES, maps, TARGETS, protocol)
    return torch.tensor(np.mean(curves, axis=1)), ours.deletion[:, 1:].mean(1)


def cams(
    call: str, made: Callable[..., tuple[Tensor, Tensor]], rows: Sequence[tuple[str, str, str]]
) -> list[Pair]:
    """Return pairs of class activation maps: their name, ours with its settings, what differs."""
    pairs = []
    for theirs, ours, differs in rows:
        name, _, setting = ours.partition(" ")
        option, _, value = setting.partition("=")
        settings = {option: value} if option else {}
        shown = f", {option}={value!r}" if option else ""
        method = partial(getattr(xc, name), **settings)
        run = partial(made, theirs, method)
        pairs.append(Pair(f"{theirs}{call}", f"xc.{name}(model{shown})(images, c)", differs, run))
    return pairs


def pixelwise(theirs: str, ours: type[xc.Explainer]) -> Pair:
    """Return a method of captum that looks at pixels, and ours."""

    def run() -> tuple[Tensor, Tensor]:
        pixels = IMAGES.clone().requires_grad_()
        attribute = getattr(captum.attr, theirs)(MODEL).attribute
        return by_captum(lambda: attribute(pixels, target=TARGETS), ours(MODEL))

    call = f"{theirs}(model).attribute(images, target=c)"
    return Pair(call, f"xc.{ours.__name__}(model)(images, c)", POOLED, run)


def layer_grad_cam() -> tuple[Tensor, Tensor]:
    """Grad-CAM of captum, and ours."""
    method = captum.attr.LayerGradCam(MODEL, MODEL.layer)
    return by_captum(
        lambda: method.attribute(IMAGES, TARGETS, relu_attributions=True), xc.GradCAM(MODEL)
    )


PAIRS = {
    "pytorch-grad-cam": cams(
        "(net, [layer])(inputs, [ClassifierOutputTarget(c)])",
        by_grad_cam,
        [
            ("GradCAM", "GradCAM", ""),
            ("GradCAMPlusPlus", "GradCAMPlusPlus", PLUS_PLUS),
            ("XGradCAM", "XGradCAM", ""),
            ("LayerCAM", "LayerCAM", ""),
            ("HiResCAM", "HiResCAM", ""),
            ("AblationCAM", "AblationCAM", ""),
            ("ScoreCAM", "ScoreCAM", SCORE),
            ("ScoreCAM", "ScoreCAM baseline=mean", REST),
        ],
    ),
    "torchcam": cams(
        "(net, layer)(c, net(inputs))",
        by_torchcam,
        [
            ("GradCAM", "GradCAM", ""),
            ("GradCAMpp", "GradCAMPlusPlus", PLUS_PLUS),
            ("XGradCAM", "XGradCAM", ""),
            ("LayerCAM", "LayerCAM", ""),
            ("ScoreCAM", "ScoreCAM", SCORE),
            ("ScoreCAM", "ScoreCAM baseline=mean", REST),
        ],
    ),
    "captum": [
        Pair(
            "LayerGradCam(model, layer).attribute(images, c, relu_attributions=True)",
            "xc.GradCAM(model)(images, c)",
            "captum's map is of the size of the layer, and not stretched",
            layer_grad_cam,
        ),
        pixelwise("Saliency", xc.Saliency),
        pixelwise("InputXGradient", xc.InputXGradient),
        pixelwise("IntegratedGradients", xc.IntegratedGradients),
        pixelwise("GuidedBackprop", xc.GuidedBackprop),
    ],
    "Quantus": [
        Pair(
            "PixelFlipping(features_in_step=64, …)(model=net, x_batch=inputs, …)",
            "xc.metrics.insertion_deletion(model, images, maps, c, protocol).deletion",
            STEPS,
            deletion_by_quantus,
        ),
    ],
}


def measured() -> dict[str, Any]:
    """Run every pair and return what the page shows."""
    warnings.simplefilter("ignore")
    rows = []
    for library, pairs in PAIRS.items():
        for pair in pairs:
            theirs, ours = pair.run()
            apart = (theirs.double() - ours.double()).abs().max().item()
            rows.append(
                {"library": library, "theirs": pair.theirs, "ours": pair.ours}
                | {"apart": float(f"{apart:.1e}"), "differs": pair.differs}
            )
            print(f"{library:17} {pair.theirs:75} {apart:.1e}", flush=True)
    versions = {name: version(package) for name, package in PACKAGES.items()}
    return {"versions": versions | {"torch": torch.__version__}, "rows": rows}


def tables(stored: dict[str, Any]) -> dict[str, str]:
    """Return the table of each library in Markdown, from what is stored."""
    found = {}
    for library in stored["versions"]:
        rows = [row for row in stored["rows"] if row["library"] == library]
        if rows:
            lines = [
                f"| `{row['theirs']}` | `{row['ours']}` | {row['apart']:.0e} | {row['differs']} |"
                for row in rows
            ]
            head = f"| {library} {stored['versions'][library]} | xaicore | apart | what differs |"
            found[library] = "\n".join([head, "|---|---|---|---|", *lines])
    return found


def set_into(page: str, stored: dict[str, Any]) -> str:
    """Return the page with its tables, each between the comments that name its library."""
    for library, table in tables(stored).items():
        start, end = f"% {library}: table\n", f"% {library}: end"
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n{table}\n\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    found = measured()
    STORED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(set_into(PAGE.read_text("utf-8"), found), "utf-8")
