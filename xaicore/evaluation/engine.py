"""The engine: measures the chunks of a run on disk, by any number of processes."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from xaicore.evaluation import fingerprint
from xaicore.evaluation.dataset import Item, Items, batches
from xaicore.evaluation.folder import Folder, Mark
from xaicore.evaluation.progress import Progress
from xaicore.evaluation.run import Run, Sizes, measured, surroundings
from xaicore.processes import PAUSE, Process, started
from xaicore.versions import commit, versions

STALE = 120.0
"""Seconds after which a silent process is taken for dead: others do its chunk as well."""

BEATS = 4
"""How often a process tells that it is alive, before it would be taken for dead."""

LONG_AGO = 3600.0
"""Seconds after which a file that is half written was surely left by a killed process."""


def on_disk(run: Run, path: Path, shown: bool | None) -> tuple[int, str]:
    """Measure what is not in a folder yet, while other ranks, if there are any, do the same.

    Chunk ``i`` is for rank ``i`` modulo their number. Who has finished takes over what nobody is at
    work on, so that the run ends though others may have died; a chunk that two have measured is the
    same twice. The chunks that a run goes on from must show the images of this data set: each rank
    looks at its own, reads the images that may have changed, and stops if one did.

    Returns:
        How many images have failed, of those that this process has seen; and one failure, in words.

    Raises:
        ValueError: the folder holds another run.
        OSError: it cannot be written.
    """
    folder, us = Folder(path), started()
    run = replace(run, items=Items(run.items.dataset, run.items.truth, marked=True))
    run, sizes = agree(run, folder, us)
    chunks = dict(enumerate(run.chunks(sizes)))
    bar = Progress(len(run.items), shown if us.first else False)
    with closing(bar), surroundings(sizes):
        board = Board(folder, bar)
        refuse_changed(run, sizes, folder, lambda number: number % us.world == us.rank)
        board.resume(folder.tidy(0 if us.world == 1 else LONG_AGO))
        ours = [n for n in chunks if n % us.world == us.rank and n not in board.seen]
        board.measure(run, sizes, {n: chunks[n] for n in ours})
        while left := [n for n in reversed(chunks) if n not in board.seen]:
            idle = [n for n in left if folder.idle(n) > STALE]
            if idle:
                number = idle[us.rank % len(idle)]
                board.measure(run, sizes, {number: chunks[number]})
            else:
                time.sleep(PAUSE)
                board.refresh()
    return bar.failed, bar.example


class Pulse:
    """Renews the claim of a chunk, however long a batch takes, until it is stopped.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.number = -1
        self.stopped = Event()
        self.thread = Thread(target=self._beat, daemon=True)

    def claim(self, number: int) -> None:
        """Say that this process is at work on a chunk, from now on."""
        self.folder.claim(number)
        self.number = number
        if not self.thread.is_alive():  # not before the processes that read ahead are forked
            self.thread.start()

    def close(self) -> None:
        """Claim nothing any more."""
        self.stopped.set()
        if self.thread.is_alive():
            self.thread.join()

    def _beat(self) -> None:
        while not self.stopped.wait(STALE / BEATS):
            self.folder.renew(self.number)


@dataclass
class Board:
    """What is finished, of all ranks, and what is known of a chunk at work.

    Attributes:
        folder: the folder of the run.
        progress: who is told.
        seen: the chunks that are known to be finished.
        marks: what tells the images of the chunk at work from others.
    """

    folder: Folder
    progress: Progress
    seen: set[int] = field(default_factory=set)
    marks: list[Mark] = field(default_factory=list)

    def resume(self, finished: set[int]) -> None:
        """Count what was finished before."""
        for number in sorted(finished):
            self.progress.resume(self.folder.read(number))
        self.seen |= finished

    def refresh(self) -> None:
        """Count what others have finished meanwhile."""
        for number in sorted(self.folder.listed() - self.seen):
            self.progress.add(self.folder.read(number))
            self.seen.add(number)

    def measure(self, run: Run, sizes: Sizes, chunks: Mapping[int, range]) -> None:
        """Measure and keep chunks, but for those that turn out to be there."""
        with closing(Pulse(self.folder)) as pulse:

            def begin(number: int, items: Sequence[Item]) -> bool:
                if self.folder.chunk(number).is_file():
                    return False
                pulse.claim(number)
                self.marks += [Mark(item.stamp, item.content) for item in items]
                return True

            for number, records in measured(run, sizes, chunks, self.progress, begin):
                if records is not None:
                    self.folder.commit(number, records, self.marks)
                    self.progress.add(records)
                    self.seen.add(number)
                self.marks.clear()
                self.refresh()


def refuse_changed(
    run: Run, sizes: Sizes, folder: Folder, ours: Callable[[int], bool] = lambda _: True
) -> None:
    """Refuse a data set that is not the one of which chunks are finished.

    Cost: reads the images whose stamp is not the same as then, where the data set gives stamps;
    else all images of these chunks once.

    Args:
        run: the run, of items that are marked.
        sizes: in what portions it was begun.
        folder: where it was begun.
        ours: which of its chunks this process looks at.

    Raises:
        ValueError: an image, its class or its truth is another one; the message says which.
    """
    chunks, items = run.chunks(sizes), run.items
    doubtful = {
        place: (number, mark)
        for number in sorted(filter(ours, folder.finished()))
        for place, mark in zip(chunks[number], folder.marks(number), strict=True)
        if not mark.stamp or mark.stamp != items.stamp(place)
    }
    places, size = list(doubtful), sizes.batch or 1
    portions = [places[i : i + size] for i in range(0, len(places), size)]
    for item in (item for batch in batches(items, portions, run.workers) for item in batch):
        number, mark = doubtful[item.index]
        if item.content != mark.content:
            name = f"image {item.index}" + f", {item.name}," * bool(item.name)
            raise ValueError(
                f"{folder.path} holds another run (data content: {name} or what is known of it is "
                "not what was measured there): give another folder, or the data set of that run; "
                f"without {folder.chunk(number).name} the images of that chunk are measured again"
            )


def describe(run: Run) -> dict[str, Any]:
    """Return the manifest of a run, with what is not decided yet as ``None``."""
    job, settings = run.job, run.job.settings
    judges = {name: fingerprint.model(judge) for name, judge in settings.judges.items()}
    return {
        "model": fingerprint.model(job.classifier),
        "data": {"images": len(run.items)},
        "methods": {name: fingerprint.method(m) for name, m in job.methods.items()},
        "measured": {
            "metrics": list(settings.metrics),
            "baseline": fingerprint.plain(settings.baseline),
            "curves": fingerprint.plain(settings.curves),
            **({"judges": judges} if judges else {}),
        },
        "given_up": dict(job.refused),
        "precision": job.precision,
        "device": job.classifier.mean.device.type,
        **run.sizes.named(),
        "versions": versions(),
        "notes": [*getattr(run.items.dataset, "notes", ())],
        "commit": commit(),
        "command": shlex.join(sys.argv),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def agree(run: Run, folder: Folder, us: Process) -> tuple[Run, Sizes]:
    """Begin the run, or find how it was begun.

    Raises:
        ValueError: the folder holds another run.
    """
    here = describe(run)
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
    job = replace(run.job, methods=methods, refused=there.get("given_up", {}))
    return replace(run, job=job), sizes
