"""One table of measures: a row is all that a new measure needs, and nothing else knows any."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor

import xaicore as xc
from tests.networks import classifier
from tests.xaicore.evaluation.subject import Some
from xaicore import metrics
from xaicore.attribution import GradCAM
from xaicore.evaluation.findings import Findings
from xaicore.evaluation.report import bars
from xaicore.evaluation.tables import as_table, summarize
from xaicore.metrics import MEASURES, Measure
from xaicore.metrics.measures import (
    BOXES,
    CURVES,
    JUDGES,
    LOGARITHM,
    MASKS,
    RATIO,
    SHARE,
    from_confidence,
    in_per_cent,
    named,
    usual,
)


def mean(case: object) -> Tensor:
    """The mean saliency of each map."""
    return case.maps.mean((1, 2, 3))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("unit", "factor"), [(SHARE, 100), (RATIO, 1)])
def test_a_row_is_all_that_a_measure_needs(
    unit: str, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Measure("toy", "↓", mean, unasked="", unit=unit)
    monkeypatch.setitem(MEASURES, toy.name, toy)
    model, dataset = classifier(), Some(4)
    unasked = xc.evaluate(model, dataset, {"m": GradCAM(model)}, batch_size=4)
    assert list(unasked["metric"].unique()) == ["AD", "AG", "AI", "toy"]
    found = xc.evaluate(model, dataset, {"m": GradCAM(model)}, ["TOY"], batch_size=4)
    maps = GradCAM(model)(dataset.images, torch.arange(4))
    assert found["value"].tolist() == maps.mean((1, 2, 3)).double().tolist()
    summary = summarize(found)
    assert summary.loc[("m", "toy"), "mean"] == pytest.approx(factor * found["value"].mean())
    assert list(as_table(summary, {})) == ["toy ↓", "± toy"]
    report = Findings({"data": {"images": 4}}, found, "m")
    assert list(report.means) == ["toy ↓", "± toy"]
    assert [ax.get_xlabel() for ax in bars(report).axes] == ["toy ↓"]


def test_a_measure_on_request_is_measured_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURES, "toy", Measure("toy", "↓", mean))
    assert "toy" not in usual(CURVES, BOXES, MASKS)
    assert named(["toy", "ad"]) == ("AD", "toy")


def test_what_is_given_decides_what_is_measured_unasked() -> None:
    assert usual() == ("AD", "AG", "AI")
    assert usual(CURVES) == ("AD", "AG", "AI", "insertion", "deletion")
    assert usual(BOXES) == ("AD", "AG", "AI", "OM", "LE", "SM", "F1", "SP", "EP")
    assert usual(MASKS) == ("AD", "AG", "AI", "IoU-AUC", "RMA", "RRA")
    assert usual(JUDGES) == ("AD", "AG", "AI", "transfer")
    on_request = set(MEASURES) - set(usual(CURVES, BOXES, MASKS, JUDGES))
    assert on_request == {"AOPC", "infidelity", "sensitivity-n", "MS", "ADCC"}


def test_every_row_is_whole() -> None:
    for name, row in MEASURES.items():
        assert row.name == name
        assert row.arrow in "↑↓"
        assert row.unit in (SHARE, LOGARITHM, RATIO)
        assert row.missing
    assert {name for name in MEASURES if not in_per_cent(name)} == {"SM", "MS"}
    p = o = torch.tensor([0.25])
    assert list(from_confidence(p, o)) == ["AD", "AG", "AI"]


def test_a_function_is_public_where_its_file_says_so() -> None:
    folder = Path(metrics.__file__).parent
    for file in folder.glob("[a-z]*.py"):
        module = import_module(f"xaicore.metrics.{file.stem}")
        for name in getattr(module, "__all__", ()):
            assert getattr(xc.metrics, name) is getattr(module, name)
