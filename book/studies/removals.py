"""Does the order of the methods depend on what stands where a pixel was?

The pixels of highest saliency go, a share after the other, and each hole is black, of the mean
colour, blurred, or filled from its borders as ROAD fills it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from studies.benchmark import CHEAP, FLOWERS, Factory
from studies.opti_cam import Study
from studies.scoring import batches
from studies.subjects import Subject
from studies.vebi import kept
from xaicore import attribution as methods
from xaicore.classifier import Classifier
from xaicore.metrics import (
    CausalProtocol,
    auc,
    causal_curves,
    curve_ends,
    infidelity,
    sensitivity_n,
)

REMOVED = ("black", "mean", "blur", "linear")
"""The blur is the wide one of the book's insertion: the papers' hides nothing at 64 pixels."""

STEPS = 5
SOME: dict[str, Factory] = {
    name: (CHEAP | FLOWERS)[name]
    for name in (
        "grad-cam",
        "grad-cam++",
        "saliency",
        "guided-backprop",
        "integrated-gradients",
        "occlusion",
    )
}
SOME |= {
    "opti-cam": lambda model: methods.OptiCAM(model, preset="fast"),
    "noise": methods.Noise,
}
"""Methods, and a map that knows nothing of the network."""

ADDED_UP: dict[str, Callable[..., Tensor]] = {
    "infidelity": infidelity,
    "sensitivity-n": sensitivity_n,
}
SAMPLES = 20
"""Random sets of infidelity and of sensitivity-n."""


def removals(subject: Subject) -> Iterator[pd.DataFrame]:
    """Deletion under every removal, infidelity and sensitivity-n: a row per image and method."""
    for method in SOME:
        make = partial(_of_method, subject, method)
        table = kept(f"{subject.name}.removals.{method}.{len(subject)}", make, None)
        yield table.assign(network=subject.name, method=method)


def _of_method(subject: Subject, method: str) -> pd.DataFrame:
    """One method on all images of a subject."""
    explain, parts = SOME[method](subject.classifier), []
    for part, images, targets in batches(subject):
        measured = _measured(subject.classifier, explain(images, targets), images, targets)
        measured["image"], measured["target"] = range(part.start, part.stop), targets.numpy()
        parts.append(measured)
    return pd.concat(parts, ignore_index=True)


def _measured(model: Classifier, maps: Tensor, images: Tensor, targets: Tensor) -> pd.DataFrame:
    found: dict[str, Any] = {}
    for name in REMOVED:
        absent = gaussian_blur(images, [15, 15], [7.0]) if name == "blur" else name
        protocol = CausalProtocol(steps=STEPS, blur=None, removed=absent)
        curves = causal_curves(model, images, maps, curve_ends(model, images, targets, protocol))
        found[f"deletion, {name}"] = auc(curves.deletion).numpy()
        found[f"insertion, {name}"] = auc(curves.insertion).numpy()
    for name, measure in ADDED_UP.items():
        found[name] = measure(model, images, maps, targets, samples=SAMPLES).numpy()
    return pd.DataFrame(found)


STUDIES = {
    "removals": Study(
        removals,
        60,
        {},
        {"curves": f"{STEPS} steps of the true class, from what stands where pixels were"},
    )
}
