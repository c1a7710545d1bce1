"""The report of an evaluation at scale: tables, and what a larger one would take."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.report import Ratio, markdown, of_rounds, spread

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
    "rounds",
    "wall s",
    "images/s",
    "CPU s per image",
    "forwards per image",
    "backwards per image",
    "peak MiB of a process",
)


def costs_table(parts: Mapping[str, Found], titles: Mapping[str, str]) -> str:
    """Return what every part took, the median of its rounds."""
    rows = []
    for name, part in parts.items():
        images = images_of(name, part["sizes"])
        wall, cpu, forwards, backwards = (
            median(values(part, key)) for key in ("wall", "cpu", "forwards", "backwards")
        )
        rows.append(
            [
                titles[name],
                str(len(part["rounds"][0])),
                str(images),
                str(len(part["rounds"])),
                f"{wall:.0f}",
                f"{images / wall:.2f}",
                f"{cpu / images:.2f}",
                f"{forwards / images:.1f}",
                f"{backwards / images:.1f}",
                f"{max(process['peak'] for found in part['rounds'] for process in found):.0f}",
            ]
        )
    return markdown(HEADER, rows)


def images_of(name: str, sizes: Mapping[str, int]) -> int:
    """Return the images of a part."""
    counts = {"whole": sizes["images"], "costly": sizes["costly"], "twelve": 1}
    return counts.get(name, sizes["share"] * (2 if name == "two" else 1))


def values(part: Found, key: str) -> list[float]:
    """Return what each round took: the last process's wall time, the sum of all other costs."""
    together = max if key == "wall" else sum
    return [float(together(process[key] for process in found)) for found in part["rounds"]]


def against(part: Found, other: Found, key: str) -> Ratio:
    """Return a cost over that of another part, round by round."""
    pairs = zip(values(part, key), values(other, key), strict=False)
    return of_rounds([one / another for one, another in pairs])


def ratios(parts: Mapping[str, Found]) -> str:
    """Return how many times as much each loop took as xaicore, on the same images."""
    lines = []
    for name in ("torchcam", "quantus"):
        wall, cpu, forwards, backwards = (
            against(parts[name], parts["ours"], key)
            for key in ("wall", "cpu", "forwards", "backwards")
        )
        light = [against(parts[name], parts["folded"], key) for key in ("wall", "cpu")]
        lines.append(
            f"- The loop with the curves of {name}: {spread(wall)} times the wall time, "
            f"{spread(cpu)} times the CPU time, {forwards.median:.1f} times the forwards and "
            f"{backwards.median:.1f} times the backwards of xaicore; {spread(light[0])} and "
            f"{spread(light[1])} times the times of xaicore with the network folded, folding "
            "included."
        )
    return "\n".join(lines)


def agreement(parts: Mapping[str, Found]) -> str:
    """Return how far the means of AD and of the curves are from torchcam's."""
    ours, theirs = (parts[name]["rounds"][0][0]["means"] for name in ("ours", "torchcam"))
    gaps = {
        metric: max(abs(ours[name][metric] - theirs[name][metric]) for name in ours)
        for metric in ("AD", "AI", "AG", "insertion", "deletion")
    }
    listed = ", ".join(f"{metric} {gap:.3f}" for metric, gap in gaps.items())
    return f"Largest difference of a mean between xaicore and that loop: {listed}."


def memory(part: Found) -> str:
    """Return how the peak of memory grew while a run went on."""
    grown = [
        f"{first:.0f} MiB early on, {last:.0f} MiB at the end"
        for first, last in ((p["peaks"][1], p["peaks"][-1]) for p in part["rounds"][0])
    ]
    return f"Peak of memory of each process, as images were read: {'; '.join(grown)}."


def scaling(parts: Mapping[str, Found]) -> str:
    """Return what two processes reach with twice the images."""
    wall, cpu = (against(parts["two"], parts["ours"], key) for key in ("wall", "cpu"))
    each = Ratio(*(value / 2 for value in cpu))
    return (
        f"Weak scaling: two processes with twice the images take {spread(wall)} times the wall "
        f"time of one, and {spread(each)} times the CPU time an image."
    )


def estimate(twelve: Found, steps: int) -> str:
    """Return what 50,000 images by twelve methods take, from the passes of one image.

    Args:
        twelve: the measurement of twelve methods.
        steps: the steps of insertion and deletion in the estimate.
    """
    (process,) = twelve["rounds"][0]
    methods = len(process["means"])
    more = methods * 2 * (steps - twelve["steps"])
    forwards = process["forwards"] + more
    work = forwards + BACKWARD * process["backwards"]
    hours = [IMAGES * work / RATE / gpus / 3600 for gpus in GPUS]
    listed = ", ".join(f"{h:.1f} h on {g}" for h, g in zip(hours, GPUS, strict=True))
    return (
        f"- curves of {steps} steps: {forwards} forwards and {process['backwards']} backwards an "
        f"image; {listed} GPUs"
    )
