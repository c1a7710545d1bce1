"""What a run does with a batch: records of every image, or the reason why there are none."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import product

import pandas as pd
import torch

from xaicore.classifier import Classifier
from xaicore.evaluation.batch import IN_BOXES, IN_MASKS, MOST_PASSED, Method, Settings, look
from xaicore.evaluation.loading import Item, same_size, stack, words
from xaicore.evaluation.tables import score
from xaicore.metrics.causal import CAUSAL_PROTOCOLS, CausalProtocol

KEY = ["image", "method", "metric"]
COLUMNS = ["image", "target", "method", "metric", "value", "p", "o", "seconds", "degenerate"]
COLUMNS += ["failed"]
FEW_STEPS = MOST_PASSED // 2 + 1
"""With so many steps, the curves of one image fill a forward."""

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Found:
    """What was measured of a batch, and why the rest was not."""

    tables: list[pd.DataFrame] = field(default_factory=list)
    reasons: dict[tuple[int, str, str], str] = field(default_factory=dict)
    targets: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """How images are explained and measured.

    Attributes:
        classifier: the classifier that is explained.
        methods: the methods, or maps made elsewhere, by name.
        settings: what is measured.
        precision: ``"float32"``, or ``"bfloat16"`` or ``"float16"`` where torch knows how.
    """

    classifier: Classifier
    methods: Mapping[str, Method]
    settings: Settings
    precision: str = "float32"

    def in_batches(self, size: int) -> Job:
        """Return the job for batches of a size, which bounds every forward that it makes itself."""
        return replace(self, settings=replace(self.settings, passed=min(size, MOST_PASSED)))

    def in_brief(self) -> Job:
        """Return the job with curves of a few steps: enough to fill a forward, and its memory."""
        curves = CAUSAL_PROTOCOLS.get(str(self.settings.curves), self.settings.curves)
        if not isinstance(curves, CausalProtocol):
            return self
        steps = min(curves.steps or FEW_STEPS, FEW_STEPS)
        return replace(self, settings=replace(self.settings, curves=replace(curves, steps=steps)))

    def records(self, items: Sequence[Item]) -> pd.DataFrame:
        """Return a row for each (image, method, metric), whatever becomes of it.

        A batch in which something fails is measured again image by image: what fails then has no
        value, and ``failed`` says why.

        Raises:
            MemoryError: there is not enough memory; or what torch raises instead.
        """
        found = Found()
        for item in items:
            if item.failed:
                self._note(found, item.index, item.failed)
            found.targets[item.index] = item.label
        for alike in same_size(items):
            with self._autocast():
                self._measure(alike, found)
        table = self._table([item.index for item in items], found)
        if any(item.name for item in items):
            table.insert(1, "file", table["image"].map({i.index: i.name for i in items}))
        return table

    def _measure(self, items: Sequence[Item], found: Found) -> None:
        if len(items) == 1:
            self._measure_alone(items[0], found)
            return
        try:
            batch = look(self.classifier, stack(items), self.methods, self.settings)
            tables = [batch.measured(name) for name in self.methods]
        except Exception as error:  # of the user's network too
            if out_of_memory(error):
                raise
            for item in items:
                self._measure_alone(item, found)
        else:
            found.tables += tables

    def _measure_alone(self, item: Item, found: Found) -> None:
        with self._noting(found, item.index):
            batch = look(self.classifier, stack([item]), self.methods, self.settings)
            for name in self.methods:
                with self._noting(found, item.index, [name]):

                    def guard(
                        metrics: Sequence[str], name: str = name
                    ) -> AbstractContextManager[None]:
                        return self._noting(found, item.index, [name], metrics)

                    found.tables.append(batch.measured(name, guard))

    @contextmanager
    def _noting(
        self,
        found: Found,
        image: int,
        methods: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Iterator[None]:
        """Note what goes wrong inside."""
        try:
            yield
        except Exception as error:
            if out_of_memory(error):
                raise
            self._note(found, image, words(error), methods, metrics)

    def _note(
        self,
        found: Found,
        image: int,
        reason: str,
        methods: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
    ) -> None:
        names = product(methods or self.methods, metrics or self.settings.metrics)
        found.reasons |= {(image, *name): reason for name in names}

    def _autocast(self) -> AbstractContextManager[object]:
        dtype = PRECISIONS[self.precision]
        device = self.classifier.mean.device.type
        return torch.autocast(device, dtype, enabled=dtype is not None)

    def _table(self, images: Sequence[int], found: Found) -> pd.DataFrame:
        """Every row that there must be, with its value or its reason."""
        wanted = product(images, self.methods, self.settings.metrics)
        table = pd.DataFrame(wanted, columns=KEY)
        if found.tables:
            table = table.merge(score(pd.concat(found.tables, ignore_index=True)), "left", on=KEY)
        table = table.reindex(columns=COLUMNS[:-1])
        reasons = [found.reasons.get(row, "") for row in table[KEY].itertuples(False, None)]
        missing = table["value"].isna()
        table["failed"] = [
            (reason or _unknown(metric)) if no else ""
            for reason, metric, no in zip(reasons, table["metric"], missing, strict=True)
        ]
        table["target"] = table["target"].fillna(table["image"].map(found.targets)).astype("int64")
        table["degenerate"] = table["degenerate"].eq(True)
        return table.astype(dict.fromkeys(("value", "p", "o", "seconds"), "float64"))


def _unknown(metric: str) -> str:
    """Why a metric that was measured is not a number."""
    for metrics, truth in ((IN_BOXES, "box"), (IN_MASKS, "mask")):
        if metric in metrics:
            return f"no {truth} is known for this image"
    return f"{metric} is not a number for this image"


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short."""
    short = MemoryError, torch.OutOfMemoryError
    return isinstance(error, short) or "DefaultCPUAllocator" in str(error)


def release() -> None:
    """Give back what memory can be given back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
