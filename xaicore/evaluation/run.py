"""A run: what is done, with which images, in what portions; and its chunks, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pandas as pd
import torch

from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.explainer import check_evaluation_mode
from xaicore.classifier import check_name
from xaicore.evaluation.batch import PRECISIONS, Job, release
from xaicore.evaluation.curves import COLUMN
from xaicore.evaluation.dataset import Item, Items, batches
from xaicore.evaluation.price import bill
from xaicore.evaluation.progress import Progress, first_failure
from xaicore.processes import out_of_memory

T = TypeVar("T")

CHUNK = 64
USUAL_BATCH = 64
FIRST_BATCH = {"cpu": 8}
"""Where the search for a batch size starts, by device; elsewhere at ``USUAL_BATCH``."""

MOST_THREADS = 1024
"""More than machines have cores; OpenMP dies of the attempt to start very many."""


@dataclass(frozen=True)
class Sizes:
    """In what portions is measured: they decide the last bits of a result.

    Attributes:
        batch: images at once; ``None``: to be found.
        chunk: images in one file of records; ``None``: ``CHUNK``, or a batch if that is more.
        threads: threads of torch on the CPU; ``None``: as they are.
    """

    batch: int | None = None
    chunk: int | None = None
    threads: int | None = None

    def named(self) -> dict[str, int | None]:
        """Return the sizes as a manifest names them."""
        return {"batch_size": self.batch, "chunk_size": self.chunk, "threads": self.threads}


@dataclass(frozen=True)
class Run:
    """Everything that a run needs.

    Attributes:
        job: what is done with a batch.
        items: the data set.
        sizes: in what portions.
        workers: processes that read images ahead.
        strict: whether to stop at the first image that cannot be measured.

    Raises:
        ValueError: an argument cannot be used.
    """

    job: Job
    items: Items
    sizes: Sizes
    workers: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        count = len(self.items)
        if not count or not self.job.methods:
            raise ValueError("there is nothing to do: give at least one image and one method")
        check_name("precision", self.job.precision, PRECISIONS)
        for name, number in self.sizes.named().items():
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        if (self.sizes.threads or 0) > MOST_THREADS:
            raise ValueError(f"threads must be at most {MOST_THREADS}, not {self.sizes.threads}")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more, not {self.workers}")
        check_evaluation_mode(self.job.classifier)
        for method in self.job.methods.values():
            if isinstance(method, CAMExplainer):
                _ = method.classifier.layer  # which says so if there is none

    def settled(self) -> Sizes:
        """Return the sizes, all decided."""
        batch = self.sizes.batch or largest_batch(self)
        chunk = self.sizes.chunk or max(CHUNK, batch)
        return Sizes(batch, chunk, self.sizes.threads or torch.get_num_threads())

    def chunks(self, sizes: Sizes) -> list[range]:
        """Return the places of the images of every chunk."""
        assert sizes.chunk is not None
        starts = range(0, len(self.items), sizes.chunk)
        return [range(s, min(s + sizes.chunk, len(self.items))) for s in starts]


def usual_batch(run: Run) -> int:
    """Return the batch size that is tried first."""
    device = run.job.classifier.mean.device.type
    return min(FIRST_BATCH.get(device, USUAL_BATCH), len(run.items))


def largest_batch(run: Run) -> int:
    """Return the batch size that fits, halved from the device's usual one as often as needed.

    Cost: the first passes of the methods and metrics on one batch, for every size that is tried.

    Raises:
        MemoryError: not even one image fits.
    """
    size = usual_batch(run)
    while True:
        try:
            bill(run.job.in_batches(size), [run.items[place] for place in range(size)])
            return size
        except Exception as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise MemoryError("one image alone does not fit into the memory") from error
        release()
        size //= 2


def in_memory(run: Run, shown: bool | None) -> pd.DataFrame:
    """Measure everything in this process."""
    sizes = run.settled()
    chunks, parts = dict(enumerate(run.chunks(sizes))), []
    with closing(Progress(len(run.items), shown)) as progress, surroundings(sizes):
        for _, records in measured(run, sizes, chunks, progress):
            assert records is not None  # nobody else is at work on them
            parts.append(records.drop(columns=COLUMN, errors="ignore"))
            progress.add(records)
    return pd.concat(parts, ignore_index=True)


def measured(
    run: Run,
    sizes: Sizes,
    chunks: Mapping[int, range],
    progress: Progress,
    begin: Callable[[int, Sequence[Item]], bool] = lambda *_: True,
) -> Iterator[tuple[int, pd.DataFrame | None]]:
    """Yield chunks with their records, one after another; ``None`` if they are there meanwhile.

    Args:
        run: what is done with which images.
        sizes: in what portions.
        chunks: the places of the images of each chunk.
        progress: who is told.
        begin: is told of each batch of a chunk before it; False if someone else has finished it.
    """
    assert sizes.batch is not None
    job, size = run.job.in_batches(sizes.batch), sizes.batch
    portions = {n: [c[i : i + size] for i in range(0, len(c), size)] for n, c in chunks.items()}
    stream = batches(
        run.items, [list(p) for parts in portions.values() for p in parts], run.workers
    )
    for number, parts in portions.items():
        found = []
        for _ in parts:
            items = next(stream)
            if not begin(number, items):
                continue
            found.append(patiently(partial(job.records, items), len(items)))
            if run.strict:
                refuse_failures(found[-1])
            progress.open(found[-1])
        whole = len(found) == len(parts)
        yield number, pd.concat(found, ignore_index=True) if whole else None


def patiently(measure: Callable[[], T], size: int) -> T:
    """Measure a batch; where memory is short, once more after giving back what can be given back.

    Never in smaller batches: the same images would round differently.

    Args:
        measure: measures it.
        size: how many images it has.

    Raises:
        MemoryError: it is too short for this batch.
    """
    try:
        return measure()
    except Exception as error:
        if not out_of_memory(error):
            raise
    release()
    try:
        return measure()
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(
            f"a batch of {size} images does not fit into the memory that is free: free some "
            "and run the same command again, or give a new folder and a smaller batch size"
        ) from error


def refuse_failures(records: pd.DataFrame) -> None:
    """Refuse records that lack a value.

    Raises:
        ValueError: one does; the message says why.
    """
    if failure := first_failure(records):
        raise ValueError(failure)


@contextmanager
def surroundings(sizes: Sizes) -> Iterator[None]:
    """Set the number of threads, and let cuDNN take only algorithms that give the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(sizes.threads or threads)
    try:
        with torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True
        ):
            yield
    finally:
        torch.set_num_threads(threads)
