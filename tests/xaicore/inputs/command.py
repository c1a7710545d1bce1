"""Lines about files of weights, folders, labels and the command line."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from tests.xaicore.inputs.subjects import colour, network
from tests.xaicore.inputs.table import row
from xaicore.cli.main import main

COMMAND, WEIGHTS, FOLDERS, LABELS = "command line", "file of weights", "folder", "labels"
MODELS = "tests.xaicore.inputs.subjects:"
COLOURS = {"black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """An empty folder, in which the user is."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path()


def command(*words: str) -> str:
    """Run a command, and tell its exit code and what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    return f"exit {code}: {'; '.join(filter(None, lines))}"


def explain(model: str, *more: str, layer: str = "1") -> str:
    """Explain a photograph by a network."""
    with place():
        Image.linear_gradient("L").resize((24, 16)).convert("RGB").save("photo.jpg")
        words = ["photo.jpg", "--method", "grad-cam", "-o", "map.npy", *more]
        named = ["--layer", layer] if layer else []
        return command(
            "explain", *words, "--model", f"tests.xaicore.inputs.subjects:{model}", *named
        )


def evaluate(model: str, folders: dict[str, str], *more: str, labels: str = "") -> str:
    """Evaluate a network on pictures, one of each colour, that are called as is said."""
    with place() as here:
        for name, kind in folders.items():
            path = here / "val" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), COLOURS[kind]).save(path)
        if labels:
            (here / "labels.csv").write_text(labels)
            more = (*more, "--labels", "labels.csv")
        words = ["--images", "val", "--methods", "saliency", "--metrics", "ad", "--out", "run"]
        return command(
            "evaluate", *words, "--model", f"tests.xaicore.inputs.subjects:{model}", *more
        )


FLAT = {f"{colour}.png": colour for colour in COLOURS}


@row(COMMAND)
def _() -> str:
    """`explain`, one logit

    Before: `100.0 % class 0`, without a word

    Now: exit 2: xaicore: error: the network gives one logit, …: say …, or --activation sigmoid
    to a command
    """
    return explain("binary")


@row(COMMAND)
def _() -> str:
    """`explain --activation sigmoid --target 0`, one logit

    Before: no such option

    Now: exit 0: …; 50.5 % class 0 (0); 49.5 % class 1 (1); grad-cam explains class 0 (0): p =
    0.505, …
    """
    return explain("binary", "--activation", "sigmoid", "--target", "0")


@row(COMMAND)
def _() -> str:
    """`explain`, a network of one channel

    Before: a traceback

    Now: exit 2: xaicore: error: the network takes 1 channel, not 3: give mean and std, one number
    for each: …, or --mean and --std
    """
    return explain("grey")


@row(COMMAND)
def _() -> str:
    """`explain --mean 0.5 --std 0.5`, a network of one channel

    Before: no such option

    Now: exit 0: …; grad-cam explains class 1 (1): p = 0.369, …
    """
    return explain("grey", "--mean", "0.5", "--std", "0.5")


@row(COMMAND)
def _() -> str:
    """`explain`, a network whose layer is not known

    Before: `no CAM layer is known`; `explain` had no `--layer`

    Now: exit 2: xaicore: error: no CAM layer is known for Sequential: give --layer, for example
    1 or 0
    """
    return explain("colour", layer="")


@row(COMMAND)
def _() -> str:
    """`explain`, a network that returns another dict

    Before: a traceback

    Now: exit 2: xaicore: error: Returning returns a dict, no logits (B, C): wrap it: class
    Logits(torch.nn.Module): …
    """
    return explain("scores", layer="net.1")


@row(COMMAND)
def _() -> str:
    """`explain`, a slip of the pen in the network

    Before: a traceback

    Now: exit 2: xaicore: error: AttributeError: 'Broken' object has no attribute 'hed'
    (…subjects.py, line …); --traceback shows more
    """
    return explain("broken", layer="head")


@row(COMMAND)
def _() -> str:
    """`explain`, Ctrl-C while the network runs

    Before: a traceback

    Now: exit 130: stopped
    """
    return explain("interrupted", "--method", "saliency", layer="")


@row(COMMAND)
def _() -> str:
    """`explain`, a map that is constant

    Before: nothing was said

    Now: exit 0: …; 1 of 1 maps of grad-cam are constant: they point nowhere; …
    """
    return explain("flat")


@row(COMMAND)
def _() -> str:
    """`evaluate`, maps that are constant

    Before: nothing was said

    Now: exit 0: …; 4 of 4 maps of grad-cam are constant: they point nowhere; 4 images measured;
    …
    """
    return evaluate("flat", FLAT, "--methods", "grad-cam", "--layer", "1")


@row(COMMAND)
def _() -> str:
    """`evaluate`, images that all fail

    Before: exit 1, after the whole run

    Now: exit 2: xaicore: error: the first 4 images all fail, so nothing is measured; 'Broken'
    object has no attribute 'hed'
    """
    return evaluate("broken", FLAT)


@row(LABELS)
def _() -> str:
    """labels that count from 1

    Before: exit 0; nothing was said

    Now: exit 0: …; the prediction is the label for 0 of 12 images (0.0 %); …; warning: labels
    seem to count from 1: with every label one less, the prediction would be the label for 12 of
    12 images, not for 0
    """
    names = [f"{i}{colour}.png" for i in range(4) for colour in ("black", "red", "green")]
    pictures = {name: name[1:-4] for name in names}
    place_of = {"black": 1, "red": 2, "green": 3}
    rows = [f"{name},{place_of[kind]}" for name, kind in pictures.items()]
    return evaluate("nameless", pictures, labels="\n".join(["file,label", *rows]))


@row(LABELS)
def _() -> str:
    """class folders, three of the four that the network knows by number

    Before: exit 0; classes 0, 1 and 2 were guessed

    Now: exit 2: xaicore: error: images: the folder 'black' is no class of the network: …, have
    one for each of the 4 classes, not 3, …
    """
    return evaluate("nameless", {f"{c}/1.png": c for c in ("black", "red", "green")})


@row(LABELS)
def _() -> str:
    """class folders, as many as there are logits, without names

    Before: exit 0; nothing was said

    Now: exit 0: classes: the order of 4 folders (black 0, blue 1, green 2, …); the prediction
    is the label for 2 of 4 images (50.0 %); …
    """
    return evaluate("nameless", {f"{c}/1.png": c for c in COLOURS})


@row(LABELS)
def _() -> str:
    """class folders called by the names of classes

    Before: exit 0; nothing was said

    Now: exit 0: classes: the names of 2 folders; the prediction is the label for 2 of 2 images
    (100.0 %); …
    """
    return evaluate("named", {f"{c}/1.png": c for c in ("red", "green")})


@row(LABELS)
def _() -> str:
    """a class folder "deep_blue" for the class "deep blue"

    Before: refused, without what is meant

    Now: exit 2: xaicore: error: images: the folder 'deep_blue' is no class of the network,
    though 'red' is: rename it, or give a table of labels; did you mean deep blue?
    """
    return evaluate("named", {"red/1.png": "red", "deep_blue/1.png": "blue"})


@row(FOLDERS)
def _() -> str:
    """class folders within which pictures lie deeper

    Before: refused: `there is no picture in val`

    Now: exit 0: classes: the names of 2 folders; …
    """
    return evaluate("named", {f"{c}/images/1.png": c for c in ("red", "green")})


@row(FOLDERS)
def _() -> str:
    """formats beside JPEG and PNG (.ppm, .tga)

    Before: refused: `there is no picture in val`

    Now: exit 0: classes: the names of 2 folders; …
    """
    return evaluate("named", {"red/1.ppm": "red", "green/1.tga": "green"})


@row(FOLDERS)
def _() -> str:
    """folders called "train" and "val"

    Before: refused, without the reason

    Now: exit 2: xaicore: error: images: the folders train, val are parts of a data set, not
    classes: give one
    """
    return evaluate("named", {"train/1.png": "red", "val/1.png": "green"})


def weights(content: object) -> str:
    """Explain a photograph by a network whose weights are in a file of this content."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/net.pt"
        torch.save(content, file)
        return explain("colour", "--weights", file).replace(file, "net.pt")


def state(prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in network().state_dict().items()}


@row(WEIGHTS)
def _() -> str:
    """names with the prefix `module.` (DataParallel)

    Before: refused: `it has no 0.weight; it has module.0.weight, …`

    Now: exit 0: …; warning: …net.pt: the weights were found under the prefix 'module.'
    """
    return weights(state("module."))


@row(WEIGHTS)
def _() -> str:
    """names with the prefix `_orig_mod.` (torch.compile)

    Before: refused: `it has no 0.weight; it has _orig_mod.0.weight, …`

    Now: exit 0: …; warning: …net.pt: the weights were found under the prefix '_orig_mod.'
    """
    return weights(state("_orig_mod."))


@row(WEIGHTS)
def _() -> str:
    """a checkpoint of Lightning

    Before: refused: `it has no 0.weight; it has state_dict, epoch, …`

    Now: exit 0: …; warning: …net.pt: the weights were found under 'state_dict' and the prefix
    'model.'
    """
    return weights({"state_dict": state("model."), "epoch": 3, "pytorch-lightning_version": "2"})


@row(WEIGHTS)
def _() -> str:
    """a checkpoint of torchvision's training

    Before: refused: `it has no 0.weight; it has model, optimizer, …`

    Now: exit 0: …; warning: …net.pt: the weights were found under 'model'
    """
    return weights({"model": state(), "optimizer": {}, "epoch": 3})


@row(WEIGHTS)
def _() -> str:
    """weights with counted operations among them (thop)

    Before: refused: `the network has no total_ops`

    Now: exit 0: …; warning: …net.pt: entries left aside: 1
    """
    return weights({**state(), "total_ops": torch.zeros(1)})


@row(WEIGHTS)
def _() -> str:
    """a whole network, pickled

    Before: refused: `is not a file of weights saved by torch.save`, which it is

    Now: exit 2: xaicore: error: weights: net.pt is an unsafe pickle: besides tensors it holds
    torch.nn.modules.container.Sequential, …: save net.state_dict()
    """
    return weights(colour())


@row(WEIGHTS)
def _() -> str:
    """weights beside a path of pathlib

    Before: refused: `is not a file of weights saved by torch.save`, which it is

    Now: exit 2: xaicore: error: weights: net.pt is an unsafe pickle: besides tensors it holds
    pathlib.P…
    """
    return weights({"state_dict": state(), "folder": Path("x")})


@row(WEIGHTS)
def _() -> str:
    """weights of another network

    Before: the same

    Now: exit 2: xaicore: error: weights: net.pt does not hold the weights of this Sequential:
    it has no 0.weight; it has fc.weight, …
    """
    return weights({"fc.weight": torch.zeros(2, 2)})


@row(WEIGHTS)
def _() -> str:
    """weights of ten classes for a network of four

    Before: refused, without the cure

    Now: exit 2: xaicore: error: weights: net.pt …: its 4.weight is (10, 8), not (4, 8): build
    the network with as many classes as the file has
    """
    return weights(network(classes=10).state_dict())
