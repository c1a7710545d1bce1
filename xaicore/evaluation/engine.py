"""The engine: measures the chunks of a run, in memory, or on disk by any number of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from xaicore.evaluation.folder import Folder, Records
from xaicore.evaluation.job import Job, out_of_memory, release
from xaicore.evaluation.loading import Item, batches
from xaicore.evaluation.plan import Run, Sizes
from xaicore.evaluation.progress import Progress, first_failure
from xaicore.processes import PAUSE, Process, started

STALE = 120.0
"""Seconds after which a silent process is taken for dead: others do its chunk as well."""

LONG_AGO = 3600.0
"""Seconds after which a file that is half written was surely left by a killed process."""


def in_memory(run: Run, shown: bool | None) -> Records:
    """Measure everything in this process."""
    sizes = run.settled()
    chunks, parts = dict(enumerate(run.chunks(sizes))), []
    with closing(Progress(len(run.items), shown)) as progress, surroundings(sizes):
        for _, records in measured(run, sizes, chunks, progress):
            parts.append(records)
            progress.add(records)
    return pd.concat(parts, ignore_index=True)


def on_disk(run: Run, path: Path, shown: bool | None) -> tuple[int, str]:
    """Measure what is not in a folder yet, while other ranks, if there are any, do the same.

    Chunk ``i`` is for rank ``i`` modulo their number. Who has finished takes over what nobody is at
    work on, so that the run ends though others may have died; a chunk that two have measured is the
    same twice.

    Returns:
        How many images have failed, of those that this process has seen; and one failure, in words.
    """
    folder, us = Folder(path), started()
    run, sizes = agree(run, folder, us)
    chunks = dict(enumerate(run.chunks(sizes)))
    bar = Progress(len(run.items), shown if us.first else False)
    with closing(bar), surroundings(sizes):
        board = Board(folder, bar)
        board.resume(folder.tidy(0 if us.world == 1 else LONG_AGO))
        ours = [n for n in chunks if n % us.world == us.rank and n not in board.seen]
        _measure_chunks(run, sizes, {n: chunks[n] for n in ours}, board)
        while left := [n for n in reversed(chunks) if n not in board.seen]:
            idle = [n for n in left if folder.idle(n) > STALE]
            if idle:
                number = idle[us.rank % len(idle)]
                _measure_chunks(run, sizes, {number: chunks[number]}, board)
            else:
                time.sleep(PAUSE)
                board.look()
    return bar.failed, bar.example


@dataclass
class Board:
    """What is finished, of all ranks.

    Attributes:
        folder: the folder of the run.
        progress: who is told.
        seen: the chunks that are known to be finished.
    """

    folder: Folder
    progress: Progress
    seen: set[int] = field(default_factory=set)

    def resume(self, finished: set[int]) -> None:
        """Count what was finished before."""
        for number in sorted(finished):
            self.progress.resume(self.folder.read(number))
        self.seen |= finished

    def begin(self, number: int) -> bool:
        """Say that this process is at work on a chunk; return False if it is finished."""
        if self.folder.chunk(number).is_file():
            return False
        self.folder.claim(number)
        return True

    def look(self) -> None:
        """Count what others have finished since the last look."""
        for number in sorted(self.folder.listed() - self.seen):
            self.progress.add(self.folder.read(number))
            self.seen.add(number)


def _measure_chunks(run: Run, sizes: Sizes, chunks: Mapping[int, range], board: Board) -> None:
    """Measure and keep chunks, but for those that turn out to be there."""
    for number, records in measured(run, sizes, chunks, board.progress, board.begin):
        if records is not None:
            board.folder.commit(number, records)
            board.progress.add(records)
            board.seen.add(number)
        board.look()


def agree(run: Run, folder: Folder, us: Process) -> tuple[Run, Sizes]:
    """Begin the run, or find how it was begun.

    Raises:
        ValueError: the folder holds another run.
    """
    here = run.describe()
    if us.first and folder.manifest is None:
        folder.refuse_things()
        folder.begin(here | run.settled().named())
    return continued(run, folder, us.await_first(lambda: folder.manifest), here)


def continued(
    run: Run, folder: Folder, there: Mapping[str, Any], here: dict[str, Any]
) -> tuple[Run, Sizes]:
    """Return the run as it was begun, with its sizes.

    Args:
        run: the run.
        folder: where it was begun.
        there: the manifest of the folder.
        here: what the run says of itself.

    Raises:
        ValueError: the folder holds another run.
    """
    decided = {key: there.get(key) for key in run.sizes.named() if here[key] is None}
    folder.refuse_other(there, here | decided)
    methods = {name: run.job.methods[name] for name in there["methods"]}
    sizes = Sizes(there["batch_size"], there["chunk_size"], there["threads"])
    return replace(run, job=replace(run.job, methods=methods)), sizes


def measured(
    run: Run,
    sizes: Sizes,
    chunks: Mapping[int, range],
    progress: Progress,
    begin: Callable[[int], bool] = lambda _: True,
) -> Iterator[tuple[int, Records | None]]:
    """Yield chunks with their records, one after another; ``None`` if they are there meanwhile.

    Args:
        run: what is done with which images.
        sizes: in what portions.
        chunks: the places of the images of each chunk.
        progress: who is told.
        begin: is told before each batch of a chunk; False if someone else has finished it.
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
            if not begin(number):
                continue
            found.append(patiently(job, items))
            if run.strict:
                refuse_failures(found[-1])
            progress.open(found[-1])
        whole = len(found) == len(parts)
        yield number, pd.concat(found, ignore_index=True) if whole else None


def patiently(job: Job, items: Sequence[Item]) -> Records:
    """Measure a batch; where memory is short, once more after giving back what can be given back.

    Never in smaller batches: the same images would round differently.

    Raises:
        MemoryError: it is too short for this batch.
    """
    try:
        return job.records(items)
    except Exception as error:
        if not out_of_memory(error):
            raise
    release()
    try:
        return job.records(items)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(
            f"a batch of {len(items)} images does not fit into the memory that is free: free some "
            "and run the same command again, or give a new folder and a smaller batch size"
        ) from error


def refuse_failures(records: Records) -> None:
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
