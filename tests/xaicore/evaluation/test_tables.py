"""Records and the tables made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from tests.networks import classifier, pictures
from xaicore.attribution import FakeCAM, GradCAM
from xaicore.evaluation.api import evaluate
from xaicore.evaluation.dataset import Truth
from xaicore.evaluation.tables import as_table, paired_difference, summarize
from xaicore.metrics import (
    MEASURES,
    CausalProtocol,
    auc,
    average_drop,
    average_gain,
    average_increase,
    confidence,
    energy_pointing_game,
    insertion_deletion,
    relevance_mass_accuracy,
)

TARGETS = torch.tensor([0, 1, 2, 3, 4, 0, 1])


def records(batch_size: int = 3, baseline: str = "black") -> pd.DataFrame:
    model = classifier().double()
    dataset = TensorDataset(pictures(7).double(), TARGETS)
    explainers = {"grad-cam": GradCAM(model), "fake-cam": FakeCAM(model)}
    return evaluate(model, dataset, explainers, baseline=baseline, batch_size=batch_size)


def test_records_hold_one_row_per_image_method_and_metric() -> None:
    found = records()
    assert len(found) == 7 * 2 * 3
    assert not found.duplicated(["image", "method", "metric"]).any()
    assert set(found["metric"]) == {"AD", "AG", "AI"}
    assert found.groupby("image")["target"].first().tolist() == TARGETS.tolist()
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize("baseline", ["black", "mean"])
def test_records_are_the_metrics_image_by_image(baseline: str) -> None:
    model, images = classifier().double(), pictures(7).double()
    maps = GradCAM(model)(images, TARGETS)
    p, o = confidence(model, images, maps, TARGETS, baseline)
    found = records(baseline=baseline).query("method == 'grad-cam'")
    for name, metric in {"AD": average_drop, "AG": average_gain, "AI": average_increase}.items():
        values = found.query(f"metric == '{name}'")["value"]
        np.testing.assert_allclose(values, metric(p, o), atol=1e-12)


def test_records_do_not_depend_on_the_batch_size() -> None:
    timeless = [records(size).drop(columns="seconds") for size in (1, 7)]
    keys = ["image", "method", "metric"]
    one, all_at_once = (table.sort_values(keys, ignore_index=True) for table in timeless)
    pd.testing.assert_frame_equal(one, all_at_once, rtol=1e-9)


def table(values: dict[str, list[float]], seeds: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"image": i, "method": m, "metric": "AG", "value": v, "seed": s}
            for m, row in values.items()
            for i, v in enumerate(row)
            for s in range(seeds)
        ]
    )


def test_a_summary_is_the_mean_with_its_interval() -> None:
    summary = summarize(table({"a": [0.1, 0.2, 0.3, 0.4]}))
    row = summary.loc[("a", "AG")]
    assert row["mean"] == pytest.approx(25)
    assert row["half_width"] == pytest.approx(1.96 * np.std([10, 20, 30, 40], ddof=1) / 2)
    assert row["n"] == 4


def test_repeating_the_same_images_does_not_narrow_the_interval() -> None:
    once, thrice = (summarize(table({"a": [0.1, 0.2, 0.4]}, seeds)) for seeds in (1, 3))
    pd.testing.assert_frame_equal(once, thrice)


def test_a_table_for_reading_has_a_row_per_method_and_two_columns_per_metric() -> None:
    summary = summarize(records())
    found = as_table(summary, {"grad-cam": "Grad-CAM", "fake-cam": "Fake-CAM"})
    assert list(found) == ["AD ↓", "± AD", "AG ↑", "± AG", "AI ↑", "± AI"]
    assert list(found.index) == ["Grad-CAM", "Fake-CAM"]
    assert found.loc["Grad-CAM", "AD ↓"] == summary.loc[("grad-cam", "AD"), "mean"]
    assert found.loc["Fake-CAM", "± AG"] == summary.loc[("fake-cam", "AG"), "half_width"]


def test_a_paired_difference_compares_the_same_images() -> None:
    paired = table({"a": [0.1, 0.5, 0.9], "b": [0.0, 0.4, 0.8]})
    row = paired_difference(paired, "a", "b").loc["AG"]
    assert row["mean"] == pytest.approx(10)
    assert row["half_width"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="no method called c"):
        paired_difference(paired, "a", "c")


def test_a_paired_difference_pairs_within_each_network() -> None:
    """Means over networks, of pairs that exist: here b never looked with the second network."""
    one = table({"a": [0.1, 0.5], "b": [0.0, 0.1]}).assign(network=0)
    two = table({"a": [0.9, 0.9], "b": [0.7, 0.7]}).assign(network=1)
    both = pd.concat([one, two], ignore_index=True)
    row = paired_difference(both, "a", "b", within=["network"]).loc["AG"]
    assert row["mean"] == pytest.approx((10 + 40 + 20 + 20) / 4)
    assert row["n"] == 2
    assert list(paired_difference(both, "a", "b", by=["network"]).index.unique("network")) == [0, 1]
    partial = both[(both["network"] == 0) | (both["method"] == "a")]
    assert paired_difference(partial, "a", "b", within=["network"]).loc[
        "AG", "mean"
    ] == pytest.approx((10 + 40) / 2)


def test_no_column_tells_pairs_apart_that_was_not_named() -> None:
    """A further column is no part of a pair; where it is needed, the message names it."""
    one = table({"a": [0.1, 0.5], "b": [0.0, 0.1]}).assign(network=0)
    noted = one.assign(note=range(4), loss=[0.1, 0.2, 0.3, 0.4])
    expected = paired_difference(one, "a", "b")
    pd.testing.assert_frame_equal(paired_difference(noted, "a", "b"), expected)
    both = pd.concat([one, one.assign(network=1)], ignore_index=True)
    with pytest.raises(ValueError, match=r"several values of one method.* `within` .*network"):
        paired_difference(both, "a", "b")
    with pytest.raises(ValueError, match="no column fold"):
        paired_difference(both, "a", "b", within=["network", "fold"])


def test_a_table_of_some_metrics_keeps_their_values() -> None:
    """A part of a summary remembers the metrics it lost; they must not shift the columns."""
    one = table({"a": [0.1, 0.5], "b": [0.0, 0.1]})
    scales = {"AD": 1.0, "AI": 0.5, "LE": 0.2, "AG": 0.1}
    parts = [one.assign(metric=name, value=by * one["value"]) for name, by in scales.items()]
    summary = summarize(pd.concat(parts))
    some = summary[summary.index.isin(["AI", "AG"], level="metric")]
    shown = as_table(some, {})
    assert list(shown) == ["AI ↑", "± AI", "AG ↑", "± AG"]
    for metric in ("AG", "AI"):
        expected = summary["mean"].xs(metric, level="metric")
        assert shown[f"{metric} ↑"].tolist() == expected.tolist()


CURVES = CausalProtocol(steps=5)


BOXES = [torch.tensor([[2.0, 2.0, 9.0, 12.0]])] * 6 + [
    torch.tensor([[0.0, 0, 5, 5], [8, 8, 16, 16]])
]


def everything(batch_size: int = 3, maps: torch.Tensor | None = None) -> pd.DataFrame:
    """Measure Grad-CAM, or maps made before, by every metric that is measured unasked."""
    model, images = classifier().double(), pictures(7).double()
    masks = torch.zeros(7, 1, 16, 16, dtype=torch.float64)
    masks[..., 3:9, 4:10] = 1
    return evaluate(
        model,
        TensorDataset(images, TARGETS),
        {"m": GradCAM(model) if maps is None else maps},
        batch_size=batch_size,
        curves=CURVES,
        truth=Truth(BOXES, masks),
        judges={"itself": model},
        strict=True,
    )


def test_every_metric_is_its_function_image_by_image() -> None:
    model, images = classifier().double(), pictures(7).double()
    found = everything()
    unasked = [name for name, row in MEASURES.items() if row.unasked is not None]
    assert len(found) == 7 * len(unasked)
    assert list(found["metric"].unique()) == unasked
    wide = found.pivot(index="image", columns="metric", values="value")
    maps = GradCAM(model)(images, TARGETS)
    curves = insertion_deletion(model, images, maps, None, CURVES)
    np.testing.assert_allclose(wide["insertion"], auc(curves.insertion), atol=1e-12)
    np.testing.assert_allclose(wide["deletion"], auc(curves.deletion), atol=1e-12)
    masks = torch.zeros(7, 1, 16, 16)
    masks[..., 3:9, 4:10] = 1
    np.testing.assert_allclose(wide["RMA"], relevance_mass_accuracy(maps, masks), atol=1e-12)
    energy = float(energy_pointing_game(maps[6:], BOXES[6:]))
    assert wide["EP"].iloc[6] == pytest.approx(energy)


def test_measuring_does_not_depend_on_the_batch_size() -> None:
    one, all_at_once = (everything(size).drop(columns="seconds") for size in (1, 7))
    pd.testing.assert_frame_equal(one, all_at_once, rtol=1e-9)


def test_maps_made_elsewhere_are_scored_alike() -> None:
    model, images = classifier().double(), pictures(7).double()
    maps = GradCAM(model).raw(images, TARGETS)
    ours, theirs = (
        table.drop(columns="seconds") for table in (everything(), everything(maps=maps))
    )
    pd.testing.assert_frame_equal(ours, theirs)


def test_degenerate_maps_are_counted() -> None:
    model, images = classifier(), pictures(7)
    maps = torch.rand(7, 1, 4, 4)
    maps[2] = 0.5
    found = evaluate(model, TensorDataset(images, TARGETS), {"m": maps}, ["AD"])
    assert found["degenerate"].tolist() == [False, False, True, False, False, False, False]


def test_a_logarithm_is_no_percentage() -> None:
    records = pd.DataFrame({"image": [0, 1], "method": "m", "metric": "SM", "value": [1.0, 3.0]})
    assert summarize(records).loc[("m", "SM"), "mean"] == 2
