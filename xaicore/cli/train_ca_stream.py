"""``xaicore train ca-stream``, alone or under ``torchrun``."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from xaicore.classifier import check_name
from xaicore.cli.subject import classifier_of
from xaicore.cli.train import Images, check_outputs, split, taught
from xaicore.models.ca_stream import CAStream
from xaicore.processes import connection, device_named
from xaicore.training.ca_stream import RECIPES, Looks, logits, train_stream
from xaicore.training.loop import Epoch, Recipe


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


def run(options: argparse.Namespace) -> None:
    """Train a stream beside a frozen network, store it, and print how it went."""
    check_outputs(options)
    recipe = _recipe(options)
    with connection(device_named(options.device)) as process:
        stream = _stream(options)
        training, validation = _images(options, stream)
        held_out = Looks(stream, validation)
        records = train_stream(
            stream,
            Augmented(training) if options.augment else training,
            recipe,
            held_out,
            options.seed,
            options.checkpoint,
            cached=not options.augment,
            workers=options.workers,
        )
        if process.first:
            stream.save(options.output)
            _report(options, stream, records, held_out)


def _stream(options: argparse.Namespace) -> CAStream:
    return CAStream(
        classifier_of(options),
        "auto" if options.taps is None else options.taps.split(","),
        projected=options.projected,
        class_specific=options.class_specific,
        initial=options.initial,
        seed=options.seed,
    )


def _recipe(options: argparse.Namespace) -> Recipe:
    check_name("recipe", options.recipe, RECIPES)
    given = {name: getattr(options, name) for name in ("epochs", "learning_rate", "batch_size")}
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(RECIPES[options.recipe], patience=options.patience, **changed)


def _images(options: argparse.Namespace, stream: CAStream) -> tuple[Images, Images]:
    """Return training and validation images."""
    dataset = taught(options, stream.transform, stream.classes)
    with torch.no_grad():
        classes = stream(dataset[0][0][None].to(stream.mean)).shape[1]
    return split(options, dataset, stream.transform, classes)


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
