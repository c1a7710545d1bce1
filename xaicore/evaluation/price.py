"""What maps and measures cost, told by their first passes of the network."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.capture import Passes, counted
from xaicore.attribution.explainer import Explainer
from xaicore.evaluation.batch import Batch, Job, Method
from xaicore.evaluation.dataset import Item, same_size, words
from xaicore.metrics.causal import CAUSAL_PROTOCOLS, CausalProtocol
from xaicore.metrics.measures import CURVES, EXPLAINER, JUDGES, MEASURES, Case
from xaicore.processes import out_of_memory

T = TypeVar("T")

MAPS = {"MS": 11, "ADCC": 1}
"""How many maps of its own a measure of a method takes for each image."""

TOLD = 3
"""After so many calls of the network, those after the first tell the pace of those to come."""


class Enough(BaseException):
    """The pace is known; no error, so that nobody takes it for one."""


@dataclass(frozen=True)
class Price:
    """What some work costs.

    Attributes:
        forwards: images that pass the network.
        backwards: gradients that come back from the logits.
        seconds: the time.
    """

    forwards: float = 0
    backwards: float = 0
    seconds: float = 0

    def __add__(self, other: Price) -> Price:
        """Return the price of both."""
        return Price(
            self.forwards + other.forwards,
            self.backwards + other.backwards,
            self.seconds + other.seconds,
        )

    def __sub__(self, other: Price) -> Price:
        """Return what the one is more than the other."""
        return self + Price(-other.forwards, -other.backwards, -other.seconds)

    def times(self, share: float) -> Price:
        """Return the price of so many times the work."""
        return Price(share * self.forwards, share * self.backwards, share * self.seconds)


@dataclass
class Meter:
    """Prices pieces of work, and stops those whose first passes tell it.

    Attributes:
        patience: seconds that a piece may take before it is stopped.
        passes: what has passed the network, and each of its judges.
        expected: forwards that the piece at work will make; ``None``: it is not stopped.
        marks: the price of the piece at work after each call of the network.
    """

    patience: float
    passes: list[Passes] = field(default_factory=list)
    expected: float | None = None
    began: Price = field(default_factory=Price)
    marks: list[Price] = field(default_factory=list)

    def called(self) -> None:
        """Take a call of the network in."""
        self.marks.append(self.now() - self.began)
        done = self.marks[-1]
        few = len(self.marks) < TOLD or done.seconds < self.patience
        if few or self.expected is None or done.forwards >= self.expected:
            return
        if sys.exception() is None:  # else the network is called to explain an error
            raise Enough

    def now(self) -> Price:
        """Return the price of all so far."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        forwards = sum(passes.forwards for passes in self.passes)
        backwards = sum(passes.backwards for passes in self.passes)
        return Price(forwards, backwards, time.perf_counter())

    def price(self, work: Callable[[], T], expected: float | None = None) -> tuple[Price, T | None]:
        """Do some work, or its beginning; return its price, and what came of the whole.

        Args:
            work: the work.
            expected: the forwards it will make; ``None`` if nobody knows: it is done whole.
        """
        self.began, self.expected = self.now(), expected
        self.marks.clear()
        try:
            found = work()
        except Enough:
            first, last = self.marks[1], self.marks[-1]  # before the first there is no way back
            pace = (last - first).times(1 / max(1, last.forwards - first.forwards))
            return last + pace.times((expected or 0) - last.forwards), None
        finally:
            self.expected = None
        return self.now() - self.began, found


@contextmanager
def metered(job: Job, patience: float) -> Iterator[Meter]:
    """Count and time what passes the network of a job inside, and those that judge."""
    meter = Meter(patience)
    others = {judge.net for judge in job.settings.judges.values()} - {job.classifier.net}
    with ExitStack() as stack:
        meter.passes.append(stack.enter_context(counted(job.classifier.net, meter.called)))
        meter.passes += [stack.enter_context(counted(net)) for net in others]
        yield meter


@dataclass
class Bill:
    """What a batch costs.

    Attributes:
        price: of all together.
        partly: the methods of which only the first passes were made.
        failure: what failed first, in words; empty if nothing did.
    """

    price: Price = field(default_factory=Price)
    partly: set[str] = field(default_factory=set)
    failure: str = ""

    def failed(self, image: int, method: str, metric: str, reason: str) -> None:
        """Note a failure, if it is the first."""
        self.failure = self.failure or f"image {image}, {method}, {metric}: {reason}"


def bill(
    job: Job,
    items: Sequence[Item],
    patience: float = 0,
    told: Callable[[str], object] = lambda _: None,
) -> Bill:
    """Price the maps and measures of a batch, without making those that take long.

    Curves are taken in few steps, and priced for all of theirs.

    Args:
        job: how images are explained and measured.
        items: the batch.
        patience: seconds after which a method, or a measure of it, is stopped.
        told: is told the name of each method, for each size of images, before it is priced.

    Raises:
        MemoryError: there is not enough memory; or what torch raises instead.
    """
    found, (method, *_), (metric, *_) = Bill(), job.methods, job.settings.metrics
    for item in items:
        if item.failed:
            found.failed(item.index, method, metric, item.failed)
    brief = job.in_brief()
    with metered(job, patience) as meter, job.autocast():
        for alike in same_size(items):
            try:
                price, batch = meter.price(partial(brief.batch, alike))
            except Exception as error:  # of the user's network too
                if out_of_memory(error):
                    raise
                found.failed(alike[0].index, method, metric, words(error))
                continue
            found.price += price
            assert batch is not None
            measured = Measured(_steps(job, batch) / _steps(brief, batch))
            for name in job.methods:
                told(name)
                _bill_method(found, meter, batch, name, measured)
    return found


@dataclass
class Measured:
    """What measures of one map cost.

    Attributes:
        curves: how many times the price of short curves those of the run cost.
        known: the price of measures that cost the same for every method.
    """

    curves: float
    known: dict[str, Price] = field(default_factory=dict)

    def price(self, name: str, meter: Meter, case: Case, maps: float) -> Price:
        """Return the price of a measure.

        Args:
            name: the measure.
            meter: what prices it.
            case: what is measured.
            maps: the forwards of one map of the method for each image of the batch.
        """
        measure = MEASURES[name]
        if name not in self.known:
            found, _ = meter.price(partial(measure.of, case), MAPS.get(name, 0) * maps or None)
            found = found.times(self.curves if measure.needs == CURVES else 1)
            if measure.needs == EXPLAINER:
                return found
            self.known[name] = found
        return self.known[name]


def _bill_method(found: Bill, meter: Meter, batch: Batch, name: str, measured: Measured) -> None:
    """Add the price of a method and its measures."""
    method, seen, metric = batch.methods[name], batch.seen, batch.metrics[0]
    try:
        price, maps = meter.price(partial(batch.explain, method), _own(batch, method))
        found.price += price
        if maps is None:
            found.partly.add(name)
            maps = _any_maps(seen.images)
        case = Case(seen, maps, method if isinstance(method, Explainer) else None)
        each = price.forwards + len(maps) * isinstance(method, CAMExplainer)
        if any(MEASURES[metric].needs == CURVES for metric in batch.metrics):
            found.price += meter.price(lambda: seen.ends)[0]
        if any(MEASURES[metric].needs == JUDGES for metric in batch.metrics):
            found.price += meter.price(lambda: seen.judged_p)[0]
        for metric in batch.metrics:
            found.price += measured.price(metric, meter, case, each)
    except Exception as error:
        if out_of_memory(error):
            raise
        found.failed(batch.places[0], name, metric, words(error))


def _own(batch: Batch, method: Method) -> float | None:
    """The forwards that a method makes for a batch, where they are many."""
    if not isinstance(method, Explainer):
        return None
    channels = 0 if batch.captured is None else batch.captured.leaf.shape[1]
    each = method.forwards(batch.seen.images.shape[-2:], channels)
    return None if each is None else each * len(batch.places)


def _any_maps(images: Tensor) -> Tensor:
    """Maps that can be measured."""
    noise = torch.rand(images[:, :1].shape, generator=torch.Generator().manual_seed(0))
    return noise.to(images)


def _steps(job: Job, batch: Batch) -> int:
    """How many steps the curves of a job take beyond the first."""
    curves = CAUSAL_PROTOCOLS.get(str(job.settings.curves), job.settings.curves)
    steps = curves.steps if isinstance(curves, CausalProtocol) else None
    return max(1, (steps or batch.seen.images.shape[-2]) - 1)
