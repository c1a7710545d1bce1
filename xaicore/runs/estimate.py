"""What a run would compute, and what it would cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

from xaicore.attribution.capture import counted
from xaicore.runs.engine import patiently, surroundings
from xaicore.runs.folder import Folder
from xaicore.runs.plan import Run, Sizes

PROBED = 2
"""Batches that are measured to know what a run costs: the first warms up, the last counts."""


@dataclass(frozen=True)
class Estimate:
    """What a run would cost.

    Attributes:
        images: how many there are.
        left: how many are not measured yet.
        records: rows of the whole run.
        forwards: images that pass the network, per image.
        backwards: gradients that come back from the logits, per image.
        seconds: per image, in this process.
        batch: images at once.
        probed: images of the batch that was timed.
    """

    images: int
    left: int
    records: int
    forwards: float
    backwards: float
    seconds: float
    batch: int
    probed: int

    def __str__(self) -> str:
        """Return the estimate in words."""
        total = self.seconds * self.left
        return (
            f"{self.images} images, {self.left} of them left to measure; {self.records} records\n"
            f"per image: {self.forwards:.1f} forwards, {self.backwards:.1f} backwards, "
            f"{self.seconds:.3g} s (a batch of {self.probed} of {self.batch}, after another)\n"
            f"left: {self.forwards * self.left:.3g} forwards, {self.backwards * self.left:.3g} "
            f"backwards, {duration(total)} in one process like this one"
        )


def estimate(run: Run, folder: Folder | None = None) -> Estimate:
    """Measure two batches and say what the run would cost; write nothing.

    Args:
        run: the run.
        folder: where it may have begun.
    """
    there = folder.manifest if folder else None
    sizes = (
        Sizes(there["batch_size"], there["chunk_size"], there["threads"])
        if there
        else (run.settled())
    )
    assert sizes.batch is not None
    images, done = len(run.items), 0
    if there and folder:
        chunks = run.chunks(sizes)
        done = sum(len(chunks[number]) for number in folder.finished())
    with surroundings(sizes):
        for first in range(0, PROBED * sizes.batch, sizes.batch):
            places = range(first, min(first + sizes.batch, images)) or range(images)[: sizes.batch]
            items = [run.items[place] for place in places]
            with counted(run.job.classifier.net) as passes:
                began = time.perf_counter()
                patiently(run.job.in_batches(sizes.batch), items)
                seconds = time.perf_counter() - began
    count = len(items)
    records = images * len(run.job.methods) * len(run.job.settings.metrics)
    return Estimate(
        images,
        images - done,
        records,
        passes.forwards / count,
        passes.backwards / count,
        seconds / count,
        sizes.batch,
        count,
    )


def duration(seconds: float) -> str:
    """Return a time in the unit in which it is easily read."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
