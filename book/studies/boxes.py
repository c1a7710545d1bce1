"""What a map inside the boxes of the class is worth, and what outside."""

from __future__ import annotations

import pandas as pd

from studies.benchmark import Benchmark
from studies.scoring import batches, saliency
from xaibook.variants import box_study
from xaicore import attribution as methods
from xaicore.metrics import confidence

STUDIED = ("grad-cam", "score-cam", "opti-cam")
OF_BOXES = ("B", "I∖B")
"""Masks that are the same for every method."""


def box_records(benchmark: Benchmark) -> pd.DataFrame:
    """Measure maps, their parts inside and outside the boxes, and the boxes, on photographs."""
    subject = benchmark.subject
    raw = {name: benchmark.explain(name)[name]["maps"] for name in STUDIED}
    boxes = subject.truth.boxes or []
    rows = []
    for part, images, targets in batches(subject):
        maps = {name: saliency(kept[part], images.shape[-2:]) for name, kept in raw.items()}
        maps["fake-cam"] = methods.FakeCAM(subject.classifier)(images, targets)
        for name, of_method in maps.items():
            for variant, masks in box_study(of_method, boxes[part]).items():
                if variant in OF_BOXES and name != "fake-cam":
                    continue
                p, o = confidence(subject.classifier, images, masks, targets)
                identity = {"image": range(part.start, part.stop), "method": name}
                rows.append(pd.DataFrame({**identity, "part": variant, "p": p, "o": o}))
    return pd.concat(rows, ignore_index=True)
