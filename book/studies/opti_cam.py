"""What the Opti-CAM chapter shows of photographs."""

from __future__ import annotations

import pandas as pd

from studies.benchmark import Benchmark
from xaicore import attribution as methods
from xaicore.evaluation import measure


def baseline_records(benchmark: Benchmark) -> pd.DataFrame:
    """Measure three methods on photographs against two baselines, in float32 throughout."""
    subject = benchmark.subject
    tables = []
    for baseline in ("black", "mean"):
        explainers = {
            "fake-cam": methods.FakeCAM(subject.classifier),
            "grad-cam": methods.GradCAM(subject.classifier),
            "opti-cam": methods.OptiCAM(subject.classifier, baseline=baseline),
        }
        table = measure(subject.classifier, subject.dataset, explainers, baseline, 8)
        tables.append(table.assign(baseline=baseline))
    return pd.concat(tables, ignore_index=True)
