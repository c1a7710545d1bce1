"""What networks that learnt from marked flowers answer, and what becomes of their explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd
import torch
from torch import Tensor

import xaicore as xc
from xaibook.flowers import cues
from xaicore.classifier import Classifier
from xaicore.metrics import (
    CausalProtocol,
    auc,
    average_drop,
    average_gain,
    average_increase,
    causal_curves,
    confidence,
    curve_ends,
    relevance_mass_accuracy,
)

METHODS: Mapping[str, Callable[[Classifier], xc.Explainer]] = {
    "grad-cam": xc.GradCAM,
    "layer-cam": xc.LayerCAM,
    "opti-cam": partial(xc.OptiCAM, preset="fast"),
    "integrated-gradients": partial(xc.IntegratedGradients, steps=20, batch_size=50),
    "guided-backprop": xc.GuidedBackprop,
    "rise": partial(xc.RISE, masks=200, batch_size=100),
    "occlusion": partial(xc.Occlusion, window=10, stride=5, batch_size=144),
}
"""The methods that are asked, with the settings they have here."""

CURVES = CausalProtocol(steps=10, removed="mean")
"""Insertion from a blurred picture, deletion to the mean one, in few steps."""

BATCH = 50


def conditions(targets: Tensor) -> dict[str, Tensor]:
    """Return the cues that pictures carry: of the class, none, of the one and the other class."""
    none = torch.full_like(targets, cues.NO_CUE)
    turned = {f"exchanged {step}": (targets + step) % 3 for step in (1, 2)}
    return {"agrees": targets, "absent": none, **turned}


@torch.inference_mode()
def answers(classifier: Classifier, bare: cues.Shown, asked: str = "petals") -> pd.DataFrame:
    """Return a row per picture: its class, and what it is taken for under each condition.

    Args:
        classifier: one of three classes.
        bare: the pictures.
        asked: what is asked of them, a key of ``cues.CLASSES``; it decides the colours of marks.
    """
    columns = {
        condition: classifier(cues.mark(bare.images, cue, cues.MARKS[asked])).argmax(1).cpu()
        for condition, cue in conditions(bare.targets).items()
    }
    columns = {"target": bare.targets.cpu(), **columns}
    table = pd.DataFrame({name: values.numpy() for name, values in columns.items()})
    return table.assign(image=range(len(table)))


def maps_of(classifier: Classifier, bare: cues.Shown) -> dict[str, Tensor]:
    """Return each method's maps of the true class of pictures with its mark, ``(N, 1, H, W)``."""
    marked = cues.mark(bare.images, bare.targets)
    return {name: make(classifier)(marked, bare.targets) for name, make in METHODS.items()}


def judged(classifier: Classifier, bare: cues.Shown, maps: Mapping[str, Tensor]) -> pd.DataFrame:
    """Return a row per map: what the measures say of it and how much of it lies where, in per cent.

    The masks of the flower and of the mark, and a map that is 1 everywhere, are judged beside them.
    """
    marked = cues.mark(bare.images, bare.targets)
    whole = torch.ones_like(bare.flower)
    masks = {"flower": bare.flower, "mark": whole * cues.mark_mask(whole.shape[-1]).to(whole)}
    every = {**maps, **{f"mask of the {name}": mask for name, mask in masks.items()}}
    every["everything"] = whole
    ends = curve_ends(classifier, marked, bare.targets, CURVES, BATCH)
    parts = []
    for method, each in every.items():
        p, o = confidence(classifier, marked, each, bare.targets)
        curves = causal_curves(classifier, marked, each, ends, BATCH)
        columns = {
            "AD": average_drop(p, o),
            "AG": average_gain(p, o),
            "AI": average_increase(p, o),
            "insertion": auc(curves.insertion),
            "deletion": auc(curves.deletion),
            **{name: relevance_mass_accuracy(each, mask) for name, mask in masks.items()},
        }
        values = {name: 100 * value.double().cpu().numpy() for name, value in columns.items()}
        parts.append(pd.DataFrame(values).assign(method=method, image=range(len(each))))
    return pd.concat(parts, ignore_index=True)
