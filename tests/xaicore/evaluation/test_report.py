"""The report's numbers: bounded intervals, ranks with ties, the key, and the contact sheet."""

import dataclasses
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import xaicore as xc
from xaicore.cli.main import main
from xaicore.evaluation.bounds import Values, intervals, per_image, ranks
from xaicore.evaluation.curves import COLUMN, SHARES, mean_curves, thinned
from xaicore.evaluation.report import bars, curves
from xaicore.metrics.measures import ASKS, MEASURES


def values_of(**values: list[float]) -> Values:
    """Return what records of AD give: one value per image for each method."""
    records = pd.DataFrame(
        [
            {"method": method, "metric": "AD", "image": i, "value": value}
            for method, of in values.items()
            for i, value in enumerate(of)
        ]
    )
    return per_image(records)


def test_an_interval_is_normal_where_it_stays_in_range():
    values = np.linspace(0.3, 0.7, 50)
    row = intervals(values_of(a=list(values))).loc["a", "AD"]
    half = 1.96 * 100 * values.std(ddof=1) / 50**0.5
    assert row["mean"] == pytest.approx(50)
    assert row["high"] - row["mean"] == pytest.approx(half)
    assert row["mean"] - row["low"] == pytest.approx(half)
    assert row["n"] == 50


def test_an_interval_never_leaves_what_can_be():
    rare = [1.0] + [0.0] * 39
    row = intervals(values_of(a=rare)).loc["a", "AD"]
    assert row["mean"] - 1.96 * 100 * np.std(rare, ddof=1) / 40**0.5 < 0  # the normal one would
    assert 0 <= row["low"] < row["mean"] < row["high"] <= 100
    pd.testing.assert_series_equal(row, intervals(values_of(a=rare)).loc["a", "AD"])


def test_one_image_has_no_interval():
    row = intervals(values_of(a=[0.25])).loc["a", "AD"]
    assert row["mean"] == 25
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_ranks_tie_where_no_difference_is_sure():
    draw = np.random.default_rng(0).uniform(0.2, 0.4, 60)
    noise = np.random.default_rng(1).normal(0, 0.05, 60)
    found = ranks(values_of(good=list(draw), alike=list(draw + noise), bad=list(draw + 0.3)))
    assert found["AD"].to_dict() == {"good": 1, "alike": 1, "bad": 3}  # of AD lower is better


def test_ranks_are_of_pairs_not_of_means():
    hard = np.random.default_rng(0).uniform(0, 1, 40)
    found = ranks(values_of(a=list(hard), b=list(hard + 0.01 + 1e-4 * np.arange(40) % 7)))
    assert found["AD"].to_dict() == {"a": 1, "b": 2}  # .01 apart, on every single image


def test_every_measure_says_what_it_asks():
    assert list(ASKS) == list(MEASURES)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """Return the folder of a run of the command line."""
    place = tmp_path_factory.mktemp("reported")
    words = (
        "evaluate --model xaibook.flowers:flower_classifier "
        "--images xaibook.flowers:validation_set --limit 9 --batch-size 9 "
        "--methods grad-cam,layer-cam,fake-cam --metrics ad,ag,insertion --curves rise"
    )
    command = [*words.split(), "--out", str(place / "a run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["xaicore", *command])
        assert main(command) == 0
    return place / "a run"


def test_a_report_has_pictures_of_the_best_and_the_worst(measured, capsys):
    assert main(["report", str(measured), "--by", "AG"]) == 0
    printed = capsys.readouterr().out
    assert "no contact sheet" not in printed
    assert "intervals are a rough guide" in printed  # nine images
    page = (measured / "report" / "report.html").read_text()
    assert page.index("Differences</h2>") < page.index("Ranks</h2>") < page.index("Means</h2>")
    assert "The image on which each method did best" in page
    assert ASKS["AG"] in page
    assert "src=" in page
    assert 'src="http' not in page
    table = pd.read_parquet(measured / "report" / "summary.parquet")
    assert list(table) == ["method", "metric", "mean", "low", "high", "n"]
    assert (measured / "report" / "sheet.png").is_file()


def test_a_report_draws_the_curves_that_a_run_has_kept(measured):
    records, found = xc.read_records(measured), xc.read_findings(measured)
    assert COLUMN not in records
    areas = records.query("metric == 'insertion'").groupby("method")["value"].mean()
    of_curves = found.curves.groupby("method")["mean"].apply(lambda m: np.trapezoid(m, SHARES))
    np.testing.assert_allclose(of_curves[areas.index] / 100, 100 * areas, atol=2)
    assert (found.curves["n"] == 9).all()
    assert "<h2>Curves</h2>" in found._repr_html_()
    assert "<h2>Curves</h2>" not in dataclasses.replace(found, curves=pd.DataFrame())._repr_html_()
    axes = curves(found).axes
    assert [ax.get_title() for ax in axes] == ["Grad-CAM", "Layer-CAM", "Fake-CAM"]
    assert all(len(ax.collections) == 1 for ax in axes)  # the band of insertion alone


def test_no_whisker_leaves_what_can_be(measured):
    for ax in bars(xc.read_findings(measured)).axes:
        for drawn in ax.collections:
            for segment in drawn.get_segments():
                assert segment[:, 0].min() >= -1e-9
                assert segment[:, 0].max() <= 100 + 1e-9


def test_a_curve_is_kept_coarsely():
    line = torch.linspace(0, 1, 225)[None]
    np.testing.assert_allclose(thinned(line), SHARES[None] / 100, atol=1e-7)
    ends = torch.tensor([[0.25, 1.0, 0.5]])
    np.testing.assert_allclose(thinned(ends)[0, [0, 10, 20]], [0.25, 1, 0.5])


def test_mean_curves_do_not_depend_on_the_chunks():
    drawn = np.random.default_rng(0).random((7, 21)).astype("float32")
    rows = {"method": "a", "metric": "deletion", COLUMN: [*drawn]}
    table = pd.concat([pd.DataFrame(rows), pd.DataFrame({**rows, "metric": "AD", COLUMN: [None]})])
    found = mean_curves([table.iloc[:3], table.iloc[3:]]).loc["a", "deletion"]
    np.testing.assert_allclose(found["mean"], 100 * drawn.mean(0, dtype=float), rtol=1e-6)
    half = 1.96 * 100 * drawn.std(0, ddof=1, dtype=float) / 7**0.5
    np.testing.assert_allclose(found["half_width"], half, rtol=1e-6)
    assert mean_curves([]).empty
    assert mean_curves([table.iloc[:1]])["half_width"].isna().all()  # one image has none


def test_a_report_says_why_it_has_no_pictures(measured, capsys):
    manifest = measured / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace("flower_classifier", "gone_classifier"))
    assert main(["report", str(measured)]) == 0
    assert "no contact sheet: model: " in capsys.readouterr().out
    manifest.write_text(text)
    assert main(["report", str(measured), "--no-pictures"]) == 0
    assert "no contact sheet" not in capsys.readouterr().out
    assert main(["report", str(measured), "--by", "AGG"]) == 2
    assert "did you mean AG" in capsys.readouterr().err


def test_findings_show_themselves_in_a_notebook(measured):
    found = xc.read_findings(measured)
    assert "Ranks" in found._repr_html_()
    assert found.title == "SmallResNet on 9 images of xaibook.flowers:validation_set"


def test_the_title_names_the_folder(measured):
    found = xc.read_findings(measured)
    command = shlex.join(["xaicore", "evaluate", "--images", "/data/birds/a val", "--model", "x"])
    moved = xc.Findings({**found.manifest, "command": command}, found.records, found.reference)
    assert moved.title.endswith("on 9 images of birds/a val")
