"""What a run would compute, and what it would cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tqdm import tqdm

from xaicore.evaluation.engine import continued, describe
from xaicore.evaluation.folder import Folder
from xaicore.evaluation.price import Bill, bill
from xaicore.evaluation.run import Run, patiently, surroundings, usual_batch

ENOUGH = 4.0
"""Seconds that a batch must take to tell the cost of the others, if it is smaller than they."""

PLENTY = 10.0
"""Seconds after which the first batch is enough: what warms up is little of it."""

PATIENCE = 1.0
"""Seconds after which a method, or a measure, is stopped whose first passes tell its pace."""


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
        partly: the methods whose pace was measured, not all of their passes.
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
    partly: tuple[str, ...] = ()
    failure: str = ""

    def __str__(self) -> str:
        """Return the estimate in words."""
        total = self.seconds * self.left
        return (
            f"{self.images} images, {self.left} of them left to measure; {self.records} records\n"
            f"per image: {self.forwards:.1f} forwards, {self.backwards:.1f} backwards, "
            f"{self.seconds:.3g} s (measured: batch {self.batches}, of {self.probed} image"
            f"{'s' * (self.probed > 1)}{self._told_partly()})\n"
            f"left: {self.forwards * self.left:.3g} forwards, {self.backwards * self.left:.3g} "
            f"backwards, {duration(total)} in one process like this one"
            + f"\nnot all can be measured; {self.failure}"
            * bool(self.failure)
        )

    def _told_partly(self) -> str:
        names = ", ".join(self.partly)
        return f"; of {names} the first passes, which tell the pace of all" if names else ""


def estimate(run: Run, folder: Folder | None = None, shown: bool | None = False) -> Estimate:
    """Measure parts of some batches and say what the run would cost; write nothing.

    Of a method of many passes the first ones tell its pace, as soon as they take ``PATIENCE``.

    Args:
        run: the run.
        folder: where it may have begun.
        shown: whether to show a bar; ``None``: if the errors go to a terminal.

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
        *_, last = batches = list(_probed(run, sizes.batch, shown))
    images = len(run.items)
    return Estimate(
        images,
        images - done,
        images * len(run.job.methods) * len(run.job.settings.metrics),
        last.bill.price.forwards / last.images,
        last.bill.price.backwards / last.images,
        last.bill.price.seconds / last.images,
        last.images,
        len(batches),
        tuple(name for name in run.job.methods if name in last.bill.partly),
        next(filter(None, (batch.bill.failure for batch in batches)), ""),
    )


class Probe(NamedTuple):
    """What one batch of so many images costs."""

    images: int
    bill: Bill


def _probed(run: Run, batch: int | None, shown: bool | None) -> Iterator[Probe]:
    """Price batches, each twice as large, until the second or a later one is enough.

    It is, if it is as large as the batches of the run, or takes long enough. Where the batch size
    is not given, the search for it would end where memory does, and so does this.
    """
    count, whole = len(run.items), batch or usual_batch(run)
    size, first, done = 1, 0, 0
    while True:
        items = [run.items[place % count] for place in range(first, first + size)]
        began = time.perf_counter()
        try:
            with _bar(len(run.job.methods), f"batch {done + 1}", shown) as told:
                found = patiently(
                    partial(bill, run.job.in_batches(whole), items, PATIENCE, told), size
                )
        except MemoryError:
            if done and batch is None:
                return
            raise
        yield Probe(size, found)
        done, seconds = done + 1, time.perf_counter() - began
        enough = size == min(whole, count) or seconds > ENOUGH
        if (done > 1 and enough) or seconds > PLENTY:
            return
        first, size = first + size, size if enough else min(2 * size, whole, count)


@contextmanager
def _bar(methods: int, name: str, shown: bool | None) -> Iterator[Callable[[str], None]]:
    """Show which method is priced."""
    silent = None if shown is None else not shown
    with tqdm(total=methods, unit=" methods", leave=False, disable=silent) as bar:

        def told(method: str) -> None:
            bar.set_description_str(f"{name}, {method}")
            bar.update()

        yield told


def duration(seconds: float) -> str:
    """Return a time in the unit in which it is easily read."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
