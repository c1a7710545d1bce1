"""``xaicore train interpretable-gradient``, alone or under ``torchrun``."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models
from torchvision.transforms import v2

from xaicore.classifier import Classifier, to_pixels
from xaicore.cli.subject import classifier_of
from xaicore.cli.train import Images, check_outputs, class_count, split, taught
from xaicore.files import write_tensors
from xaicore.models.named import is_function, made, made_classifier
from xaicore.models.stems import averaged_downsampling, for_small_images
from xaicore.processes import connection, device_named
from xaicore.training.interpretable_gradients import (
    InterpretableGradient,
    both_gradients,
    cosine_error,
)
from xaicore.training.loop import Epoch, FromDataset, Recipe, train

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


def run(options: argparse.Namespace) -> None:
    """Train a network, store its weights, and print how it went."""
    _check(options)
    objective = InterpretableGradient(options.weight, options.error, options.target)
    recipe = Recipe(options.epochs, options.learning_rate, options.batch_size)
    device = device_named(options.device)
    with connection(device) as process:
        classifier, training, held_out = _begun(options, device)
        data = FromDataset(Prepared(training, classifier, True), device, options.workers)
        net = classifier.net
        records = train(net, data, recipe, options.seed, objective, checkpoint=options.checkpoint)
        if process.first:
            write_tensors(options.output, net.state_dict())
            _report(options, net, records, Prepared(held_out, classifier, False))


def _check(options: argparse.Namespace) -> None:
    """Refuse what could not work, before anything is loaded."""
    check_outputs(options)
    if options.scratch and options.weights is not None:
        raise ValueError("--weights: random weights are asked for: leave out --scratch or this")
    if options.small_images and not options.scratch:
        raise ValueError("--small-images: the weights of a network belong to its stem: --scratch")


def _begun(options: argparse.Namespace, device: torch.device) -> tuple[Classifier, Images, Images]:
    """Return the network as training begins, and the images for it and against it."""
    if options.scratch:
        transform = to_pixels(v2.Resize(options.size), v2.CenterCrop(options.size))
        dataset = taught(options, transform, None)
        classes = class_count(dataset)
        classifier = _scratch(options, classes).to(device)
    else:
        classifier = classifier_of(options)
        transform = classifier.transform
        dataset = taught(options, transform, classifier.classes)
        with torch.no_grad():
            classes = classifier(dataset[0][0][None].to(device)).shape[1]
    if options.averages:
        averaged_downsampling(classifier.net)
    return classifier, *split(options, dataset, transform, classes)


def _scratch(options: argparse.Namespace, classes: int) -> Classifier:
    """Return a network with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if is_function(options.model):
            found = made("model", options.model, classes)
        elif options.model in models.list_models(module=models):
            found = models.get_model(options.model, weights=None, num_classes=classes)
        else:
            raise ValueError(f"--model: {options.model} cannot begin with random weights here")
        classifier = made_classifier(options.model, found)
        if options.small_images:
            for_small_images(classifier.net)
    return classifier


def _report(
    options: argparse.Namespace, net: nn.Module, records: list[Epoch], held_out: Images
) -> None:
    print("epoch  loss    seconds")
    for number, epoch in enumerate(records, 1):
        print(f"{number:5}  {epoch.loss:.4f}  {epoch.seconds:.1f}")
    device = next(net.parameters()).device
    right, cosine = 0.0, 0.0
    for images, labels in DataLoader(held_out, batch_size=SHOWN):
        targets = labels.to(device)
        both = both_gradients(net, images.to(device), targets, options.target)
        right += (both.logits.argmax(1) == targets).double().sum().item()
        errors = cosine_error(both.plain.flatten(1), both.guided.flatten(1))
        cosine += (1 - errors).sum().item()
    count = len(held_out)  # type: ignore[arg-type]
    print(
        f"{options.output} written; on {count} held-out images accuracy {100 * right / count:.1f} "
        f"%, cosine of plain and guided gradient {cosine / count:.3f} ({options.target})"
    )
