"""``xaicore evaluate`` and ``xaicore report``."""

from __future__ import annotations

import argparse
import sys
from ast import literal_eval
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from xaicore.attribution import METHODS, Explainer
from xaicore.classifier import Classifier, hint
from xaicore.evaluation.batch import IN_BOXES, IN_MASKS, NAMES, Settings
from xaicore.evaluation.engine import on_disk
from xaicore.evaluation.estimate import estimate
from xaicore.evaluation.folder import Folder
from xaicore.evaluation.job import PRECISIONS, Job
from xaicore.evaluation.loading import Items
from xaicore.evaluation.plan import Run, Sizes, checked_metrics
from xaicore.evaluation.report import as_text, summary_of, write_report
from xaicore.masking import BASELINES
from xaicore.metrics.causal import CAUSAL_PROTOCOLS
from xaicore.models.named import named_classifier, on_device
from xaicore.pictures import pictures
from xaicore.processes import ranks

FAILED = 1
"""The exit code of a run in which images failed."""

INTERRUPTED = 130


def add_commands(commands: Any) -> None:
    """Add both commands to the command line."""
    evaluate = commands.add_parser(
        "evaluate",
        help="measure methods by metrics over pictures",
        description="Explain every picture of a folder by every method, and measure the maps.",
        epilog="Exit code: 0 if all is there, 1 if images failed, 2 if nothing could be done.",
    )
    evaluate.set_defaults(run=_evaluate)
    _add_subject(evaluate)
    _add_work(evaluate)
    _add_machine(evaluate)

    told = commands.add_parser("report", help="tables and plots of a run, also while it goes on")
    told.set_defaults(run=_report)
    told.add_argument("folder", type=Path, help="the folder of the run")
    told.add_argument("--reference", help="the method to compare with; default: the first")
    told.add_argument("-o", "--output", type=Path, help="where to write; default: FOLDER/report")


def _add_subject(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is explained").add_argument
    add(
        "--model",
        required=True,
        help="a torchvision network, timm/NAME, flowers, or package.module:function of your own, "
        "which returns a Classifier, with the transform of its pictures, or a torch network",
    )
    add("--weights", type=Path, help="file of a state dict; default: those the network comes with")
    add("--layer", help="the layer a CAM looks at; default: the last spatial one")
    add("--images", type=Path, required=True, help="pictures, or a folder of them for each class")
    add("--labels", type=Path, help="CSV: file, label; default: folders, else predicted classes")
    add(
        "--boxes", type=Path, help="CSV: file, x0, y0, x1, y1 in pixels, or x0_frac, … in fractions"
    )
    add("--masks", type=Path, help="folder of NAME.png for each picture, white where the class is")
    add("--limit", type=int, help="take the first so many pictures")


def _add_work(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is measured").add_argument
    add("--methods", required=True, help="names, separated by commas: see `xaicore methods`")
    add("--metrics", default="ad,ai,ag", help=f"some of {', '.join(NAMES)}, in any case")
    add(
        "--set",
        action="append",
        default=[],
        metavar="METHOD.SETTING=VALUE",
        help="a setting of a method, for example opti-cam.preset=fast",
    )
    add("--baseline", default="black", choices=BASELINES, help="what replaces removed pixels")
    add(
        "--curves",
        default="paper",
        choices=CAUSAL_PROTOCOLS,
        help="the protocol of insertion and deletion",
    )
    add("--precision", default="float32", choices=PRECISIONS, help="of the network's passes")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how").add_argument
    add("-o", "--out", type=Path, required=True, help="folder of the run; it goes on where it was")
    add("--batch-size", default="auto", help="images at once; auto: what fits (default)")
    add("--chunk-size", type=int, help="images in one file of records")
    add("--device", help="cpu, cuda, mps, …; default: cuda if there is one, one for each process")
    add("--threads", type=int, help="threads of torch on the CPU")
    add("--workers", type=int, default=0, help="processes that read pictures ahead")
    add("--strict", action="store_true", help="stop at the first image that cannot be measured")
    add("--dry-run", action="store_true", help="measure a few images, say what the run would cost")


def _evaluate(options: argparse.Namespace) -> int:
    """Run, and say how it ended; the exit code is 1 if images failed."""
    run = _run(options)
    if options.dry_run:
        if ranks().first:
            print(estimate(run, Folder(options.out)))
        return 0
    try:
        failed, example = on_disk(run, options.out, None)
    except KeyboardInterrupt:
        print(f"\nstopped; run the same command again to go on in {options.out}", file=sys.stderr)
        return INTERRUPTED
    if not ranks().first:
        return 0
    print(f"{len(run.items)} images measured; see `xaicore report {options.out}`")
    if failed:
        told = f"{failed} of {len(run.items)} images failed, at least in part; {example}"
        print(told, file=sys.stderr)
    return FAILED if failed else 0


def _report(options: argparse.Namespace) -> None:
    """Write the files of the report, and print it."""
    summary = summary_of(options.folder, options.reference)
    files = write_report(summary, options.output or options.folder / "report")
    print(as_text(summary), *(f"{file} written" for file in files), sep="\n")


def _run(options: argparse.Namespace) -> Run:
    metrics = checked_metrics(_words(options.metrics))
    for needed, source in ((IN_BOXES, "boxes"), (IN_MASKS, "masks")):
        asked = [metric for metric in metrics if metric in needed]
        if asked and getattr(options, source) is None:
            raise ValueError(f"metrics: for {', '.join(asked)} give --{source}")
    names = _words(options.methods.lower())
    settings = _settings(options.set, names)
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"limit must be at least 1, not {options.limit}")
    classifier = on_device(
        named_classifier(options.model, options.weights, options.layer), options.device
    )
    dataset = pictures(
        options.images,
        classifier.transform,
        classifier.classes,
        options.labels,
        options.boxes,
        options.masks,
        options.limit,
    )
    job = Job(
        classifier,
        {name: _method(name, classifier, settings.get(name, {})) for name in names},
        Settings(metrics, options.baseline, options.curves),
        options.precision,
    )
    sizes = Sizes(_batch_size(options.batch_size), options.chunk_size, options.threads)
    return Run(job, Items(dataset), sizes, options.workers, options.strict)


def _words(text: str) -> list[str]:
    """The words of a list with commas, each once, with or without spaces."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _method(name: str, classifier: Classifier, settings: Mapping[str, object]) -> Explainer:
    """Return a method; its settings are words of a user, of any type.

    Raises:
        ValueError: a setting is of another type, or out of range.
    """
    try:
        return METHODS[name](classifier, **settings)
    except TypeError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        raise ValueError(f"--set: {name} cannot be made with {given}: {error}") from error


def _settings(given: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return the settings of each method, checked against what it knows.

    Raises:
        ValueError: a method or a setting is unknown.
    """
    for name in names:
        if name not in METHODS:
            near = hint(name, METHODS) or f": use some of {', '.join(METHODS)}"
            raise ValueError(f"no method is called '{name}'{near}")
    found: dict[str, dict[str, object]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        name, _, setting = place.rpartition(".")
        if not (equals and name):
            raise ValueError(f"--set {text}: write METHOD.SETTING=VALUE")
        if name not in names:
            raise ValueError(f"--set {text}: '{name}' is none of the methods {', '.join(names)}")
        _check_setting(METHODS[name], name, setting)
        found.setdefault(name, {})[setting] = _value(value)
    return found


def _check_setting(method: type[Explainer], name: str, setting: str) -> None:
    known = [key for key in signature(method).parameters if key != "classifier"]
    if setting not in known:
        raise ValueError(f"{name} has no setting '{setting}': it has {', '.join(known) or 'none'}")


def _value(text: str) -> object:
    """A number, a truth value or a tuple, if the text reads as one; else the text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit():
        raise ValueError(f"batch size: '{text}' is neither a number nor auto")
    return int(text)
