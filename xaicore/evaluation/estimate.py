"""What a run would compute, and what it would cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xaicore.attribution.capture import counted
from xaicore.evaluation.engine import continued, describe
from xaicore.evaluation.folder import Folder
from xaicore.evaluation.progress import first_failure
from xaicore.evaluation.run import Run, patiently, surroundings, usual_batch

ENOUGH = 5.0
"""Seconds that a batch must take to tell the cost of the others, if it is smaller than they."""

PLENTY = 30.0
"""Seconds after which the first batch is enough: what warms up is little of it."""


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
        probed: images of the batch that was timed, the last one.
        batches: how many were measured.
        failure: what failed first of what was measured, in words; empty if nothing did.
    """

    images: int
    left: int
    records: int
    forwards: float
    backwards: float
    seconds: float
    probed: int
    batches: int
    failure: str = ""

    def __str__(self) -> str:
        """Return the estimate in words."""
        total = self.seconds * self.left
        return (
            f"{self.images} images, {self.left} of them left to measure; {self.records} records\n"
            f"per image: {self.forwards:.1f} forwards, {self.backwards:.1f} backwards, "
            f"{self.seconds:.3g} s (measured: batch {self.batches}, of {self.probed} image"
            f"{'s' * (self.probed > 1)})\n"
            f"left: {self.forwards * self.left:.3g} forwards, {self.backwards * self.left:.3g} "
            f"backwards, {duration(total)} in one process like this one"
            + f"\nnot all can be measured; {self.failure}"
            * bool(self.failure)
        )


def estimate(run: Run, folder: Folder | None = None) -> Estimate:
    """Measure some batches and say what the run would cost; write nothing.

    Args:
        run: the run.
        folder: where it may have begun.

    Raises:
        ValueError: the folder holds something else.
        MemoryError: a batch of the run's size, or one image, does not fit.
    """
    sizes, done = run.sizes, 0
    if folder and (there := folder.manifest):
        run, sizes = continued(run, folder, there, describe(run))
        chunks = run.chunks(sizes)
        done = sum(len(chunks[number]) for number in folder.finished())
    elif folder:
        folder.refuse_things()
    with surroundings(sizes):
        *_, last = batches = list(_probed(run, sizes.batch))
    images = len(run.items)
    return Estimate(
        images,
        images - done,
        images * len(run.job.methods) * len(run.job.settings.metrics),
        last.forwards / last.images,
        last.backwards / last.images,
        last.seconds / last.images,
        last.images,
        len(batches),
        next(filter(None, (batch.failure for batch in batches)), ""),
    )


class Probe(NamedTuple):
    """What one batch cost."""

    images: int
    forwards: int
    backwards: int
    seconds: float
    failure: str


def _probed(run: Run, batch: int | None) -> Iterator[Probe]:
    """Measure batches, each twice as large, until the second or a later one is enough.

    It is, if it is as large as the batches of the run, or takes long enough. Where the batch size
    is not given, the search for it would end where memory does, and so does this.
    """
    count, whole = len(run.items), batch or usual_batch(run)
    size, first, done = 1, 0, 0
    while True:
        items = [run.items[place % count] for place in range(first, first + size)]
        try:
            with counted(run.job.classifier.net) as passes:
                began = time.perf_counter()
                records = patiently(run.job.in_batches(whole), items)
                seconds = time.perf_counter() - began
        except MemoryError:
            if done and batch is None:
                return
            raise
        yield Probe(size, passes.forwards, passes.backwards, seconds, first_failure(records))
        done += 1
        enough = size == min(whole, count) or seconds > ENOUGH
        if (done > 1 and enough) or seconds > PLENTY:
            return
        first, size = first + size, size if enough else min(2 * size, whole, count)


def duration(seconds: float) -> str:
    """Return a time in the unit in which it is easily read."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
