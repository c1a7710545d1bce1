"""``xaicore explain``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from matplotlib.backend_bases import FigureCanvasBase
from torch import Tensor

from xaicore import plot
from xaicore.attribution import METHODS
from xaicore.classifier import Classifier
from xaicore.cli.subject import classifier_of, layer_proposed, method_of, settings_of
from xaicore.files import check_output, replacing
from xaicore.interpretation import FITTED
from xaicore.masking import degenerate
from xaicore.metrics.faithfulness import average_drop, average_gain, confidence
from xaicore.models.ca_stream import CAStream
from xaicore.pictures import load_image

TOP = 3
"""How many predicted classes are printed."""


def run(options: argparse.Namespace) -> None:
    """Explain one picture: print what the network sees, write the overlay."""
    _check_output(options.output)
    if options.method in FITTED:
        raise ValueError(f"'{options.method}' is fitted to a data set first: use it from Python")
    settings = settings_of([options.method], options.set)[options.method]
    picture = load_image(options.picture)
    classifier = _classifier(options)
    explainer = method_of(options.method, classifier, settings)
    images = classifier.preprocess(picture).to(classifier.mean.device)
    target = None if options.target is None else classifier.class_index(options.target)

    with torch.no_grad():
        logits = classifier(images)
    chosen = int(logits.argmax()) if target is None else target
    with layer_proposed(classifier, lambda: images):
        began = time.perf_counter()
        maps = explainer(images, chosen)
        seconds = time.perf_counter() - began
    p, o = confidence(classifier, images, maps, chosen)

    name = _class_name(classifier, chosen)
    _write(options, images[0], maps[0], name)
    print(f"{options.picture}: {picture.width} × {picture.height} pixels, {options.model} predicts")
    for line in _predictions(classifier, logits):
        print(line)
    print(f"{options.method} explains {name} ({chosen}): p = {p.item():.3f}, masked {o.item():.3f}")
    print(
        f"average drop {100 * average_drop(p, o).item():.1f} %, "
        f"average gain {100 * average_gain(p, o).item():.1f} %"
    )
    if degenerate(maps).any():
        print(f"1 of 1 maps of {options.method} is constant: it points nowhere")
    print(f"{options.output} written; the map took {seconds:.2f} s")


def _check_output(path: Path) -> None:
    """Refuse an output that could not be written, before anything is computed."""
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"output: {path} must end in .png, .jpg, .webp, .pdf or .svg")
    check_output(path)


def _classifier(options: argparse.Namespace) -> Classifier:
    classifier = classifier_of(options, options.layer)
    return classifier if options.stream is None else CAStream.load(classifier, options.stream)


def _write(options: argparse.Namespace, image: Tensor, saliency: Tensor, name: str) -> None:
    """Write what the network sees and the map over it, side by side."""
    figure = plot.grid(
        {"": [plot.pixels(image), plot.blend(image, saliency)]},
        [f"what {options.model} sees", f"{METHODS[options.method].label}: {name}"],
        tile=3.2,
        colorbar=True,
    )
    with replacing(options.output) as file:
        figure.savefig(file, dpi=150, bbox_inches="tight")


def _class_name(classifier: Classifier, index: int) -> str:
    return classifier.classes[index] if classifier.classes else f"class {index}"


def _predictions(classifier: Classifier, logits: Tensor) -> list[str]:
    """Return one line for each of the most probable classes."""
    best = logits[0].topk(min(TOP, logits.shape[1])).indices
    values = classifier.probability(logits.expand(len(best), -1), best)
    return [
        f"  {100 * value:5.1f} %  {_class_name(classifier, index)} ({index})"
        for index, value in zip(best.tolist(), values.tolist(), strict=True)
    ]
