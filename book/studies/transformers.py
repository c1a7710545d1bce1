"""A vision transformer on photographs: the methods of the second table of the Opti-CAM paper."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from studies import subjects
from studies.opti_cam import STEADY, Factory, Study, explained
from studies.scoring import saliency
from studies.subjects import VIT, Subject, say
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.evaluation.api import evaluate
from xaicore.metrics import CausalProtocol

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
    "raw-attention": methods.RawAttention,
    "rollout": methods.AttentionRollout,
    "tibav": methods.TIBAV,
    "opti-cam": STEADY,
}

DEAR: Mapping[str, Factory] = {"score-cam": methods.ScoreCAM}
"""A pass for each of 192 channels: measured on fewer images, followed too."""

FEWER = 100


def transformer(subject: Subject) -> Iterator[pd.DataFrame]:
    """Masks, boxes and curves of every method, of the dear one on the first images only."""
    yield measured(subject, {**MASKED, **FOLLOWED}, FOLLOWED)
    yield measured(subject.first(FEWER), DEAR, DEAR)


def measured(
    subject: Subject, makers: Mapping[str, Factory], followed: Collection[str]
) -> pd.DataFrame:
    """Return one row per image and method: what the mask keeps, where it lies, some curves."""
    size = subject.dataset[0][0].shape[-2:]
    kept = {
        name: explained(subject, name, make(subject.classifier)) for name, make in makers.items()
    }
    maps = {name: saliency(made["maps"], size) for name, made in kept.items()}
    table = _scores(subject, maps, "placed", None, truth=subject.truth)
    chosen = {name: maps[name] for name in followed}
    curves = _scores(subject, chosen, "followed", ["insertion", "deletion"], curves=CURVES)
    columns = ["method", "image", "insertion", "deletion"]
    spent = [
        pd.DataFrame({"method": name, "image": range(len(subject)), "seconds": made["seconds"]})
        for name, made in kept.items()
    ]
    whole = table.drop(columns="seconds").merge(pd.concat(spent), validate="one_to_one")
    whole = whole.merge(curves[columns], how="left", validate="one_to_one")
    return whole.assign(network=subject.name)


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
