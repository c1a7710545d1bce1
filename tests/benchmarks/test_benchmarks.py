"""What the benchmarks count and compute, on nets and times made by hand; nothing is timed."""

import ast
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks import gradient_steps, lighter
from benchmarks.case import Passes
from benchmarks.checkouts import MODULE, VARIABLE, taking_part
from benchmarks.opti_cam_study import CANDIDATES, DEAR, summary
from benchmarks.race import difference, rotated
from benchmarks.report import aims_table, merged, ratio, verdict, workload_tables
from benchmarks.workloads import AIMS, WORKLOADS, Aim, quick
from xaicore.attribution.opticam import PRESETS


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
        "commit": "abc",
        "processor": "a processor",
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


def test_new_records_take_the_place_of_their_elders():
    score_cam = record("xaicore.score_cam", 0, 1.0, workload="score-cam")
    gone = record("xaicore.grad_cam", 0, 1.0, workload="of former times")
    again = [record("xaicore.grad_cam", 0, 3.0, commit="def")]
    assert merged([score_cam, gone, *RECORDS], again) == [*again, score_cam]


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
    modules = {c.split(".")[0] for w in WORKLOADS.values() for c in w.contenders}
    modules -= {"xaicore", "bare", MODULE}
    extra = {name.replace("-", "") for name in project["optional-dependencies"]["bench"]}
    assert modules == extra


def test_a_peer_that_is_not_checked_out_is_left_out_and_named(monkeypatch, tmp_path, capsys):
    workload = WORKLOADS["opti-cam"]
    for value in ("", str(tmp_path)):
        monkeypatch.setenv(VARIABLE, value)
        left = taking_part(workload).contenders
        assert left == tuple(c for c in workload.contenders if not c.startswith(MODULE))
        assert f"left out: {MODULE}.opti_cam; let {VARIABLE} name" in capsys.readouterr().out
    (tmp_path / "util.py").touch()
    assert taking_part(workload) == workload
    assert taking_part(WORKLOADS["grad-cam"]) == WORKLOADS["grad-cam"]


def test_an_aim_whose_peers_are_absent_is_not_judged():
    aim = Aim("far", "grad-cam", "xaicore.grad_cam", ("authors.grad_cam",), 2)
    assert "far" not in aims_table(RECORDS, [aim])


def test_the_study_compares_with_the_paper_and_holds_the_preset():
    assert next(iter(CANDIDATES)) == "paper"
    settings = {name: make.keywords["preset"] for name, make in CANDIDATES.items()}
    assert {name: settings[name] for name in PRESETS} == PRESETS
    assert all(set(names) <= set(CANDIDATES) for names in DEAR.values())


def test_the_study_says_how_much_of_the_papers_objective_is_reached():
    reached = {"paper": [10.0, 14.0], "other": [9.0, 13.0]}
    scores = {"AG": 50.0, "AD": 1.0, "AI": 100.0, "cpu_s": 0.5, "uniform": 4.0}
    rows = [
        {"candidate": name, "image": i, "objective": value, **scores}
        for name, values in reached.items()
        for i, value in enumerate(values)
    ]
    paper, other = summary(pd.DataFrame(rows))
    assert paper[1:4] == ["12.00", "100.0", "100.0"]
    assert (paper[8], other[8]) == ("100", "0")
    assert other[1:4] == ["11.00", "91.7", "87.5"]
    assert other[5] == "0.0 ± 0.0"


def test_a_lighter_pass_is_compared_within_its_round():
    rows = [
        {"network": "n", "way": way, "passes": passes, "cpu_s": seconds * turn, "round": turn}
        for way, seconds in {"as it is": 2.0, "folded": 1.0}.items()
        for passes in ("forward", "and backward")
        for turn in (1, 2, 3)
    ]
    first, second = lighter.speed(pd.DataFrame(rows))
    assert first == ["n", "as it is", *["4000.0", "1.00 (1.00–1.00)"] * 2]
    assert second == ["n", "folded", *["2000.0", "2.00 (2.00–2.00)"] * 2]


def test_a_lighter_way_says_by_how_much_values_and_orders_differ():
    values = {"as it is": [0.1, 0.2, 0.3, 0.4], "bfloat16": [0.1, 0.2, 0.36, 0.35]}
    rows = [
        {"way": way, "network": 0, "image": i // 2, "method": "ab"[i % 2], "metric": "deletion"}
        | {"value": value, "cpu_s": 1.0}
        for way, found in values.items()
        for i, value in enumerate(found)
    ]
    same, other = lighter.changes(pd.DataFrame(rows))
    assert same[2:] == ["0.00000", "0.00000", "0.00000", "100.0", "yes", "1.000"]
    assert other[2:] == ["0.02750", "0.06000", "0.03000", "50.0", "yes", "1.000"]


def test_quick_workloads_are_small():
    for workload in map(quick, WORKLOADS.values()):
        assert (workload.side, workload.rounds) == (64, 1)
        assert workload.batch <= 2
        assert workload.channels <= 32


def test_the_cost_of_an_aligned_step_is_relative_to_a_plain_one_of_its_round():
    found = gradient_steps.steps("the book's", "a plain step")
    assert found["cpu_s"] > 0
    assert found["peak_mib"] > 50
    rows = pd.DataFrame(
        [
            {"round": r, "network": "n", "step": step, "cpu_s": slow * cost, "peak_mib": 100 * cost}
            for r, slow in enumerate((1, 10))
            for step, cost in (("a plain step", 1), ("interpretable gradient", 3))
        ]
    )
    lines = gradient_steps.summary(rows)
    assert lines[1][3:] == ["3.00 (3.00–3.00)", "300", "3.00"]
