"""``xaicore evaluate``."""

from __future__ import annotations

import argparse
import sys

from torch import Tensor

from xaicore.classifier import Classifier
from xaicore.cli.subject import (
    classifier_of,
    images_of,
    layer_proposed,
    method_of,
    range_of,
    settings_of,
    words,
)
from xaicore.evaluation.batch import Job, Settings
from xaicore.evaluation.dataset import Items
from xaicore.evaluation.engine import on_disk
from xaicore.evaluation.estimate import estimate
from xaicore.evaluation.folder import Folder, read_records
from xaicore.evaluation.judges import chosen
from xaicore.evaluation.probe import given_up, tried
from xaicore.evaluation.run import Run, Sizes
from xaicore.evaluation.tally import shift, told
from xaicore.folding import folded
from xaicore.metrics.measures import MEASURES, SINGULAR, named
from xaicore.models.named import is_function, named_classifier
from xaicore.processes import started

FAILED = 1
"""The exit code of a run in which images failed."""


def run(options: argparse.Namespace) -> int:
    """Run, and say how it ended; the exit code is 1 if images failed."""
    planned = plan(options)
    if options.dry_run:
        if started().first:
            print(*getattr(planned.items.dataset, "notes", ()), sep="\n", flush=True)
            print(estimate(planned, Folder(options.out), shown=None))
        return 0
    planned, covered = tried(planned, options.out)
    if started().first:
        remarks = [*getattr(planned.items.dataset, "notes", ()), *covered]
        print("\n".join(remarks), flush=True)
        for line in given_up(planned):
            print(f"warning: {line}", file=sys.stderr, flush=True)
    failed, example = on_disk(planned, options.out, None)
    if not started().first:
        return 0
    count = len(planned.items)
    records = read_records(options.out)
    print(*told(records), f"{count} images measured; see `xaicore report {options.out}`", sep="\n")
    if shifted := shift(records):
        print(f"warning: {shifted}", file=sys.stderr)
    if failed:
        print(f"{failed} of {count} images failed, at least in part; {example}", file=sys.stderr)
    return FAILED if failed else 0


def plan(options: argparse.Namespace) -> Run:
    """Return the run that the options describe; nothing is measured yet."""
    names = words(options.judges or "")
    usual = ["AD", "AI", "AG", *["transfer"] * bool(names)]
    metrics = named(usual if options.metrics is None else words(options.metrics))
    if not is_function(options.images):
        _check_truth(options, metrics)
    settings = settings_of(words(options.methods.lower()), options.set)
    classifier = classifier_of(options)
    dataset = images_of(
        options.images,
        classifier.transform,
        classifier.classes,
        options.labels,
        options.limit,
        {"boxes": options.boxes, "masks": options.masks},
        channels=classifier.channels,
        scale=range_of(options.range),
        mask_value=options.mask_value,
        network=lambda images: classifier(images.to(classifier.mean.device)),
    )
    items = Items(dataset)
    if options.folded:
        classifier = _light(classifier, items)
    device = classifier.mean.device
    judges = {name: named_classifier(name).to(device) for name in names}
    judging = chosen(None if options.judges is None else judges, classifier, metrics)
    job = Job(
        classifier,
        {name: method_of(name, classifier, given) for name, given in settings.items()},
        Settings(metrics, options.baseline, options.curves, judges=judging),
        options.precision,
    )
    sizes = Sizes(_batch_size(options.batch_size), options.chunk_size, options.threads)
    with layer_proposed(classifier, lambda: _first(items, classifier)):
        return Run(job, items, sizes, options.workers, options.strict)


def _light(classifier: Classifier, items: Items) -> Classifier:
    """Return the folded classifier, which agrees on the first image."""
    try:
        return folded(classifier, _first(items, classifier))
    except ValueError as error:
        raise ValueError(f"--folded: {error}") from error


def _check_truth(options: argparse.Namespace, metrics: tuple[str, ...]) -> None:
    for source in SINGULAR:
        asked = [metric for metric in metrics if MEASURES[metric].needs == source]
        if asked and getattr(options, source) is None:
            raise ValueError(f"metrics: for {', '.join(asked)} give --{source}")


def _first(items: Items, classifier: Classifier) -> Tensor:
    """Return the first image that can be used."""
    for place in range(len(items)):
        if (image := items[place].image) is not None:
            return image[None].to(classifier.mean.device)
    raise ValueError("no image can be used")


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit():
        raise ValueError(f"batch size: '{text}' is neither a number nor auto")
    return int(text)
