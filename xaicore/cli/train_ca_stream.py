"""The command ``xaicore train ca-stream``, alone or under ``torchrun``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, random_split
from torchvision.transforms import v2

from xaibook.flowers.dataset import Flowers
from xaicore.classifier import Classifier
from xaicore.files import check_output
from xaicore.folders import ImageTable
from xaicore.models.ca_stream import CAStream
from xaicore.training.ca_stream import RECIPES, Looks, logits, train_stream
from xaicore.training.distributed import processes, rank
from xaicore.training.loop import Epoch, Recipe

Images = Dataset[tuple[Tensor, int]]

SHARE = 0.1
"""Part of the images that is held out to validate."""


class Augmented(Dataset[tuple[Tensor, int]]):
    """Images cropped at random, scaled back and mirrored, as in the paper's recipe."""

    def __init__(self, dataset: Images) -> None:
        self.dataset = dataset
        size = tuple(dataset[0][0].shape[-2:])
        self.change = v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()])

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.dataset[index]
        return self.change(image).clamp(0, 1), label


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--model", default="flowers", help="the network, as `xaicore explain`'s")
    parser.add_argument("--weights", type=Path, help="a state dict; default: downloaded once")
    parser.add_argument("--images", type=Path, help="folder of pictures; default: rendered flowers")
    parser.add_argument("--labels", type=Path, help="table with the columns file and label")
    parser.add_argument("--count", type=int, default=4500, help="rendered flowers (4500)")
    parser.add_argument("--taps", help="modules to attend to, with commas; default: all stages")
    parser.add_argument("--projected", action="store_true", help="keys and values (PROJ→CA)")
    parser.add_argument("--class-specific", action="store_true", help="a token for each class")
    parser.add_argument("--initial", default="paper", help="paper, or average: starts as pooling")
    parser.add_argument("--recipe", default="quick", choices=RECIPES, help="how to train (quick)")
    for name, kind in (("epochs", int), ("learning-rate", float), ("batch-size", int)):
        parser.add_argument(f"--{name}", type=kind, help="overrides the recipe's")
    parser.add_argument("--patience", type=int, default=5, help="epochs without improvement (5)")
    parser.add_argument("--augment", action="store_true", help="crop and mirror; looks every time")
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda, mps, …; default: cuda if there is one")
    parser.add_argument("--checkpoint", type=Path, help="progress; a run that stopped goes on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="stream to write")


def run(options: argparse.Namespace, build: Callable[[argparse.Namespace], Classifier]) -> None:
    """Train a stream beside a frozen network, store it, and print how it went."""
    _check(options)
    with processes() as device:
        options.device = options.device or str(device)
        stream = _stream(options, build(options))
        training, validation = _images(options, stream)
        held_out = Looks(stream, validation)
        records = train_stream(
            stream,
            Augmented(training) if options.augment else training,
            _recipe(options),
            held_out,
            options.seed,
            options.checkpoint,
            cached=not options.augment,
            workers=options.workers,
        )
        if rank() == 0:
            stream.save(options.output)
            _report(options, stream, records, held_out)


def _check(options: argparse.Namespace) -> None:
    """Refuse what could not work, before anything is loaded."""
    for path in filter(None, (options.output, options.checkpoint)):
        check_output(path)
    if options.images is None and options.model != "flowers":
        raise ValueError(f"--images: name a folder of pictures that {options.model} knows")
    if options.images is not None and options.labels is None:
        raise ValueError("--labels: give the table of the pictures' classes")


def _stream(options: argparse.Namespace, classifier: Classifier) -> CAStream:
    return CAStream(
        classifier,
        "auto" if options.taps is None else options.taps.split(","),
        projected=options.projected,
        class_specific=options.class_specific,
        initial=options.initial,
        seed=options.seed,
    )


def _recipe(options: argparse.Namespace) -> Recipe:
    given = {name: getattr(options, name) for name in ("epochs", "learning_rate", "batch_size")}
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(RECIPES[options.recipe], patience=options.patience, **changed)


def _images(options: argparse.Namespace, stream: CAStream) -> tuple[Images, Images]:
    """Return training and validation images."""
    if options.images is None:
        count = options.count
        held_out = max(1, round(SHARE * count))
        return Flowers("species", "train", count), Flowers("species", "validation", held_out)
    table = ImageTable(options.images, options.labels, stream.transform)
    generator = torch.Generator().manual_seed(options.seed)
    training, validation = random_split(table, [1 - SHARE, SHARE], generator)
    return training, validation


def _report(
    options: argparse.Namespace, stream: CAStream, records: list[Epoch], looks: Looks
) -> None:
    print("epoch  loss    validation  seconds")
    for number, epoch in enumerate(records, 1):
        print(f"{number:5}  {epoch.loss:.4f}  {epoch.validation:<10.4f}  {epoch.seconds:.1f}")
    before = (looks.look.predicted == looks.targets).double().mean()
    after = (logits(stream, looks).argmax(1) == looks.targets).double().mean()
    print(
        f"{options.output} written; accuracy on {len(looks)} held-out images: {100 * after:.1f} %, "
        f"with average pooling {100 * before:.1f} %"
    )
