"""``xaicore explain``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from tqdm import tqdm

from xaicore.attribution import Explainer
from xaicore.attribution.capture import Passes, counted
from xaicore.classifier import Classifier
from xaicore.cli.subject import (
    classifier_of,
    layer_proposed,
    method_of,
    range_of,
    settings_of,
    words,
)
from xaicore.evaluation.tally import constant
from xaicore.explanation import Explanation, check_suffix, explain_by, read_image, save
from xaicore.files import check_output, replacing
from xaicore.interpretation import FITTED
from xaicore.metrics.faithfulness import average_drop, average_gain
from xaicore.models.ca_stream import CAStream
from xaicore.pictures.bands import ARRAYS
from xaicore.pictures.file import suffixes

FAILED = 1
"""The exit code where some of the pictures could not be explained."""

QUIET = 2.0
"""Seconds before progress is shown."""


def run(options: argparse.Namespace) -> int:
    """Explain pictures: print what the network sees, write the maps; return the exit code."""
    names = words(options.method.lower())
    _check_outputs(options, names)
    for name in names:
        if name in FITTED:
            raise ValueError(f"'{name}' is fitted to a data set first: use it from Python")
    settings, scale = settings_of(names, options.set), range_of(options.range)
    paths = _paths(options.pictures)
    classifier = _classifier(options)
    methods = {name: method_of(name, classifier, given) for name, given in settings.items()}
    target = None if options.target is None else classifier.class_index(options.target)

    rows: dict[str, list[Explanation]] = {}
    failures: list[str] = []
    with counted(classifier.net) as passes, _progress(len(paths) * len(methods), passes) as bar:
        for path in paths:
            bar.set_description(path.name, refresh=False)
            try:
                rows[str(path)] = _explained(classifier, path, methods, target, scale, bar)
            except (ValueError, OSError) as error:
                if len(paths) == 1 or (not rows and path == paths[-1]):
                    raise
                failures.append(f"{path} is left out: {' '.join(str(error).split())}")
    for failure in failures:
        print(failure, file=sys.stderr)
    for place, row in rows.items():
        _tell(place, options.model, dict(zip(methods, row, strict=True)))
    for line in constant(
        {name: [row[i].constant for row in rows.values()] for i, name in enumerate(names)}
    ):
        print(line)
    _write(options, rows, names)
    return FAILED if failures else 0


def _check_outputs(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse outputs that could not be written, before anything is computed."""
    check_suffix(options.output)
    check_output(options.output)
    if options.output.suffix.lower() == ".npy" and len(names) > 1:
        raise ValueError("output: .npy holds the maps of one method: write .npz for several")
    if options.overlays is not None and not options.overlays.parent.is_dir():
        raise FileNotFoundError(f"overlays: there is no folder {options.overlays.parent}")


def _paths(given: Sequence[Path]) -> list[Path]:
    """The pictures, each once, with those of folders in their order."""
    found: list[Path] = []
    for place in given:
        if not place.is_dir():
            found.append(place)
            continue
        inside = sorted(p for p in place.iterdir() if p.is_file() and p.name[0] != ".")
        visible = _of_kind(inside, suffixes()) or _of_kind(inside, ARRAYS)
        if not visible:
            raise ValueError(f"there is no picture in the folder {place}")
        found += visible
    return list(dict.fromkeys(found))


def _of_kind(paths: Sequence[Path], kinds: Collection[str]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in kinds]


def _classifier(options: argparse.Namespace) -> Classifier:
    classifier = classifier_of(options)
    return classifier if options.stream is None else CAStream.load(classifier, options.stream)


def _explained(
    classifier: Classifier,
    path: Path,
    methods: dict[str, Explainer],
    target: int | None,
    scale: tuple[float, float] | None,
    bar: tqdm,
) -> list[Explanation]:
    found = []
    with layer_proposed(classifier, lambda: read_image(path, classifier, scale)):
        for explanation in explain_by(classifier, path, [*methods.values()], target, scale):
            found.append(explanation)
            bar.update()
    return found


@contextmanager
def _progress(total: int, passes: Passes) -> Iterator[tqdm]:
    """Show a bar once it takes long, with its time and its passes of the network, every second.

    Silent without a terminal.
    """
    done = Event()
    bar = tqdm(total=total, unit=" maps", delay=QUIET, disable=None, dynamic_ncols=True)

    def tick() -> None:
        pause = QUIET
        while not done.wait(pause):
            bar.set_postfix_str(f"{passes.forwards} passes of the network")
            pause = 1.0

    ticking = Thread(target=tick, daemon=True)
    if not bar.disable:
        ticking.start()
    try:
        yield bar
    finally:
        done.set()
        if not bar.disable:
            ticking.join()
        bar.close()


def _tell(place: str, model: str, row: dict[str, Explanation]) -> None:
    """Print what the network predicts, and what each method says of it."""
    first = next(iter(row.values()))
    width, height = first.photograph.size
    print(f"{place}: {width} × {height} pixels, {model} predicts")
    for name, index, value in first.top:
        print(f"  {100 * value:5.1f} %  {name} ({index})")
    if first.frame is None:
        print("where its transform looks is unknown: maps are drawn over what the network sees")
    for name, found in row.items():
        drop, gain = (
            100 * score(found.p, found.o).item()  # type: ignore[arg-type]
            for score in (average_drop, average_gain)
        )
        print(
            f"{name} explains {found.name} ({found.target}): p = {found.p:.3f}, masked "
            f"{found.o:.3f}; average drop {drop:.1f} %, average gain {gain:.1f} %; "
            f"the map took {found.seconds:.2f} s"
        )


def _write(
    options: argparse.Namespace, rows: dict[str, list[Explanation]], names: Sequence[str]
) -> None:
    called = _short(list(rows), "name")
    many = len(rows) > 1 or len(names) > 1
    save({called[place] if many else "": row for place, row in rows.items()}, options.output)
    print(f"{options.output} written")
    if options.overlays is None:
        return
    options.overlays.mkdir(exist_ok=True)
    called = _short(list(rows), "stem")
    for place, row in rows.items():
        for name, found in zip(names, row, strict=True):
            path = options.overlays / f"{called[place]}.{name}.png"
            with replacing(path) as part:
                found.overlay().save(part)
            print(f"{path} written")


def _short(places: Sequence[str], part: str) -> dict[str, str]:
    """The names of files without their folders, or with them where two are the same."""
    short = [getattr(Path(place), part) for place in places]
    unique = len(set(short)) == len(short)
    flat = ["_".join(p for p in Path(place).parts if p.strip("/.")) for place in places]
    return dict(zip(places, short if unique else flat, strict=True))
