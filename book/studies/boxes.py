"""What a map inside the boxes of the class is worth, and what outside."""

from __future__ import annotations

import pandas as pd
from torch.utils.data import DataLoader

from studies.benchmark import Benchmark
from xaicore import attribution as methods
from xaicore.masking import normalize, upsample
from xaicore.metrics import box_study, confidence

STUDIED = ("grad-cam", "score-cam", "opti-cam")
OF_BOXES = ("B", "I∖B")
"""Masks that are the same for every method."""


def box_records(benchmark: Benchmark) -> pd.DataFrame:
    """Measure maps, their parts inside and outside the boxes, and the boxes, on photographs."""
    subject = benchmark.subject
    raw = {name: benchmark.explain(name)[name]["maps"] for name in STUDIED}
    boxes = subject.truth.boxes or []
    rows = []
    for first, (images, targets) in enumerate(DataLoader(subject.dataset, batch_size=8)):
        part = slice(8 * first, 8 * first + len(images))
        maps = {n: normalize(upsample(m[part], images.shape[-2:])) for n, m in raw.items()}
        maps["fake-cam"] = methods.FakeCAM(subject.classifier)(images, targets)
        for name, saliency in maps.items():
            for variant, masks in box_study(saliency, boxes[part]).items():
                if variant in OF_BOXES and name != "fake-cam":
                    continue
                p, o = confidence(subject.classifier, images, masks, targets)
                identity = {"image": range(part.start, part.stop), "method": name}
                rows.append(pd.DataFrame({**identity, "part": variant, "p": p, "o": o}))
    return pd.concat(rows, ignore_index=True)
