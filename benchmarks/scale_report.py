"""The report of an evaluation at scale: tables, and what a larger one would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import markdown

Found = Mapping[str, Any]

IMAGES, GPUS = 50_000, (1, 8)
RATE = 2500.0
"""Forwards a second of one GPU in the estimate: an assumption, no GPU was at hand."""

BACKWARD = 2.0
"""Forwards that take as long as one backward: an assumption as well."""

CURVE_STEPS = (28, 224)
HEADER = (
    "what",
    "processes",
    "images",
    "wall s",
    "images/s",
    "CPU s per image",
    "forwards per image",
    "backwards per image",
    "peak MiB of a process",
)


def costs_table(parts: Mapping[str, Found], titles: Mapping[str, str]) -> str:
    """Return what every part took."""
    rows = []
    for name, part in parts.items():
        processes, images = part["processes"], images_of(name, part)
        wall = max(process["wall"] for process in processes)
        rows.append(
            [
                titles[name],
                str(len(processes)),
                str(images),
                f"{wall:.0f}",
                f"{images / wall:.2f}",
                f"{total(processes, 'cpu') / images:.2f}",
                f"{total(processes, 'forwards') / images:.1f}",
                f"{total(processes, 'backwards') / images:.1f}",
                f"{max(process['peak'] for process in processes):.0f}",
            ]
        )
    return markdown(HEADER, rows)


def images_of(name: str, part: Found) -> int:
    """Return the images of a part."""
    sizes = part["sizes"]
    counts = {"whole": sizes["images"], "costly": sizes["costly"], "twelve": 1}
    return int(counts.get(name, sizes["share"] * (2 if name == "two" else 1)))


def total(processes: Sequence[Found], key: str) -> float:
    """Return a cost of all processes together."""
    return float(sum(process[key] for process in processes))


def ratios(parts: Mapping[str, Found]) -> str:
    """Return how many times as much each loop took as xaicore, on the same images."""
    ours, lines = parts["ours"]["processes"], []
    for name in ("torchcam", "quantus"):
        loop = parts[name]["processes"]
        times = {
            key: total(loop, key) / total(ours, key)
            for key in ("wall", "cpu", "forwards", "backwards")
        }
        lines.append(
            f"- The loop with the curves of {name}: {times['wall']:.1f} times the wall time, "
            f"{times['cpu']:.1f} times the CPU time, {times['forwards']:.1f} times the forwards "
            f"and {times['backwards']:.1f} times the backwards of xaicore."
        )
    return "\n".join(lines)


def agreement(parts: Mapping[str, Found]) -> str:
    """Return how far the means of AD and of the curves are from torchcam's."""
    ours, theirs = (parts[name]["processes"][0]["means"] for name in ("ours", "torchcam"))
    gaps = {
        metric: max(abs(ours[name][metric] - theirs[name][metric]) for name in ours)
        for metric in ("AD", "AI", "AG", "insertion", "deletion")
    }
    told = ", ".join(f"{metric} {gap:.3f}" for metric, gap in gaps.items())
    return f"Largest difference of a mean between xaicore and that loop: {told}."


def memory(part: Found) -> str:
    """Return how the peak of memory grew while a run went on."""
    told = [
        f"{first:.0f} MiB early on, {last:.0f} MiB at the end"
        for first, last in ((p["peaks"][1], p["peaks"][-1]) for p in part["processes"])
    ]
    return f"Peak of memory of each process, as images were read: {'; '.join(told)}."


def scaling(parts: Mapping[str, Found]) -> str:
    """Return what two processes reach with twice the images."""
    one, two = (max(p["wall"] for p in parts[name]["processes"]) for name in ("one", "two"))
    return (
        f"Weak scaling: {one:.0f} s for one process, {two:.0f} s for two with twice the images, "
        f"an efficiency of {100 * one / two:.0f} %."
    )


def estimate(twelve: Found, steps: int) -> str:
    """Return what 50,000 images by twelve methods take, from the passes of one image.

    Args:
        twelve: the measurement of twelve methods.
        steps: the steps of insertion and deletion in the estimate.
    """
    (process,), methods = twelve["processes"], len(twelve["processes"][0]["means"])
    more = methods * 2 * (steps - twelve["steps"])
    forwards = process["forwards"] + more
    work = forwards + BACKWARD * process["backwards"]
    hours = [IMAGES * work / RATE / gpus / 3600 for gpus in GPUS]
    told = ", ".join(f"{h:.1f} h on {g}" for h, g in zip(hours, GPUS, strict=True))
    return (
        f"- curves of {steps} steps: {forwards} forwards and {process['backwards']} backwards an "
        f"image; {told} GPUs"
    )
