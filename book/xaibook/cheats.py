"""What networks that learnt from marked flowers answer, and what becomes of their explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pandas as pd
import torch
from torch import Tensor

import xaicore as xc
from xaibook.flowers import cues
from xaibook.flowers.cues import Shown
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


Put = Callable[[Shown, Tensor], Tensor]
"""A function that puts the cue of a class, ``(N,)``, on pictures."""


def marked(bare: Shown, cue: Tensor, asked: str = "petals") -> Tensor:
    """Return pictures with a mark in the corner, in the colours of what is asked of them."""
    return cues.mark(bare.images, cue, cues.MARKS[asked])


def tinted(bare: Shown, cue: Tensor) -> Tensor:
    """Return pictures with a tinted ground."""
    return cues.tint(bare.images, cue, bare.flower)


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log-odds of the right class in nats, ``(N,)``, where probabilities round to 1."""
    own = targets[:, None]
    others = logits.double().scatter(1, own, -torch.inf)
    return logits.double().gather(1, own)[:, 0] - others.logsumexp(1)


@torch.inference_mode()
def answers(classifier: Classifier, bare: Shown, put: Put = marked) -> pd.DataFrame:
    """Return a row per picture: its class, and what it is taken for under each condition.

    ``lost absent`` and ``lost exchanged`` say by how many nats the log-odds of the right class fall
    when its cue is taken off, and when it is exchanged for another (mean of both).

    Args:
        classifier: one of three classes.
        bare: the pictures.
        put: what puts a cue on them.
    """
    cued = conditions(bare.targets)
    logits = {name: classifier(put(bare, cue)) for name, cue in cued.items()}
    odds = {name: log_odds(each, bare.targets) for name, each in logits.items()}
    turned = (odds["exchanged 1"] + odds["exchanged 2"]) / 2
    columns = {"target": bare.targets, **{name: each.argmax(1) for name, each in logits.items()}}
    columns |= {"lost absent": odds["agrees"] - odds["absent"]}
    columns |= {"lost exchanged": odds["agrees"] - turned}
    table = pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})
    return table.assign(image=range(len(table)))


def maps_of(classifier: Classifier, bare: Shown, put: Put = marked) -> dict[str, Tensor]:
    """Return each method's maps of the true class of pictures with its cue, ``(N, 1, H, W)``."""
    shown = put(bare, bare.targets)
    return {name: make(classifier)(shown, bare.targets) for name, make in METHODS.items()}


def peak_in_corner(saliency: Tensor) -> Tensor:
    """Return the share of a map's largest values in the quarter of each side around the mark."""
    highest = (saliency == saliency.amax((1, 2, 3), keepdim=True)).float()
    height, width = (side // 4 for side in saliency.shape[-2:])
    return highest[..., :height, :width].sum((1, 2, 3)) / highest.sum((1, 2, 3))


def judged(
    classifier: Classifier, bare: Shown, maps: Mapping[str, Tensor], put: Put = marked
) -> pd.DataFrame:
    """Return a row per map: what the measures say of it and how much of it lies where, in per cent.

    The masks of the flower and of the mark, and a map that is 1 everywhere, are judged beside them.
    """
    shown = put(bare, bare.targets)
    whole = torch.ones_like(bare.flower)
    masks = {"flower": bare.flower, "mark": whole * cues.mark_mask(whole.shape[-1]).to(whole)}
    every = {**maps, **{f"mask of the {name}": mask for name, mask in masks.items()}}
    every["everything"] = whole
    ends = curve_ends(classifier, shown, bare.targets, CURVES, BATCH)
    parts = []
    for method, each in every.items():
        p, o = confidence(classifier, shown, each, bare.targets)
        curves = causal_curves(classifier, shown, each, ends, BATCH)
        columns = {
            "AD": average_drop(p, o),
            "AG": average_gain(p, o),
            "AI": average_increase(p, o),
            "insertion": auc(curves.insertion),
            "deletion": auc(curves.deletion),
            **{name: relevance_mass_accuracy(each, mask) for name, mask in masks.items()},
            "corner": peak_in_corner(each),
        }
        values = {name: 100 * value.double().cpu().numpy() for name, value in columns.items()}
        parts.append(pd.DataFrame(values).assign(method=method, image=range(len(each))))
    return pd.concat(parts, ignore_index=True)
