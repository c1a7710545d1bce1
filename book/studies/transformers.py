"""A vision transformer on photographs: the methods of the second table of the Opti-CAM paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd
from torch import Tensor

from studies import subjects
from studies.opti_cam import STEADY, Factory, Study, explained
from studies.scoring import saliency
from studies.subjects import Subject, say
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.evaluation.api import evaluate
from xaicore.metrics import CausalProtocol

VIT = "vit_tiny_patch16_224"
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
    yield measured(subject, MASKED)
    yield measured(subject, FOLLOWED, curves=CURVES)
    yield measured(subject.first(FEWER), DEAR, curves=CURVES)


def measured(
    subject: Subject, makers: Mapping[str, Factory], curves: CausalProtocol | None = None
) -> pd.DataFrame:
    """Return one row per image and method: what the mask keeps, where it lies, both curves."""
    kept = {
        name: explained(subject, name, make(subject.classifier)) for name, make in makers.items()
    }
    size = subject.dataset[0][0].shape[-2:]
    tables = []
    for name, of_method in kept.items():
        maps = saliency(of_method["maps"], size)
        table = from_records(_scores(subject, name, maps, truth=True))
        if curves is not None:
            followed = from_records(_scores(subject, name, maps, curves=curves))
            table[["insertion", "deletion"]] = followed[["insertion", "deletion"]]
        tables.append(table.assign(network=subject.name, seconds=of_method["seconds"]))
        say(f"{subject.name}: {name} measured")
    return pd.concat(tables, ignore_index=True)


def _scores(
    subject: Subject,
    name: str,
    maps: Tensor,
    truth: bool = False,
    curves: CausalProtocol | None = None,
) -> pd.DataFrame:
    """Records of one method; finished chunks stay on disk, as maps do."""
    asked = "placed" if truth else "followed"
    return evaluate(
        subject.classifier,
        subject.dataset,
        {name: maps},
        None if truth else ["insertion", "deletion"],
        out=subjects.KEPT / f"{subject.name}.{name}.{asked}.{len(subject)}",
        batch_size=subject.batch_size,
        truth=subject.truth if truth else None,
        curves=curves,
        strict=True,
        threads=1,
    )


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
