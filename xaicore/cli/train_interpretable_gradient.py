"""The command ``xaicore train interpretable-gradient``, alone or under ``torchrun``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, random_split
from torchvision import models
from torchvision.transforms import v2

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaicore.classifier import Classifier, to_pixels
from xaicore.cli.train_ca_stream import SHARE, Images
from xaicore.files import check_output, write_tensors
from xaicore.folders import ImageTable
from xaicore.models.named import FLOWERS
from xaicore.models.stems import averaged_downsampling, for_small_images
from xaicore.training.distributed import processes, rank
from xaicore.training.interpretable_gradients import (
    ERRORS,
    TARGETS,
    InterpretableGradient,
    both_gradients,
    cosine_error,
)
from xaicore.training.loop import (
    Data,
    Epoch,
    FromDataset,
    InMemory,
    Recipe,
    augment,
    train,
)

RECIPE = Recipe(epochs=16)
SHOWN = 100
"""Images whose gradients are compared in one forward."""


class Prepared(Dataset[tuple[Tensor, int]]):
    """Images as the network takes them: shifted and mirrored by chance if asked, normalised."""

    def __init__(self, images: Images, classifier: Classifier, changed: bool) -> None:
        self.images, self.changed = images, changed
        size = tuple(images[0][0].shape[-2:])
        steps = [v2.RandomCrop(size, padding=size[0] // 8, padding_mode="edge")]
        self.change = v2.Compose([*steps, v2.RandomHorizontalFlip()])
        self.mean, self.std = classifier.mean[0].cpu(), classifier.std[0].cpu()

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.images[index]
        image = self.change(image) if self.changed else image
        return (image - self.mean) / self.std, label


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--model", default=FLOWERS, help="the network, as `xaicore explain`'s")
    parser.add_argument("--weights", type=Path, help="a state dict; default: downloaded once")
    parser.add_argument("--scratch", action="store_true", help="begin with random weights")
    parser.add_argument("--small-images", action="store_true", help="a stem for 32 pixels")
    parser.add_argument("--averages", action="store_true", help="averages instead of strides")
    parser.add_argument("--images", type=Path, help="folder of pictures; default: rendered flowers")
    parser.add_argument("--labels", type=Path, help="table with the columns file and label")
    parser.add_argument("--size", type=int, default=64, help="side of pictures from scratch (64)")
    parser.add_argument("--count", type=int, default=4500, help="rendered flowers (4500)")
    objective = InterpretableGradient()
    parser.add_argument("--weight", type=float, default=objective.weight, help="λ (0.0075)")
    parser.add_argument("--error", default=objective.error, choices=ERRORS, help="(cosine)")
    parser.add_argument("--target", default=objective.target, choices=TARGETS, help="(loss)")
    for name, kind in (("epochs", int), ("learning-rate", float), ("batch-size", int)):
        default = getattr(RECIPE, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"({default})")
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda, mps, …; default: cuda if there is one")
    parser.add_argument("--checkpoint", type=Path, help="progress; a run that stopped goes on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights to write")


def run(options: argparse.Namespace, build: Callable[[argparse.Namespace], Classifier]) -> None:
    """Train a network, store its weights, and print how it went."""
    _check(options)
    objective = InterpretableGradient(options.weight, options.error, options.target)
    with processes() as device:
        options.device = options.device or str(device)
        classifier = _scratch(options) if options.scratch else build(options)
        if options.small_images:
            for_small_images(classifier.net)
        if options.averages:
            averaged_downsampling(classifier.net)
        classifier.to(options.device)
        data, held_out = _images(options, classifier)
        given = {name: getattr(options, name) for name in ("epochs", "learning_rate", "batch_size")}
        recipe = replace(RECIPE, **given)
        net = classifier.net
        records = train(net, data, recipe, options.seed, objective, checkpoint=options.checkpoint)
        if rank() == 0:
            write_tensors(options.output, net.state_dict())
            _report(options, net, records, held_out)


def _check(options: argparse.Namespace) -> None:
    """Refuse what could not work, before anything is loaded."""
    for path in filter(None, (options.output, options.checkpoint)):
        check_output(path)
    if options.images is not None and options.labels is None:
        raise ValueError("--labels: give the table of the pictures' classes")
    of_flowers = options.scratch or options.model == FLOWERS or ":" in options.model
    if options.images is None and not of_flowers:
        raise ValueError(f"--images: name a folder of pictures that {options.model} knows")
    if options.scratch and options.weights is not None:
        raise ValueError("--weights: random weights are asked for: leave out --scratch or this")
    if options.small_images and not options.scratch:
        raise ValueError("--small-images: the weights of a network belong to its stem: --scratch")


def _scratch(options: argparse.Namespace) -> Classifier:
    """Return a network with random weights and as many classes as there are."""
    count = len(Flowers("species", "test", 1).classes)
    if options.labels is not None:
        count = int(ImageTable(options.images, options.labels).table["label"].max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        net: nn.Module
        if options.model == FLOWERS:
            net = SmallResNet(count)
        elif options.model in models.list_models(module=models):
            net = models.get_model(options.model, weights=None, num_classes=count)
        else:
            raise ValueError(f"--model: {options.model} cannot begin with random weights here")
    square = to_pixels(v2.Resize(options.size), v2.CenterCrop(options.size))
    layer = "stages.2" if options.model == FLOWERS else None
    return Classifier(net, FLOWER_MEAN, FLOWER_STD, layer, transform=square)


def _images(options: argparse.Namespace, classifier: Classifier) -> tuple[Data, Images]:
    """Return the training set and the images that are held out."""
    device = torch.device(options.device)
    training: Images
    held_out: Images
    if options.images is None:
        flowers = Flowers("species", "train", options.count)
        held_out = Flowers("species", "validation", max(1, round(SHARE * options.count)))
        images = classifier.normalised(flowers.images.to(device)).cpu()
        memory = InMemory(images, flowers.targets, device, augment)
        return memory, Prepared(held_out, classifier, False)
    table = ImageTable(options.images, options.labels, classifier.transform)
    most, least = int(table.table["label"].max()), int(table.table["label"].min())
    if least < 0 or (classifier.classes and most >= len(classifier.classes)):
        raise ValueError(
            f"--labels: class {least if least < 0 else most} is out of range for {options.model}; "
            "use --scratch for classes of your own"
        )
    generator = torch.Generator().manual_seed(options.seed)
    training, held_out = random_split(table, [1 - SHARE, SHARE], generator)
    data = FromDataset(Prepared(training, classifier, True), device, options.workers)
    return data, Prepared(held_out, classifier, False)


def _report(
    options: argparse.Namespace, net: nn.Module, records: list[Epoch], held_out: Images
) -> None:
    print("epoch  loss    seconds")
    for number, epoch in enumerate(records, 1):
        print(f"{number:5}  {epoch.loss:.4f}  {epoch.seconds:.1f}")
    right, cosine = 0.0, 0.0
    for images, labels in DataLoader(held_out, batch_size=SHOWN):
        targets = labels.to(options.device)
        both = both_gradients(net, images.to(options.device), targets, options.target)
        right += (both.logits.argmax(1) == targets).double().sum().item()
        errors = cosine_error(both.plain.flatten(1), both.guided.flatten(1))
        cosine += (1 - errors).sum().item()
    count = len(held_out)  # type: ignore[arg-type]
    print(
        f"{options.output} written; on {count} held-out images accuracy {100 * right / count:.1f} "
        f"%, cosine of plain and guided gradient {cosine / count:.3f} ({options.target})"
    )
