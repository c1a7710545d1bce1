"""What a run is: what is done, with which images, in what portions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.explainer import check_evaluation_mode
from xaicore.classifier import check_name, hint
from xaicore.evaluation import fingerprint
from xaicore.evaluation.batch import NAMES
from xaicore.evaluation.job import PRECISIONS, Job, out_of_memory, release
from xaicore.evaluation.loading import Items
from xaicore.versions import commit

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
        for name, method in self.job.methods.items():
            if isinstance(method, CAMExplainer):
                _ = method.classifier.layer  # which says so if there is none
            if isinstance(method, Tensor) and len(method) != count:
                raise ValueError(f"{name}: {len(method)} maps for {count} images")

    def describe(self) -> dict[str, Any]:
        """Return the manifest of the run, with what is not decided yet as ``None``."""
        job = self.job
        return {
            "model": fingerprint.model(job.classifier),
            "data": fingerprint.data(self.items.dataset, self.items.truth),
            "methods": {name: fingerprint.method(m) for name, m in job.methods.items()},
            "measured": fingerprint.measured(job.settings),
            "precision": job.precision,
            "device": job.classifier.mean.device.type,
            **self.sizes.named(),
            "versions": fingerprint.versions(),
            "commit": commit(),
            "command": shlex.join(sys.argv),
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
        }

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


def checked_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics as records name them, each once, in the order of the tables.

    Raises:
        ValueError: a name is unknown, or there is none.
    """
    known = {name.lower(): name for name in NAMES}
    for name in names:
        if name.lower() not in known:
            near = hint(name.lower(), known) or f": use some of {', '.join(NAMES)}"
            raise ValueError(f"metrics: no metric is called '{name}'{near}")
    if not names:
        raise ValueError(f"metrics: give at least one of {', '.join(NAMES)}")
    asked = {known[name.lower()] for name in names}
    return tuple(name for name in NAMES if name in asked)


def usual_batch(run: Run) -> int:
    """Return the batch size that is tried first."""
    device = run.job.classifier.mean.device.type
    return min(FIRST_BATCH.get(device, USUAL_BATCH), len(run.items))


def largest_batch(run: Run) -> int:
    """Return the batch size that fits, halved from the device's usual one as often as needed.

    Cost: the methods and metrics on one batch, with short curves, for every size that is tried.

    Raises:
        MemoryError: not even one image fits.
    """
    size = usual_batch(run)
    while True:
        try:
            run.job.in_brief().in_batches(size).records([run.items[place] for place in range(size)])
            return size
        except Exception as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise MemoryError("one image alone does not fit into the memory") from error
        release()
        size //= 2
