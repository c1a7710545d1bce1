"""The report of an evaluation at scale, on numbers made by hand; nothing is timed."""

from __future__ import annotations

import pytest

from benchmarks.evaluation_at_scale import turns
from benchmarks.scale_report import (
    agreement,
    costs_table,
    estimate,
    images_of,
    memory,
    ratios,
    scaling,
)


def part(
    *walls: float, cpu: float = 8.0, forwards: int = 80, ad: float = 0.1, rounds: int = 1
) -> dict[str, object]:
    values = {"AD": ad, "AI": 0.0, "AG": 0.0, "insertion": 0.5, "deletion": 0.2}
    process = {
        "cpu": cpu,
        "forwards": forwards,
        "backwards": forwards // 10,
        "peak": 900.0,
        "peaks": [800.0, 900.0, 900.0],
        "means": {"grad-cam": values, "saliency": values},
    }
    return {
        "rounds": [[process | {"wall": wall} for wall in walls] for _ in range(rounds)],
        "sizes": {"images": 1000, "share": 8, "costly": 2},
        "steps": 3,
    }


PARTS = {
    "ours": part(10.0, rounds=2),
    "folded": part(8.0, cpu=6.0, rounds=2),
    "torchcam": part(20.0, cpu=24.0, forwards=160, ad=0.12),
    "quantus": part(40.0, cpu=32.0, forwards=200),
    "two": part(11.0, 12.5),
}


SIZES = {"images": 1000, "share": 8, "costly": 2}


def test_each_part_knows_its_images() -> None:
    found = {name: images_of(name, SIZES) for name in ("whole", "ours", "two", "costly", "twelve")}
    assert found == {"whole": 1000, "ours": 8, "two": 16, "costly": 2, "twelve": 1}


def test_what_is_compared_takes_turns_and_each_round_starts_with_another() -> None:
    assert list(turns(["whole", "ours", "two"], 3)) == [
        *[("ours", 0), ("two", 0), ("two", 1), ("ours", 1), ("ours", 2), ("two", 2)],
        ("whole", 0),
    ]
    assert list(turns(["costly"], 3)) == [("costly", 0)]


def test_costs_are_per_image_and_of_all_processes() -> None:
    row = costs_table({"two": PARTS["two"]}, {"two": "both"}).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["both", "2", "16", "1", "12", "1.28", "1.00", "10.0", "1.0", "900"]


def test_loops_are_held_against_the_same_images_round_by_round() -> None:
    first, second = ratios(PARTS).splitlines()
    assert (
        "2 (2–2) times the wall time, 3 (3–3) times the CPU time, 2.0 times the forwards" in first
    )
    assert "4 (4–4) times the wall time, 4 (4–4) times the CPU time, 2.5 times the" in second
    assert "2.5 (2.5–2.5) and 4 (4–4) times the times of xaicore with the network folded" in first
    rounds = PARTS | {"torchcam": part(20.0, rounds=2)}
    rounds["torchcam"]["rounds"][1][0]["wall"] = 30.0
    assert "2.5 (2–3) times the wall time" in ratios(rounds)
    assert "AD 0.020" in agreement(PARTS)


def test_memory_and_scaling_are_told() -> None:
    assert "900 MiB early on, 900 MiB at the end" in memory(PARTS["ours"])
    told = scaling(PARTS)
    assert "1.25 (1.25–1.25) times the wall time of one," in told
    assert "1 (1–1) times the CPU time an image" in told


@pytest.mark.parametrize(("steps", "forwards"), [(3, 80), (28, 80 + 2 * 2 * 25)])
def test_an_estimate_follows_from_passes(steps: int, forwards: int) -> None:
    hours = 50_000 * (forwards + 2 * 8) / 2500 / 3600
    told = estimate(part(1.0), steps)
    assert f"{forwards} forwards and 8 backwards" in told
    assert f"{hours:.1f} h on 1, {hours / 8:.1f} h on 8 GPUs" in told
