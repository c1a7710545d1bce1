"""What a step of Opti-CAM buys: the paper's weights and the cone's maps, by the passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from studies.opti_cam import Study, explained
from studies.scoring import batches, saliency, scored
from studies.subjects import Subject
from studies.transfer import jury
from xaicore.attribution import OptiCAM
from xaicore.attribution.opticam import PRESETS
from xaicore.metrics import relevance_mass_accuracy

STEPS = {"paper": (10, 25, 100), "fast": (30,), "cone": (6, 12, 24, 48, 200)}
"""How many iterations each preset is given on flowers."""


def frontier(maker: Subject) -> Iterator[pd.DataFrame]:
    """A row per (picture, preset, steps, judge): what the judge sees of the maker's maps.

    ``objective`` is the judge's logit of the masked picture, ``RMA`` the map's share on the flower.
    """
    judges = jury(maker)
    for preset, counts in STEPS.items():
        for steps in counts:
            kept = kept_maps(maker, preset, steps)
            for judge in judges:
                table = scored(judge, kept, preset=preset, steps=str(steps))
                table = table.rename(columns={"network": "judge"})
                yield table.assign(network=maker.name, RMA=on_truth(maker, kept))


def photographed(subject: Subject) -> Iterator[pd.DataFrame]:
    """The cone's maps of photographs; the paper's are in ``opti_cam.photographs``."""
    yield scored(
        subject, explained(subject, "opti-cam cone", OptiCAM(subject.classifier, preset="cone"))
    )


def kept_maps(subject: Subject, preset: str, steps: int) -> dict[str, Any]:
    """Return raw maps of a preset after some steps, and the seconds of each."""
    explain = OptiCAM(subject.classifier, steps, preset=preset)
    if explain.settings == PRESETS["fast"]:
        return explained(subject, "opti-cam", explain)
    label = "opti-cam" if explain.settings == PRESETS["paper"] else f"opti-cam {preset} {steps}"
    settings = "{}" if preset == "paper" else str(explain.settings)
    return subject.maps(label, explain, settings)


def on_truth(subject: Subject, kept: dict[str, Any]) -> list[float]:
    """Return the share of each saliency that lies on the truth."""
    masks = subject.truth.masks
    assert masks is not None
    found: list[float] = []
    for part, images, _ in batches(subject):
        maps = saliency(kept["maps"][part], images.shape[-2:])
        found += relevance_mass_accuracy(maps, masks[part]).tolist()
    return found


STUDIES = {
    "cone": Study(frontier, 100, {}),
    "photographs-cone": Study(photographed, 0, {"resnet18": 100, "squeezenet1_0": 100}),
}
