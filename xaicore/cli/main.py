"""The command line: ``xaicore explain | evaluate | report | methods | train``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from inspect import getdoc, signature
from pathlib import Path
from typing import NoReturn

import torch
from matplotlib.backend_bases import FigureCanvasBase
from torch import Tensor

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaibook.flowers.training import train_flowers
from xaicore import plot
from xaicore.attribution import METHODS, Explainer
from xaicore.classifier import Classifier
from xaicore.cli import train_ca_stream as ca_stream
from xaicore.cli import train_interpretable_gradient as interpretable_gradients
from xaicore.cli.evaluate import add_commands
from xaicore.files import check_output, replacing
from xaicore.folders import load_image
from xaicore.interpretation import FITTED
from xaicore.metrics.faithfulness import average_drop, average_gain, confidence, probability
from xaicore.models.ca_stream import CAStream
from xaicore.models.named import FLOWERS, TIMM, named_classifier, on_device
from xaicore.training.loop import accuracy

TOP = 3
"""How many predicted classes are printed."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    It is 0, or 2 when the input cannot be used; ``evaluate`` returns 1 when images failed, and 130
    when it was interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, OSError, ImportError, MemoryError) as error:
        message = " ".join(str(error).split())
        print(f"xaicore: error: {message}", file=sys.stderr)
        return 2


def _parser() -> Parser:
    parser = Parser(prog="xaicore", description="Interpret image classifiers.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    explain = commands.add_parser("explain", help="explain one picture")
    explain.set_defaults(run=_explain)
    explain.add_argument("picture", type=Path, help="a photograph: JPEG, PNG, …")
    explain.add_argument("--method", default="opti-cam", help="see `xaicore methods`")
    explain.add_argument(
        "--model",
        default="resnet18",
        help=f"a torchvision network, '{TIMM}NAME' for one of timm, or '{FLOWERS}', the book's own",
    )
    explain.add_argument("--weights", type=Path, help="a state dict; default: downloaded once")
    explain.add_argument("--stream", type=Path, help="a stream of `xaicore train ca-stream`")
    explain.add_argument("--target", help="class to explain, by name or number; default: predicted")
    explain.add_argument("--iterations", type=int, help="steps of a method that optimises")
    explain.add_argument("--preset", help="settings of a method that has some: paper or fast")
    explain.add_argument("--device", help="cpu, cuda, mps, …; default: cuda if there is one")
    explain.add_argument("-o", "--output", type=Path, required=True, help="picture to write")

    add_commands(commands)

    methods = commands.add_parser("methods", help="list the explanation methods")
    methods.set_defaults(run=_methods)

    train = commands.add_parser("train", help="train one of the book's networks")
    tasks = train.add_subparsers(title="networks", required=True, metavar="NETWORK")
    flowers = tasks.add_parser("flowers", help="the small residual network on rendered flowers")
    flowers.set_defaults(run=_train_flowers)
    flowers.add_argument("--task", default="species", help="what to tell apart")
    flowers.add_argument("--seed", type=int, default=0)
    flowers.add_argument("--pictures", type=int, default=4500, help="how many to train on")
    flowers.add_argument("--epochs", type=int, default=16, help="passes over the pictures")
    flowers.add_argument("--removed", type=float, default=0.0, help="share that lose parts")
    flowers.add_argument("-o", "--output", type=Path, required=True, help="weights to write")

    stream = tasks.add_parser("ca-stream", help="attention pooling beside a frozen network")
    stream.set_defaults(run=partial(ca_stream.run, build=_classifier))
    ca_stream.add_arguments(stream)

    gradient = tasks.add_parser(
        "interpretable-gradient", help="a network whose plain gradients resemble its guided ones"
    )
    gradient.set_defaults(run=partial(interpretable_gradients.run, build=_classifier))
    interpretable_gradients.add_arguments(gradient)
    return parser


def _methods(_: argparse.Namespace) -> None:
    """Print each method with its cost and its one-sentence description."""
    listed = METHODS | FITTED
    width = max(map(len, listed))
    costs = max(len(method.cost) for method in listed.values())
    print(f"{'method':{width}}  {'cost per image':{costs}}  what it is")
    for name, method in listed.items():
        summary = (getdoc(method) or "").splitlines()[0]
        print(f"{name:{width}}  {method.cost:{costs}}  {summary}")
    print("F: a forward pass of the network; B: a backward pass; K: feature maps; T: iterations;")
    print("N, n: masks, samples, steps or features")
    print(f"from Python alone, for it is fitted to a data set first: {', '.join(FITTED)}")


def _explain(options: argparse.Namespace) -> None:
    """Explain one picture: print what the network sees, write the overlay."""
    _check_output(options.output)
    if options.method in FITTED:
        raise ValueError(f"'{options.method}' is fitted to a data set first: use it from Python")
    if options.method not in METHODS:
        raise ValueError(f"no method is called '{options.method}': use one of {', '.join(METHODS)}")
    picture = load_image(options.picture)
    classifier = _classifier(options)
    if options.stream is not None:
        classifier = CAStream.load(classifier, options.stream)
    explainer = _explainer(options, classifier)
    images = classifier.preprocess(picture).to(classifier.mean.device)
    target = None if options.target is None else classifier.class_index(options.target)

    with torch.no_grad():
        logits = classifier(images)
    chosen = int(logits.argmax()) if target is None else target
    began = time.perf_counter()
    maps = explainer(images, chosen)
    seconds = time.perf_counter() - began
    p, o = confidence(classifier, images, maps, chosen)

    name = _class_name(classifier, chosen)
    figure = plot.grid(
        {"": [plot.pixels(images[0]), plot.blend(images[0], maps[0])]},
        [f"what {options.model} sees", f"{METHODS[options.method].label}: {name}"],
        tile=3.2,
        colorbar=True,
    )
    with replacing(options.output) as file:
        figure.savefig(file, dpi=150, bbox_inches="tight")

    print(f"{options.picture}: {picture.width} × {picture.height} pixels, {options.model} predicts")
    for line in _predictions(classifier, logits):
        print(line)
    print(f"{options.method} explains {name} ({chosen}): p = {p.item():.3f}, masked {o.item():.3f}")
    print(
        f"average drop {100 * average_drop(p, o).item():.1f} %, "
        f"average gain {100 * average_gain(p, o).item():.1f} %"
    )
    print(f"{options.output} written; the map took {seconds:.2f} s")


def _check_output(path: Path) -> None:
    """Refuse an output that could not be written, before anything is computed."""
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"output: {path} must end in .png, .jpg, .webp, .pdf or .svg")
    check_output(path)


def _classifier(options: argparse.Namespace) -> Classifier:
    return on_device(named_classifier(options.model, options.weights), options.device)


def _explainer(options: argparse.Namespace, classifier: Classifier) -> Explainer:
    given = {name: getattr(options, name) for name in ("iterations", "preset")}
    settings = {name: value for name, value in given.items() if value is not None}
    for name in settings:
        able = [method for method in METHODS if name in signature(METHODS[method]).parameters]
        if options.method not in able:
            raise ValueError(
                f"--{name} is a setting of {' and '.join(able)}, not of {options.method}"
            )
    return METHODS[options.method](classifier, **settings)


def _class_name(classifier: Classifier, index: int) -> str:
    return classifier.classes[index] if classifier.classes else f"class {index}"


def _predictions(classifier: Classifier, logits: Tensor) -> list[str]:
    """Return one line for each of the most probable classes."""
    best = logits[0].topk(min(TOP, logits.shape[1])).indices
    values = probability(logits.expand(len(best), -1), best)
    return [
        f"  {100 * value:5.1f} %  {_class_name(classifier, index)} ({index})"
        for index, value in zip(best.tolist(), values.tolist(), strict=True)
    ]


def _train_flowers(options: argparse.Namespace) -> None:
    """Train the flower network, store its weights, and print its accuracy on held-out images.

    One thread, as the packaged weights were made: another number ends at another network.
    """
    torch.set_num_threads(1)
    settings = {"n": options.pictures, "epochs": options.epochs, "removed": options.removed}
    net = train_flowers(options.task, options.seed, output=options.output, **settings)
    test = Flowers(options.task, "test", 900)
    classifier = Classifier(net, FLOWER_MEAN, FLOWER_STD)
    share = accuracy(classifier, test.images, test.targets)
    print(f"{options.output} written; accuracy on {len(test)} test images: {100 * share:.1f} %")
