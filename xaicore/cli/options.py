"""What the commands take. Nothing here loads torch: a command's own module does, when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

from xaicore.versions import commit, versions

Command = Callable[[argparse.Namespace], int | None]
Place = argparse._ActionsContainer
"""Where options are added: a parser, or a group of one."""

BROUGHT = "xaicore.commands"
"""The entry points of commands whose work another package does: xaicore knows no data."""

FUNCTION = "package.module:function of your own"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.add_argument(
            "--traceback",
            action="store_true",
            default=argparse.SUPPRESS,
            help="after an error, show where it arose",
        )

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class Versions(argparse.Action):
    """Print what is installed, and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print one line for each package."""
        told = versions() | {"commit": commit() or "unknown"}
        print("\n".join(f"{name} {version}" for name, version in told.items()))
        parser.exit()


def whole_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="xaicore", description="Interpret image classifiers.")
    parser.add_argument("--version", action=Versions, nargs=0, help="say what is installed")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _explain(commands)
    _evaluate(commands)
    _report(commands)
    _leaderboard(commands)
    methods = commands.add_parser("methods", help="list methods and metrics")
    methods.set_defaults(run=_later("methods"))
    train = commands.add_parser("train", help="train a network")
    tasks = train.add_subparsers(title="networks", required=True, metavar="NETWORK")
    _train_ca_stream(tasks)
    _train_interpretable_gradient(tasks)
    return parser


def _later(module: str) -> Command:
    """Return what imports a command's module when it is called, and runs it."""

    def run(options: argparse.Namespace) -> int | None:
        return import_module(f"xaicore.cli.{module}").run(options)

    return run


def _brought(name: str) -> Command:
    """Return what runs a command that another package brings, by an entry point of its name."""

    def run(options: argparse.Namespace) -> int | None:
        for found in entry_points(group=BROUGHT, name=name):
            return found.load()(options)
        raise ImportError(
            f"{name} needs the package of the book, which holds the pictures and the networks: "
            "install xaicore together with xaibook, as its repository does"
        )

    return run


def _explain(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain pictures",
        description="Explain pictures by one method or several, and draw the maps over them.",
    )
    parser.set_defaults(run=_later("explain"))
    add = parser.add_argument
    add(
        "pictures",
        type=Path,
        nargs="+",
        help="photographs, or folders of them: JPEG, PNG, …; for networks of other channels than "
        "1 and 3 TIFF or .npy of so many bands",
    )
    add("--method", default="opti-cam", help="names, with commas: see `xaicore methods`")
    _model(parser, default="efficientnet_lite0")
    _network(parser)
    _range(parser)
    _settings(parser)
    _device(parser)
    add("--stream", type=Path, help="a stream of `xaicore train ca-stream`")
    add("--target", help="class to explain, by name or number; default: predicted")
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="what to write: a picture to share (.png, .jpg, .pdf, …), a row for each photograph; "
        "or the raw maps (.npy of one method, .npz of several)",
    )
    add("--overlays", type=Path, help="folder for each map over its photograph, in full size")


def _evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure methods by metrics over pictures",
        description="Explain every picture of a folder by every method, and measure the maps.",
        epilog="Exit code: 0 if all is there, 1 if images failed, 2 if nothing could be done.",
    )
    parser.set_defaults(run=_later("evaluate"))
    subject = parser.add_argument_group("what is explained")
    _model(subject)
    _network(subject)
    _images(subject)
    subject.add_argument(
        "--boxes",
        type=Path,
        help="CSV: file, x0, y0, x1, y1 in pixels, or x0_frac, … in fractions",
    )
    subject.add_argument(
        "--masks", type=Path, help="folder of NAME.png for each picture, white where the class is"
    )
    subject.add_argument(
        "--mask-value", type=int, help="the number that is the class in masks; default: white"
    )
    _range(subject)
    _measured(parser.add_argument_group("what is measured"))
    how = parser.add_argument_group("how")
    add = how.add_argument
    add("-o", "--out", type=Path, required=True, help="folder of the run; it goes on where it was")
    add("--batch-size", default="auto", help="images at once; auto: what fits (default)")
    add("--chunk-size", type=int, help="images in one file of records")
    add(
        "--folded",
        action="store_true",
        help="fold batch normalisation into convolutions first: lighter passes, logits that differ "
        "by rounding; the manifest says so",
    )
    _device(how)
    add("--threads", type=int, help="threads of torch on the CPU")
    _workers(how)
    add("--strict", action="store_true", help="stop at the first image that cannot be measured")
    add("--dry-run", action="store_true", help="time the first passes, say what all would cost")


def _measured(parser: Place) -> None:
    add = parser.add_argument
    add("--methods", required=True, help="names, separated by commas: see `xaicore methods`")
    add(
        "--metrics",
        help="names in any case: see `xaicore methods`; default: ad,ai,ag, and transfer with "
        "--judges",
    )
    add(
        "--judges",
        help="networks that did not make the maps, named as --model is, with commas: what share "
        "of a map's gain do they see? their classes must mean the same",
    )
    _settings(parser)
    add("--baseline", default="black", help="what replaces removed pixels: black, mean or blur")
    add(
        "--curves",
        default="paper",
        help="the protocol of insertion and deletion: paper, rise or ca-stream",
    )
    add("--precision", default="float32", help="float32, bfloat16 or float16")


def _report(commands: Any) -> None:
    parser = commands.add_parser("report", help="tables and plots of a run, also while it goes on")
    parser.set_defaults(run=_later("report"))
    parser.add_argument("folder", type=Path, help="the folder of the run")
    parser.add_argument("--reference", help="the method to compare with; default: the first")
    parser.add_argument("--by", help="the metric that chooses the pictures; default: the first")
    parser.add_argument("--no-pictures", action="store_true", help="explain no picture again")
    parser.add_argument("-o", "--output", type=Path, help="where to write; default: FOLDER/report")


def _leaderboard(commands: Any) -> None:
    parser = commands.add_parser(
        "leaderboard",
        help="make a row of the book's leaderboard of a method",
        description="Score a method on the book's flowers, whose deciding pixels are known, with "
        "all of its networks, and say where it stands among the others.",
    )
    parser.set_defaults(run=_brought("leaderboard"))
    add = parser.add_argument
    add(
        "method",
        help=f"{FUNCTION}, which takes a Classifier and returns a function of images (B, 3, H, W) "
        "and targets (B,) that returns saliency (B, 1, H, W) in [0, 1]; or a name",
    )
    add("-o", "--output", type=Path, required=True, help="the row to write, CSV")
    add("--pictures", type=int, default=600, help="test pictures, of which most count (600)")
    add("--every", type=int, default=1, help="a slow method explains one in so many (1)")
    _device(parser)


def _train_ca_stream(tasks: Any) -> None:
    parser = tasks.add_parser("ca-stream", help="attention pooling beside a frozen network")
    parser.set_defaults(run=_later("train_ca_stream"))
    _taught(parser)
    add = parser.add_argument
    add("--taps", help="modules to attend to, with commas; default: all stages")
    add("--projected", action="store_true", help="keys and values (PROJ→CA)")
    add("--class-specific", action="store_true", help="a token for each class")
    add("--initial", default="paper", help="paper, or average: starts as pooling")
    add("--recipe", default="quick", help="how to train: quick or paper (quick)")
    _recipe(parser, epochs=None, learning_rate=None, batch_size=None)
    add("--patience", type=int, default=5, help="epochs without improvement (5)")
    add("--augment", action="store_true", help="crop and mirror; looks every time")
    add("-o", "--output", type=Path, required=True, help="stream to write")


def _train_interpretable_gradient(tasks: Any) -> None:
    parser = tasks.add_parser(
        "interpretable-gradient", help="a network whose plain gradients resemble its guided ones"
    )
    parser.set_defaults(run=_later("train_interpretable_gradient"))
    _taught(parser)
    add = parser.add_argument
    add("--scratch", action="store_true", help="random weights; a function is given the classes")
    add("--small-images", action="store_true", help="a stem for 32 pixels")
    add("--averages", action="store_true", help="averages instead of strides")
    add("--size", type=int, default=64, help="side of pictures from scratch (64)")
    add("--weight", type=float, default=0.0075, help="λ (0.0075)")
    add("--error", default="cosine", help="cosine, mae, mse or histogram (cosine)")
    add("--target", default="loss", help="whose gradient: loss, logit or log-probability (loss)")
    _recipe(parser, epochs=16, learning_rate=0.1, batch_size=32)
    add("-o", "--output", type=Path, required=True, help="weights to write")


def _taught(parser: Place) -> None:
    """What is taught, by what, and how the training is kept."""
    _model(parser)
    _images(parser)
    add = parser.add_argument
    add("--validation", help="as --images, that are held out; default: a tenth of them")
    _workers(parser)
    add("--seed", type=int, default=0)
    _device(parser)
    add("--checkpoint", type=Path, help="progress; a run that stopped goes on")


def _recipe(parser: Place, **defaults: float | None) -> None:
    for name, kind in (("epochs", int), ("learning_rate", float), ("batch_size", int)):
        default = defaults[name]
        told = "overrides the recipe's" if default is None else f"({default})"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=default, help=told)


def _model(parser: Place, default: str | None = None) -> None:
    parser.add_argument(
        "--model",
        default=default,
        required=default is None,
        help="efficientnet_lite0, which needs no download, a torchvision network, timm/NAME, or "
        f"{FUNCTION}, which returns a Classifier, with the transform of its pictures, or a torch "
        f"network{f'; default: {default}' if default else ''}",
    )
    parser.add_argument(
        "--weights", type=Path, help="file of a state dict; default: those the network comes with"
    )


def _network(parser: Place) -> None:
    """What is said of a network that does not say it itself."""
    add = parser.add_argument
    add("--layer", help="the layer a CAM looks at; default: the last spatial one")
    add("--activation", help="softmax: one class of many (default); sigmoid: several, or one logit")
    told = "of each channel, with commas, for pixels from 0 to 1; as many as there are channels"
    add("--mean", type=_numbers, help=f"mean {told}; default: ImageNet's, or the network's own")
    add("--std", type=_numbers, help="standard deviation of each channel")


def _range(parser: Place) -> None:
    parser.add_argument(
        "--range",
        metavar="LOW,HIGH",
        help="what becomes black and white in pictures of more than 8 bits; 16 bits: 0,65535",
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers like 0.5,0.5") from None


def _images(parser: Place) -> None:
    add = parser.add_argument
    add(
        "--images",
        required=True,
        help=f"folder of pictures, or of a folder for each class; or {FUNCTION}, which returns a "
        "data set of pixels and classes",
    )
    add("--labels", type=Path, help="CSV: file, label; default: the folders, if there are any")
    add("--limit", type=int, help="take the first so many pictures")


def _settings(parser: Place) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="METHOD.SETTING=VALUE",
        help="a setting of a method, for example opti-cam.preset=fast",
    )


def _device(parser: Place) -> None:
    parser.add_argument(
        "--device",
        help="cpu, cuda, mps, …; default: cuda if there is one, one for each process",
    )


def _workers(parser: Place) -> None:
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures ahead")
