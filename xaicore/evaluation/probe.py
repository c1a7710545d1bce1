"""The first images, tried before a run: so that nobody waits for one in which all fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from xaicore.attribution.explainer import Explainer
from xaicore.evaluation.batch import Batch, Job
from xaicore.evaluation.dataset import Item, words
from xaicore.evaluation.price import Meter, metered
from xaicore.evaluation.run import Run, patiently
from xaicore.processes import out_of_memory

FIRST = 16
"""How many images are read."""

ALIKE = 3
"""A method that fails alike for so many images, the first ones, is given up."""


def tried(run: Run, out: Path | None = None) -> tuple[Run, list[str]]:
    """Try the first images before all are measured, unless the run goes on: it keeps to its start.

    A method that fails for the first three that the network takes, and always for the same reason,
    is given up, if there are more: its records say that reason, and it is not called.

    Cost: the first images are read once more. One passes the network and every judge, and every
    method begins a map of it, which is stopped after a few calls of the network; two more where one
    fails.

    Args:
        run: the run.
        out: the folder where it may have begun; ``None``: it is kept in memory.

    Returns:
        The run, and what share of the images the truth covers, in words.

    Raises:
        ValueError: the network takes none of them, every method fails, or a judge does; the message
            says why.
        MemoryError: one image does not fit.
    """
    if out is not None:
        from xaicore.evaluation.folder import Folder  # noqa: PLC0415 - only runs on disk need it

        if Folder(out).manifest is not None:
            return run, []
    items = [run.items[place] for place in range(min(FIRST, len(run.items)))]
    first = First(run.job, [item for item in items if item.image is not None])
    with metered(run.job, patience=0) as meter, run.job.autocast():
        if first.batch(0) is None:
            failed = [item.failed for item in items if item.failed] + first.reasons
            count = f"the first {len(items)} images all fail"
            what = "the only image fails" if len(items) == 1 else count
            raise ValueError(f"{what}, so nothing is measured; {failed[0]}")
        _ask(first.batches[0])
        more = len(run.items) > ALIKE
        found = {name: _alike(meter, first, name) for name in run.job.methods if more}
    refused = {name: reason for name, reason in found.items() if reason}
    if more and len(refused) == len(run.job.methods):
        raise ValueError(
            f"no method can explain the first {ALIKE} images, so nothing is measured; "
            + "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        )
    run = replace(run, job=replace(run.job, refused=refused))
    return run, _covered([item for item in items if item.image is not None])


def given_up(run: Run) -> list[str]:
    """Return which methods of a run are given up, and why, a line each."""
    return [
        f"{name} fails for the first {ALIKE} images and is given up: {reason}"
        for name, reason in run.job.refused.items()
    ]


@dataclass
class First:
    """The first images, shown to the network one by one, as they are asked for.

    Attributes:
        job: how they are explained.
        items: those that are not shown yet.
        batches: those that the network has taken.
        reasons: why it did not take others.
    """

    job: Job
    items: list[Item]
    batches: list[Batch] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def batch(self, place: int) -> Batch | None:
        """Return one of those that the network takes; ``None`` if there are not so many."""
        while len(self.batches) <= place and self.items:
            item = self.items.pop(0)
            try:
                self.batches.append(patiently(partial(self.job.batch, [item]), 1))
            except MemoryError as error:
                raise MemoryError("one image alone does not fit into the memory") from error
            except Exception as error:  # of the user's network too
                self.reasons.append(words(error))
        return self.batches[place] if place < len(self.batches) else None


def _ask(batch: Batch) -> None:
    """Show an image to every judge.

    Raises:
        ValueError: one cannot judge it, or has other classes; the message says which and why.
    """
    for name in batch.seen.judges:
        try:
            batch.seen.ask(name, batch.seen.images)
        except Exception as error:  # of the user's network too
            if out_of_memory(error):
                raise
            raise ValueError(f"judges: {name} cannot judge the images: {words(error)}") from error


def _alike(meter: Meter, first: First, name: str) -> str:
    """Why a method fails for all of the first images; empty if it does not, or not alike."""
    method, reason = first.job.methods[name], ""
    for place in range(ALIKE if isinstance(method, Explainer) else 0):
        batch = first.batch(place)
        told = "" if batch is None else _failure(meter, batch, name)
        if not told or told != (reason or told):
            return ""
        reason = told
    return reason


def _failure(meter: Meter, batch: Batch, name: str) -> str:
    """Why a method cannot begin a map; empty if it can."""
    begin = partial(meter.price, partial(batch.explain, batch.methods[name]), math.inf)
    try:
        patiently(begin, 1)
    except MemoryError:
        raise
    except Exception as error:
        return words(error)
    return ""


def _covered(items: Sequence[Item]) -> list[str]:
    shares: dict[str, list[float]] = {"boxes": [], "masks": []}
    for item in items:
        assert item.image is not None
        if item.boxes is not None:
            shares["boxes"].append(_share(item.boxes, item.image.shape[-2:]))
        if item.mask is not None:
            shares["masks"].append(item.mask.double().mean().item())
    if shares["masks"] and not any(shares["masks"]):
        raise ValueError(
            f"masks: those of the first {len(shares['masks'])} images mark nothing that the "
            "network sees: is another value the class, --mask-value?"
        )
    return [
        f"{name} cover {100 * sum(of) / len(of):.1f} % of what the network sees: the mean of the "
        f"first {len(of)} images"
        for name, of in shares.items()
        if of
    ]


def _share(boxes: Tensor, size: Sequence[int]) -> float:
    """The share of pixels whose centre lies in a box."""
    centres = [torch.arange(side) + 0.5 for side in size]
    x0, y0, x1, y1 = boxes.double().unbind(1)
    rows = (centres[0][:, None] >= y0) & (centres[0][:, None] < y1)
    columns = (centres[1][:, None] >= x0) & (centres[1][:, None] < x1)
    return (rows[:, None] & columns).any(2).double().mean().item()
