"""The records of images: every method by every measure, made here and nowhere else."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.capture import Capture, capture, own
from xaicore.attribution.explainer import Explainer, check_inputs, resolve_targets
from xaicore.classifier import Classifier
from xaicore.evaluation.curves import COLUMN, thinned
from xaicore.evaluation.dataset import NO_LABEL, Item, same_size, words
from xaicore.masking import degenerate, normalize, upsample
from xaicore.metrics.causal import CAUSAL_PROTOCOLS, CausalCurves, CausalProtocol
from xaicore.metrics.measures import CONFIDENCE, JUDGES, MEASURES, MOST_PASSED, Case, Seen
from xaicore.processes import out_of_memory

Method = Explainer | Tensor
"""A method, or maps made elsewhere, ``(N, 1, h, w)`` in the order of the data set."""

FEW_STEPS = MOST_PASSED // 2 + 1
"""With so many steps, the curves of one image fill a forward."""

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Settings:
    """What is measured of each map.

    Attributes:
        metrics: the names of measures, of ``MEASURES``.
        baseline: what replaces the pixels that a map removes, when it is scored.
        curves: the protocol of insertion and deletion, which follow the predicted class.
        passed: masked images in one forward, where an image is masked many times.
        judges: networks that did not make the maps, by name.
    """

    metrics: tuple[str, ...]
    baseline: str | Tensor = "black"
    curves: str | CausalProtocol = "paper"
    passed: int = MOST_PASSED
    judges: Mapping[str, Classifier] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """How images are explained and measured.

    Attributes:
        classifier: the classifier that is explained.
        methods: the methods, or maps made elsewhere, by name.
        settings: what is measured.
        precision: ``"float32"``, or ``"bfloat16"`` or ``"float16"`` where torch knows how.
        refused: the methods that are not tried any more, and why.
    """

    classifier: Classifier
    methods: Mapping[str, Method]
    settings: Settings
    precision: str = "float32"
    refused: Mapping[str, str] = field(default_factory=dict)

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
        value, and ``failed`` says why. A column has the curves of insertion and deletion, if these
        are measured.

        Raises:
            MemoryError: there is not enough memory; or what torch raises instead.
        """
        parts = [self._nothing(item, item.failed) for item in items if item.failed]
        with self.autocast():
            parts += [part for alike in same_size(items) for part in self._measured(alike)]
        table = pd.concat(parts, ignore_index=True)
        table = table.iloc[self._order(table, [item.index for item in items])]
        if any(item.name for item in items):
            table.insert(1, "file", table["image"].map({i.index: i.name for i in items}))
        return table.reset_index(drop=True)

    def _measured(self, items: Sequence[Item]) -> list[pd.DataFrame]:
        if len(items) > 1:
            try:
                batch = self.batch(items)
                return [batch.records(name) for name in self.methods]
            except Exception as error:  # of the user's network too
                if out_of_memory(error):
                    raise
        return [part for item in items for part in self._measured_alone(item)]

    def _measured_alone(self, item: Item) -> list[pd.DataFrame]:
        try:
            batch = self.batch([item])
        except Exception as error:
            if out_of_memory(error):
                raise
            return [self._nothing(item, words(error))]
        return [batch.records(name, tolerant=True) for name in self.methods]

    def batch(self, items: Sequence[Item]) -> Batch:
        """Run the network once on images of one size, for all methods and measures.

        Raises:
            ValueError: images or classes cannot be used, or the network gives NaN or infinity.
        """
        device = self.classifier.mean.device
        images = torch.stack([item.image for item in items if item.image is not None]).to(device)
        labels = torch.tensor([item.label for item in items]).to(device)
        check_inputs(self.classifier, images, labels)
        captured = self._captured(images)
        logits = _logits(self.classifier, images) if captured is None else own(captured.logits)
        for place in (~logits.isfinite()).any(1).nonzero()[:1, 0].tolist():
            raise ValueError(f"the network gives NaN or infinity for image {items[place].index}")
        targets = torch.where(labels == NO_LABEL, logits.argmax(1), labels)
        resolve_targets(targets, logits)
        if captured is not None:
            captured = replace(captured, targets=targets)
        settings = self.settings
        seen = Seen(
            self.classifier,
            images,
            targets,
            logits,
            [item.boxes for item in items],
            [item.mask for item in items],
            settings.baseline,
            settings.curves,
            settings.passed,
            settings.judges,
        )
        places = [item.index for item in items]
        labelled = [item.label != NO_LABEL for item in items]
        return Batch(places, labelled, seen, self.methods, settings.metrics, captured, self.refused)

    def _captured(self, images: Tensor) -> Capture | None:
        """What class activation maps share; nothing if no method needs it, or it is refused."""
        sharing = [m for m in self.methods.values() if isinstance(m, CAMExplainer)]
        if not any(method.classifier is self.classifier for method in sharing):
            return None
        try:
            return capture(self.classifier, images)
        except ValueError:
            return None  # each of the methods will say so itself

    def _nothing(self, item: Item, reason: str) -> pd.DataFrame:
        """The rows of an image of which nothing was measured."""
        metrics, judges = self.settings.metrics, [*self.settings.judges]
        failed = dict.fromkeys(metrics, reason)
        known = [item.label != NO_LABEL]
        parts = [
            Rows([item.index], [item.label], known, [NO_LABEL], name, metrics, judges, failed)
            for name in self.methods
        ]
        return pd.concat([part.table() for part in parts])

    def _order(self, table: pd.DataFrame, images: Sequence[int]) -> np.ndarray:
        """The order of rows: by image, method and metric."""
        keys = []
        for column, values in (("method", self.methods), ("image", images)):
            places = {value: place for place, value in enumerate(values)}
            keys.append(table[column].map(places).to_numpy())
        return np.lexsort(keys)

    def autocast(self) -> AbstractContextManager[object]:
        """Return what computes inside in the precision of the job."""
        dtype = PRECISIONS[self.precision]
        device = self.classifier.mean.device.type
        return torch.autocast(device, dtype, enabled=dtype is not None)


@dataclass(frozen=True)
class Batch:
    """Images of one size that the network has seen, for all methods and measures.

    Attributes:
        places: where the images are in the data set.
        labelled: whether the data set knows their classes.
        seen: the images.
        methods: the methods, or maps made elsewhere, by name.
        metrics: the names of measures.
        captured: the pass that class activation maps start from, if there is one.
        refused: the methods that are not tried, and why.
    """

    places: list[int]
    labelled: list[bool]
    seen: Seen
    methods: Mapping[str, Method]
    metrics: Sequence[str]
    captured: Capture | None
    refused: Mapping[str, str]

    def records(self, name: str, tolerant: bool = False) -> pd.DataFrame:
        """Explain by one method and measure the maps: a row per image and metric.

        Args:
            name: the method.
            tolerant: whether what cannot be measured says why in ``failed``; else it raises.
        """
        targets, predicted = self.seen.targets.tolist(), self.seen.logits.argmax(1).tolist()
        judges = [*self.seen.judges]
        rows = Rows(self.places, targets, self.labelled, predicted, name, self.metrics, judges)
        if name in self.refused:
            rows.failed |= dict.fromkeys(self.metrics, self.refused[name])
            return rows.table()
        method = self.methods[name]
        with rows.noting(self.metrics, tolerant):
            began = time.perf_counter()
            maps = self.explain(method)
            rows.seconds = (time.perf_counter() - began) / len(maps)
            rows.p, rows.degenerate = self.seen.p.numpy(), degenerate(maps).cpu().numpy()
            case = Case(self.seen, maps, method if isinstance(method, Explainer) else None)
            for metric in self.metrics:
                with rows.noting([metric], tolerant):
                    rows.values[metric] = MEASURES[metric].of(case).numpy()
                    if metric in CausalCurves._fields:
                        rows.curves[metric] = [*thinned(getattr(case.curves, metric))]
                    if MEASURES[metric].needs in (CONFIDENCE, JUDGES):
                        rows.o = case.o.numpy()
                    if MEASURES[metric].needs == JUDGES:
                        rows.judged = {"p": self.seen.judged_p, "o": case.judged_o}
        return rows.table()

    def explain(self, method: Method) -> Tensor:
        """Return the saliency ``(B, 1, H, W)`` of a method."""
        images = self.seen.images
        if isinstance(method, Explainer):
            captured = self.captured if method.classifier is self.seen.classifier else None
            if isinstance(method, CAMExplainer) and captured is not None:
                return method.of(captured).to(images)
            return method(images, self.seen.targets).to(images)
        return normalize(upsample(method[self.places].to(images), images.shape[-2:]))


@dataclass
class Rows:
    """What becomes of one method on some images.

    Attributes:
        images: their places in the data set.
        targets: the classes that are explained.
        labelled: whether these are the classes of the data set, not the predicted ones.
        predicted: the predicted classes, ``NO_LABEL`` where the network did not see an image.
        method: its name.
        metrics: what is measured.
        judges: the names of the networks that judge.
        failed: why a metric has no value.
        values: of each metric, one per image.
        curves: of insertion and deletion, one per image.
        p: the probability of the target on each image.
        o: the same on the masked image.
        judged: ``p`` and ``o`` of each judge.
        seconds: the time of each map.
        degenerate: whether each map is constant.
    """

    images: Sequence[int]
    targets: Sequence[int]
    labelled: Sequence[bool]
    predicted: Sequence[int]
    method: str
    metrics: Sequence[str]
    judges: Sequence[str]
    failed: dict[str, str] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, list[np.ndarray]] = field(default_factory=dict)
    p: np.ndarray | float = np.nan
    o: np.ndarray | float = np.nan
    judged: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    seconds: float = np.nan
    degenerate: np.ndarray | bool = False

    @contextmanager
    def noting(self, metrics: Sequence[str], tolerant: bool) -> Iterator[None]:
        """Note what goes wrong inside as the reason why metrics have no value."""
        try:
            yield
        except Exception as error:
            if not tolerant or out_of_memory(error):
                raise
            self.failed |= dict.fromkeys(metrics, words(error))

    def table(self) -> pd.DataFrame:
        """Return a row for each image and metric, those of one image together."""
        shape = len(self.images), len(self.metrics)
        nothing = np.full(shape[0], np.nan)
        values = np.stack([self.values.get(metric, nothing) for metric in self.metrics], axis=1)
        measures = [MEASURES[name] for name in self.metrics]
        reasons = [self.failed.get(m.name) or m.missing * (not m.partial) for m in measures]

        def spread(of_image: Sequence[int] | np.ndarray | Tensor | float) -> np.ndarray:
            """What is the same for all metrics of an image."""
            column = np.broadcast_to(np.asarray(of_image), shape[:1])
            return np.repeat(column, shape[1])

        of_judges = {
            f"{kind} on {name}": spread(self.judged.get(kind, {}).get(name, np.nan))
            for name in self.judges
            for kind in ("p", "o")
        }
        found = pd.DataFrame(
            {
                "image": spread(self.images),
                "target": spread(self.targets),
                "labelled": spread(self.labelled),
                "predicted": spread(self.predicted),
                "method": self.method,
                "metric": [*self.metrics] * shape[0],
                "value": values.reshape(-1),
                "p": spread(self.p),
                "o": spread(self.o),
                **of_judges,
                "seconds": self.seconds,
                "degenerate": spread(self.degenerate),
                "failed": np.where(np.isnan(values), reasons, "").reshape(-1),
            }
        )
        if not set(self.metrics).isdisjoint(CausalCurves._fields):
            none = [None] * shape[0]
            drawn = zip(*(self.curves.get(metric, none) for metric in self.metrics), strict=True)
            found[COLUMN] = pd.Series([curve for of in drawn for curve in of], dtype=object)
        return found


@torch.no_grad()
def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    """The logits, in the layout in which ``capture`` computes them."""
    return classifier(images.contiguous(memory_format=torch.channels_last))


def release() -> None:
    """Give back what memory can be given back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
