"""The report of an evaluation at scale, on numbers made by hand; nothing is timed."""

from __future__ import annotations

import pytest

from benchmarks.scale_report import (
    agreement,
    costs_table,
    estimate,
    images_of,
    memory,
    ratios,
    scaling,
)


def part(*walls: float, cpu: float = 8.0, forwards: int = 80, ad: float = 0.1) -> dict[str, object]:
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
        "processes": [process | {"wall": wall} for wall in walls],
        "sizes": {"images": 1000, "share": 8, "costly": 2},
        "steps": 3,
    }


PARTS = {
    "ours": part(10.0),
    "torchcam": part(20.0, cpu=24.0, forwards=160, ad=0.12),
    "quantus": part(40.0, cpu=32.0, forwards=200),
    "one": part(10.0),
    "two": part(11.0, 12.5),
}


def test_each_part_knows_its_images() -> None:
    found = {name: images_of(name, part(1.0)) for name in ("whole", "ours", "two", "costly")}
    assert found == {"whole": 1000, "ours": 8, "two": 16, "costly": 2}


def test_costs_are_per_image_and_of_all_processes() -> None:
    row = costs_table({"two": PARTS["two"]}, {"two": "both"}).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["both", "2", "16", "12", "1.28", "1.00", "10.0", "1.0", "900"]


def test_loops_are_held_against_the_same_images() -> None:
    first, second = ratios(PARTS).splitlines()
    assert "2.0 times the wall time, 3.0 times the CPU time, 2.0 times the forwards" in first
    assert "4.0 times the wall time, 4.0 times the CPU time, 2.5 times the forwards" in second
    assert "AD 0.020" in agreement(PARTS)


def test_memory_and_scaling_are_told() -> None:
    assert "900 MiB early on, 900 MiB at the end" in memory(PARTS["one"])
    assert "10 s for one process, 12 s for two" in scaling(PARTS)
    assert "80 %" in scaling(PARTS)


@pytest.mark.parametrize(("steps", "forwards"), [(3, 80), (28, 80 + 2 * 2 * 25)])
def test_an_estimate_follows_from_passes(steps: int, forwards: int) -> None:
    hours = 50_000 * (forwards + 2 * 8) / 2500 / 3600
    told = estimate(part(1.0), steps)
    assert f"{forwards} forwards and 8 backwards" in told
    assert f"{hours:.1f} h on 1, {hours / 8:.1f} h on 8 GPUs" in told
