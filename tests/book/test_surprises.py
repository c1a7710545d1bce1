"""What surprises about the leaderboard: the experiments do what they say, and so do the records."""

import pandas as pd
import pytest
import torch

from studies import surprises
from xaibook.chapter import stored
from xaibook.partbench import TWINS
from xaibook.partbench.benchmark import explain
from xaicore.attribution import GuidedBackprop, OptiCAM, Saliency


@pytest.fixture(scope="module")
def few():
    return surprises.pair(0, 6)


def test_gates_by_the_rules_of_the_library_are_its_methods(few):
    for settings, make in (({}, GuidedBackprop), ({"positive": False}, Saliency)):
        ours = few.maps(lambda network, s=settings: surprises.cut(network, **s))
        for task, maps in few.maps(make).items():
            torch.testing.assert_close(ours[task], maps, atol=1e-4, rtol=1e-3)


def test_without_a_price_the_search_is_opti_cam(few):
    task = TWINS[0]
    network, flowers = few.networks[task], few.twins.tasks[task]
    ours = surprises.ascend(network, flowers.images[:2], flowers.targets[:2])[3]
    library = explain(OptiCAM(network, iterations=3), flowers, torch.arange(2), 2)
    torch.testing.assert_close(ours, library, atol=1e-3, rtol=1e-2)


def test_masks_move_as_flowers_do(few):
    petals = few.twins.masks["petal"]
    centred = surprises.moved(petals, -surprises.heads_of(petals))
    assert surprises.heads_of(centred).abs().max() <= 1
    assert centred.sum() > 0.9 * petals.sum()


def test_the_nearest_mean_leaves_its_own_row_out():
    rows = torch.tensor([[0.0], [0.1], [1.0], [1.1], [0.9]])
    right = surprises.nearest_mean(rows, torch.tensor([0, 0, 1, 1, 0]))
    assert right.tolist() == [1, 1, 1, 1, 0]


def test_the_stored_records_are_whole():
    records, source = stored("vebi.surprises")
    assert set(records["experiment"]) == set(surprises.EXPERIMENTS)
    assert "150" in source["images"]
    keys = ["experiment", "method", "variant", "seed", "image", "metric"]
    assert not records.duplicated(keys).any()
    assert (records.groupby(keys[:3])["seed"].nunique() == 3).all()
    contrast = records[records["metric"] == "PC"].groupby(["method", "variant"])["value"].mean()
    assert contrast["mask", "hard, 64 px"] == pytest.approx(1)
    board, _ = stored("vebi.benchmark")
    both = records[records["variant"] == "trained"].merge(
        board, on=["image", "seed", "method", "metric"], suffixes=("", "_board")
    )
    assert isinstance(both, pd.DataFrame)
    assert len(both) > 1000
    assert (both["value"] - both["value_board"]).abs().max() < 1e-3
