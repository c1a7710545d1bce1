"""A vision transformer on photographs: the methods of the second table of the Opti-CAM paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torchvision.models import ResNet50_Weights

from studies import subjects
from studies.opti_cam import STEADY, Factory, Study, explained
from studies.scoring import saliency
from studies.subjects import SIDE, VIT, WEIGHTS, Subject, photographs, real_images, say
from xaibook.photographs import free_photographs
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.classifier import to_pixels
from xaicore.evaluation.api import evaluate
from xaicore.metrics import CausalProtocol, confidence

CURVES = CausalProtocol(steps=5)
"""In as many steps as on the other networks that look at photographs."""

MASKED: Mapping[str, Factory] = {
    "fake-cam": methods.FakeCAM,
    "xgrad-cam": methods.XGradCAM,
    "layer-cam": methods.LayerCAM,
    "hires-cam": methods.HiResCAM,
}
"""Methods whose curves are not followed."""

FOLLOWED: Mapping[str, Factory] = {
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
    "score-cam": methods.ScoreCAM,
    "raw-attention": methods.RawAttention,
    "rollout": methods.AttentionRollout,
    "tibav": methods.TIBAV,
    "opti-cam": STEADY,
}

METHODS = {**MASKED, **FOLLOWED}

SHOWN = ("raw-attention", "rollout", "tibav", "grad-cam", "opti-cam")
"""The methods that are drawn."""


def transformer(subject: Subject) -> Iterator[pd.DataFrame]:
    """What the mask of every method keeps, where it lies, and the curves of some methods."""
    size = subject.dataset[0][0].shape[-2:]
    kept = {
        name: explained(subject, name, make(subject.classifier)) for name, make in METHODS.items()
    }
    maps = {name: saliency(made["maps"], size) for name, made in kept.items()}
    spent = [
        pd.DataFrame({"method": name, "image": range(len(subject)), "seconds": made["seconds"]})
        for name, made in kept.items()
    ]
    table = _scores(subject, maps, "placed", None, truth=subject.truth)
    table = table.drop(columns="seconds").merge(pd.concat(spent), validate="one_to_one")
    curved = {name: maps[name] for name in FOLLOWED}
    curves = _scores(subject, curved, "followed", ["insertion", "deletion"], curves=CURVES)
    columns = ["method", "image", "insertion", "deletion"]
    whole = table.merge(curves[columns], how="left", validate="one_to_one")
    yield whole.assign(network=subject.name)


def _scores(
    subject: Subject,
    maps: Mapping[str, Tensor],
    asked: str,
    metrics: Sequence[str] | None,
    **protocol: Any,
) -> pd.DataFrame:
    """A wide table of maps; finished chunks of images stay on disk, as maps do."""
    found = evaluate(
        subject.classifier,
        subject.dataset,
        maps,
        metrics,
        out=subjects.KEPT / f"{subject.name}.{asked}.{'-'.join(maps)}.{len(subject)}",
        batch_size=subject.batch_size,
        strict=True,
        **protocol,
    )
    say(f"{subject.name}: {len(maps)} methods {asked}")
    return from_records(found)


def attention() -> Iterator[pd.DataFrame]:
    """Raw maps of the most probable class, on photographs that may be shown; a row per patch."""
    classifier = photographs(VIT, real_images(), 0).classifier
    shown = free_photographs()
    pixels = torch.stack([to_pixels()(photograph.square(SIDE)) for photograph in shown])
    targets = classifier(pixels).argmax(1)
    for name in SHOWN:
        maps = FOLLOWED[name](classifier).raw(pixels, targets)
        p, o = confidence(classifier, pixels, saliency(maps, pixels.shape[-2:]), targets)
        for photograph, *found in zip(shown, maps[:, 0], targets, p, o, strict=True):
            yield _patches(*found).assign(photograph=photograph.name, method=name)


def _patches(values: Tensor, target: Tensor, p: Tensor, o: Tensor) -> pd.DataFrame:
    """A map as a row per patch, with its class and what masking makes of its probability."""
    rows, columns = values.shape
    return pd.DataFrame(
        {
            "class": ResNet50_Weights.DEFAULT.meta["categories"][target],
            "p": p.item(),
            "o": o.item(),
            "row": torch.arange(rows).repeat_interleave(columns),
            "column": torch.arange(columns).repeat(rows),
            "value": values.flatten().double().round(decimals=6),
        }
    )


TOLD = {
    "network": f"{VIT} ({WEIGHTS[VIT]})",
    "images": "photographs of scikit-image and scikit-learn",
    "precision": "float32",
}
"""What is to be said of the maps that are drawn."""

STUDIES = {
    "transformers": Study(
        transformer,
        0,
        {VIT: 300},
        told={
            "settings": {"opti-cam": STEADY.keywords["preset"].__dict__},
            "curves": f"{CURVES.steps} steps, blur {CURVES.blur}, removed: {CURVES.removed}",
            "precision": "float32",
        },
    ),
}
