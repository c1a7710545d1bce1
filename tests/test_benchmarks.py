"""What the benchmarks count and compute, on nets and times made by hand; nothing is timed."""

import ast
import tomllib

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.case import Passes
from benchmarks.race import difference, rotated
from benchmarks.report import aims_table, ratio, verdict, workload_tables
from benchmarks.workloads import AIMS, WORKLOADS, Aim, quick


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1)
        self.layer = nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        return self.head(self.layer(self.stem(images)).mean((2, 3)))


def record(contender, turn, seconds, **others):
    return {
        "workload": "grad-cam",
        "contender": contender,
        "round": turn,
        "side": 224,
        "batch": 8,
        "wall_s": seconds,
        "cpu_s": seconds,
        "scale": 1.0,
        "peak_mib": 100.0 + turn,
        "added_mib": 10.0,
        "difference": None,
        **dict.fromkeys(Passes.KINDS, 1.0),
        **others,
    }


RECORDS = [
    *(record("xaicore.grad_cam", turn, s) for turn, s in enumerate([1.0, 2.0, 1.0])),
    *(record("captum.grad_cam", turn, s) for turn, s in enumerate([2.0, 2.0, 3.0])),
    *(record("torchcam.grad_cam", turn, s) for turn, s in enumerate([4.0, 8.0, 4.0])),
]


def test_forwards_are_counted_in_images():
    net = Net()
    passes = Passes(net)
    with torch.inference_mode():
        net(torch.rand(5, 3, 2, 2))
        net.head(torch.rand(7, 4))
    assert passes.counts == {"forwards": 5, "heads": 12}


def test_a_backward_that_stops_at_a_layer_is_not_a_whole_one():
    net = Net()
    passes = Passes(net)
    kept = []
    net.layer.register_forward_hook(lambda _m, _i, output: kept.append(output))
    scores = net(torch.rand(5, 3, 2, 2)).sum()
    torch.autograd.grad(scores, kept[0], retain_graph=True)
    assert passes.counts == {"forwards": 5, "heads": 5, "backwards": 5}
    scores.backward()
    assert passes.counts == {"forwards": 5, "heads": 5, "backwards": 10, "whole": 5}


def test_a_ratio_is_taken_round_by_round():
    assert ratio(RECORDS, "xaicore.grad_cam", "captum.grad_cam", "wall_s") == (2.0, 1.0, 3.0)
    assert ratio(RECORDS, "xaicore.grad_cam", "torchcam.grad_cam", "cpu_s") == (4.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("factor", "words"), [(2.0, "yes"), (2.5, "within the noise"), (3.5, "no")]
)
def test_an_aim_is_judged_by_the_median_round(factor, words):
    found = ratio(RECORDS, "xaicore.grad_cam", "captum.grad_cam", "wall_s")
    assert verdict(found, factor) == words


def test_an_aim_is_held_against_the_fastest_peer():
    aim = Aim(
        "twice", "grad-cam", "xaicore.grad_cam", ("torchcam.grad_cam", "captum.grad_cam"), 2.5
    )
    row = aims_table(RECORDS, [aim]).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["twice", "2.5", *["2 (1–3)", "within the noise"] * 2]


def test_the_table_says_what_is_scaled_up():
    scaled = [*RECORDS[:3], *(record("gradcam.grad_cam", t, 5.0, scale=16.0) for t in range(3))]
    table = workload_tables(scaled)
    assert "3 rounds" in table
    first, second = (line for line in table.splitlines() if "grad cam" in line)
    assert "≈" not in first
    assert "≈ 5" in second
    assert "pytorch-grad-cam" in second


def test_maps_are_compared_after_normalisation_and_areas_as_they_are():
    maps = np.array([[[0.0, 1.0], [2.0, 4.0]]])
    assert difference(maps, 3 * maps + 5) == 0
    assert difference(np.array([0.25, 0.5]), np.array([0.25, 1.0])) == 0.5
    assert difference(maps, None) is None


def test_every_contender_starts_a_round():
    items = ("a", "b", "c")
    assert {rotated(items, turn)[0] for turn in range(-1, 2)} == set(items)
    assert all(sorted(rotated(items, turn)) == sorted(items) for turn in range(-1, 3))


def test_workloads_name_calls_that_exist(root):
    for workload in WORKLOADS.values():
        for contender in workload.contenders:
            module, function = contender.split(".")
            tree = ast.parse((root / f"benchmarks/calls/{module}.py").read_text())
            assert function in {node.name for node in tree.body if hasattr(node, "name")}


def test_aims_name_contenders_of_their_workload():
    for aim in AIMS:
        assert {aim.ours, *aim.peers} <= set(WORKLOADS[aim.workload].contenders)


def test_the_extra_installs_every_peer(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    modules = {c.split(".")[0] for w in WORKLOADS.values() for c in w.contenders} - {"xaicore"}
    extra = {name.replace("-", "") for name in project["optional-dependencies"]["bench"]}
    assert modules == extra


def test_quick_workloads_are_small():
    for workload in map(quick, WORKLOADS.values()):
        assert (workload.side, workload.rounds) == (64, 1)
        assert workload.batch <= 2
        assert workload.channels <= 32
