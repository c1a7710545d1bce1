"""VEBI where there are no part masks: digits, garments, CIFAR-10, photographs of animals.

Digits and garments have two networks, with strides and with pooling in their place; the others come
with the weights of those who trained them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset, TensorDataset

from studies import cifar, subjects
from studies.benchmark import SEEDS
from studies.vebi import DRAWS, kept
from xaibook.flowers.network import SmallResNet
from xaicore.attribution import Explainer, GradCAM
from xaicore.classifier import Classifier
from xaicore.interpretation import (
    VEBI,
    RelevantFeatures,
    Responses,
    ablation_curves,
    identify,
    phase_spread,
    responses,
)
from xaicore.metrics import energy_pointing_game, standard_pointing_game
from xaicore.training.loop import InMemory, Recipe, accuracy, augment, train

MOST = 10
SHOWN = 300
"""Test images that are explained."""

FEWER = 10
"""Random choices of channels that photographs are looked at with."""

FOLDS = 2
"""Shares of the photographs: the features of one are found on the others."""

GREY = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and standard deviation that the small networks are given."""

KINDS: Mapping[str, Sequence[range]] = {
    "cat": (range(281, 294),),
    "dog": (range(151, 269),),
    "bird": (range(7, 25), range(80, 101), range(127, 147)),
    "reptile": (range(33, 69),),
    "insect": (range(300, 327),),
    "primate": (range(365, 385),),
}
"""The classes of ImageNet that make up a kind of animal."""


class Images(NamedTuple):
    """Images to learn from and images to test on.

    Attributes:
        training: pixels ``(3, H, W)`` in ``[0, 1]`` and class of each.
        test: the same, of others.
        mirrored: whether an image and its mirror image are of one class.
        epochs: passes over the training images.
    """

    training: Dataset[Any]
    test: Dataset[Any]
    mirrored: bool
    epochs: int


class Kinds(nn.Module):
    """A network of ImageNet's classes that names kinds of animals, and what is none of them.

    The probability of a kind is that of its classes together.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        chosen = [[i for part in parts for i in part] for parts in KINDS.values()]
        known = {i for members in chosen for i in members}
        self.groups = [*chosen, [i for i in range(1000) if i not in known]]

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, 7)``."""
        logits = self.net(images)
        return torch.stack([logits[:, group].logsumexp(1) for group in self.groups], dim=1)

    def kind(self, label: int) -> int:
        """Return the number of the kind of a class."""
        return next(i for i, group in enumerate(self.groups) if label in group)


class Remembered(nn.Module):
    """The first layers of a network, run once for images that come many times in a row."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.last: tuple[Tensor, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return what the layers make of the images, from memory if they were the last to come."""
        if self.last is None or not torch.equal(self.last[0], images):
            self.last = images, self.layers(images)
        return self.last[1]


class Staged(nn.Module):
    """A network whose channels are silenced in its last stage only, so that the rest runs once.

    Args:
        early: the layers before the last stage.
        late: the last stage, behind the last change of resolution.
        head: what makes logits of it.
    """

    def __init__(
        self, early: Sequence[nn.Module], late: nn.Module, head: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.early, self.late, self.head = Remembered(*early), late, nn.Sequential(*head)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, C)``."""
        logits: Tensor = self.head(self.late(self.early(images)))
        return logits

    def relu_layers(self) -> list[str]:
        """Return the names of the last stage's ReLU layers."""
        modules = self.late.named_modules(prefix="late")
        return [name for name, module in modules if isinstance(module, nn.ReLU)]

    @staticmethod
    def resnet(net: Any) -> Staged:
        """Return a ResNet of torchvision in stages."""
        early = [net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3]
        return Staged(early, net.layer4, [net.avgpool, nn.Flatten(), net.fc])

    @staticmethod
    def squeezenet(net: Any) -> Staged:
        """Return torchvision's SqueezeNet 1.0 in stages."""
        return Staged([net.features[:12]], net.features[12:], [net.classifier, nn.Flatten()])


STAGED: Mapping[str, Callable[[Any], Staged]] = {
    "resnet18": Staged.resnet,
    "squeezenet1_0": Staged.squeezenet,
}
"""The networks that photographs are looked at with."""


class Named(Dataset[tuple[Tensor, int]]):
    """Photographs labelled by their kind."""

    def __init__(self, photographs: Dataset[tuple[Tensor, int]], kinds: Kinds) -> None:
        self.photographs, self.kinds = photographs, kinds

    def __len__(self) -> int:
        return len(self.photographs)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.photographs[index]
        return image, self.kinds.kind(label)


def digits(data: Path) -> Images:
    """2,000 digits of MNIST to learn from, 500 to test on."""
    with np.load(data / "small" / "mnist.npz") as file:
        training = _grey(file["x_train"][:2000], file["y_train"][:2000])
        test = _grey(file["x_test"][:500], file["y_test"][:500])
    return Images(training, test, mirrored=False, epochs=4)


def garments(data: Path) -> Images:
    """600 garments of Fashion-MNIST to learn from, the other 300 to test on."""
    with np.load(data / "small" / "fashion_mnist_900.npz") as file:
        every = _grey(file["x"], file["y"])
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(every)))
    training, test = (TensorDataset(*every[part]) for part in (order[:600], order[600:]))
    return Images(training, test, mirrored=True, epochs=15)


def strided() -> Classifier:
    """The book's small network, with less of a stride for smaller images."""
    net = SmallResNet(10, strides=(1, 2, 1))
    return Classifier(net, *GREY, layer="stages.2")


def pooled() -> Classifier:
    """Five convolutions without a stride, in the manner of a VGG."""
    layers: list[nn.Module] = []
    widths = (3, 32, 32, 64, 64, 128)
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * (i in (1, 3))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)]
    return Classifier(nn.Sequential(*layers, *head), *GREY, layer=str(len(layers) - 1))


BUILDERS: dict[str, Callable[[], Classifier]] = {"strided": strided, "pooled": pooled}
SETS: dict[str, Callable[[Path], Images]] = {"MNIST": digits, "Fashion-MNIST": garments}


def trained(build: Callable[[], Classifier], images: Images, seed: int) -> Classifier:
    """Return a network that has learnt the images' classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = build()
    pixels, classes = _stacked(images.training)
    change = augment if images.mirrored else None
    data = InMemory(classifier.normalised(pixels), classes, torch.device("cpu"), change)
    train(classifier.net, data, Recipe(images.epochs, learning_rate=0.05), seed)
    return classifier.eval()


def small() -> Iterator[pd.DataFrame]:
    """Digits and garments, with strides and without; CIFAR-10 with a network of others."""
    data = subjects.real_images()
    for name, build, seed in product(SETS, BUILDERS, SEEDS):
        label = f"{name}, {build}"
        make = partial(_of_small, data, name, build, seed)
        yield kept(f"vebi.small {label} {seed}", make).assign(network=label, seed=seed)
    yield kept("vebi.small CIFAR-10", partial(_of_cifar, data)).assign(network="CIFAR-10", seed=0)


def _of_small(data: Path, name: str, build: str, seed: int) -> pd.DataFrame:
    images = SETS[name](data)
    classifier = trained(BUILDERS[build], images, seed)
    features = identify(responses(classifier, images.training))
    return _looked_at(classifier, features, images.test)


def _of_cifar(data: Path) -> pd.DataFrame:
    subject = cifar.cifar10(data, 500)
    whole = subject.dataset.dataset  # type: ignore[attr-defined]  # training images follow
    training = Subset(whole, range(500, len(whole)))
    blocks = ["relu", *(f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(3))]
    features = identify(responses(subject.classifier, training, blocks))
    return _looked_at(subject.classifier, features, subject.dataset)


def _looked_at(
    classifier: Classifier, features: RelevantFeatures, test: Dataset[tuple[Tensor, int]]
) -> pd.DataFrame:
    """Return what ablation does to a network, how many features it has, and their grid."""
    curves = ablation_curves(classifier, test, features, MOST, DRAWS, step=MOST)
    means = curves.groupby(["features", "draw", "k"], as_index=False)[["correct", "p"]].mean()
    images, targets = _stacked(Subset(test, range(SHOWN)))
    spreads = {
        f"spread, {name}": phase_spread(_maps(explain, images, targets), 2).mean().item()
        for name, explain in {
            "vebi": VEBI(classifier, features),
            "vebi-strided": VEBI(classifier, features, smooth=False),
        }.items()
    }
    counts = {
        "images": curves["image"].nunique(),
        "accuracy": accuracy(classifier, *_stacked(test)),
        "channels": len(features.W),
        "relevant": (features.W > 0).sum(0).double().mean().item(),
    }
    return means.assign(**counts, **spreads)


def photographs() -> Iterator[pd.DataFrame]:
    """Animals on photographs, relevant channels silenced one after another: of random the mean."""
    for table in silenced():
        keys = ["network", "image", "target", "features", "k"]
        yield table.groupby(keys, as_index=False)[["correct", "p"]].mean().round(5)


def photograph_draws() -> Iterator[pd.DataFrame]:
    """The same as means over photographs, one row for each draw of random channels."""
    for table in silenced():
        keys = ["network", "fold", "features", "draw", "k"]
        yield table.groupby(keys, as_index=False)[["correct", "p"]].mean()


def silenced() -> Iterator[pd.DataFrame]:
    """Yield what each photograph of an animal becomes when channels fall silent, by network."""
    for network in STAGED:
        yield kept(f"vebi.photographs {network}", partial(_silenced, network))


def _silenced(network: str) -> pd.DataFrame:
    """Return the curves of all animals, by features that were found on other photographs."""
    subject = subjects.photographs(network, subjects.real_images(), 1300)
    staged = STAGED[network](subject.classifier.net)
    kinds = Kinds(staged).eval()
    classifier = Classifier(kinds, layer="net.late", classes=[*KINDS, "none of these"])
    named = Named(subject.dataset, kinds)
    layers = [f"net.{name}" for name in staged.relu_layers()]
    found = Responses.join(responses(classifier, named, layers, batch_size=25))
    return pd.concat(
        [
            _fold(classifier, named, found, fold).assign(network=network, fold=fold)
            for fold in range(FOLDS)
        ],
        ignore_index=True,
    )


def _fold(
    classifier: Classifier, named: Dataset[tuple[Tensor, int]], found: Responses, fold: int
) -> pd.DataFrame:
    """Return the curves of a fold's animals; those of a kind follow each other, for speed."""
    number = torch.arange(len(found))
    features = identify(found[number[number % FOLDS != fold]])
    animals = number[(number % FOLDS == fold) & (found.true < len(KINDS))]
    animals = animals[found.true[animals].argsort(stable=True)]
    shown = Subset(named, animals.tolist())
    curves = ablation_curves(classifier, shown, features, MOST, FEWER, batch_size=25)
    return curves.assign(image=animals.numpy()[curves["image"]])


def boxes() -> Iterator[pd.DataFrame]:
    """How much of a map lies in the boxes of the animals."""
    yield kept("vebi.boxes", lambda: _animals().in_boxes())


class Animals(NamedTuple):
    """Photographs by kinds of animals, and a network that names them.

    Attributes:
        classifier: the network.
        features: its relevant features, found on photographs that are not among the others.
        test: the photographs that are looked at.
        boxes: the boxes of the test photographs.
    """

    classifier: Classifier
    features: RelevantFeatures
    test: Dataset[tuple[Tensor, int]]
    boxes: Sequence[Tensor]

    def in_boxes(self) -> pd.DataFrame:
        """Return how maps of animals lie to their boxes."""
        images, targets = _stacked(self.test)
        animals = (targets < len(KINDS)).nonzero()[:, 0]
        images, targets = images[animals], targets[animals]
        found_in = [self.boxes[i] for i in animals]
        tables = []
        for name, explain in self.methods().items():
            maps = _maps(explain, images, targets)
            found = {
                "EP": energy_pointing_game(maps, found_in),
                "SP": standard_pointing_game(maps, found_in),
                "spread 2": phase_spread(maps, 2),
            }
            rows = {"image": animals, "target": targets, "method": name, **found}
            tables.append(pd.DataFrame(rows))
        return pd.concat(tables, ignore_index=True)

    def methods(self) -> dict[str, Explainer]:
        """Return the methods that are compared."""
        return {
            "vebi": VEBI(self.classifier, self.features),
            "vebi-strided": VEBI(self.classifier, self.features, smooth=False),
            "vebi-random": VEBI(self.classifier, self.features.shuffled(0)),
            "grad-cam": GradCAM(self.classifier),
        }


@cache
def _animals() -> Animals:
    """The first photographs tell the features, the others are looked at."""
    subject = subjects.photographs("resnet18", subjects.real_images(), 1300)
    kinds = Kinds(subject.classifier.net).eval()
    classifier = Classifier(kinds, layer="net.layer4", classes=[*KINDS, "none of these"])
    named, last = Named(subject.dataset, kinds), len(subject) - SHOWN
    training, test = Subset(named, range(last)), Subset(named, range(last, len(named)))
    features = identify(responses(classifier, training, batch_size=25))
    boxes = list(subject.truth.boxes or [])[last:]
    return Animals(classifier, features, test, boxes)


def animals() -> Iterator[pd.DataFrame]:
    """The features of the kinds of animals, and the photographs they were found on."""
    found = _animals()
    names = found.classifier.classes
    yield found.features.table(names).assign(bound=found.features.bound.all().item())


def _grey(pictures: np.ndarray, classes: np.ndarray) -> TensorDataset:
    """Return grey pictures ``(N, 28, 28)`` of 0 to 255 as pixels of three equal colours."""
    pixels = torch.from_numpy(pictures).float().reshape(-1, 1, 28, 28) / 255
    return TensorDataset(pixels.repeat(1, 3, 1, 1), torch.from_numpy(classes).long())


def _stacked(dataset: Dataset[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Return all images and classes of a data set."""
    count = len(dataset)  # type: ignore[arg-type]
    images, classes = zip(*(dataset[i] for i in range(count)), strict=True)
    return torch.stack(images), torch.as_tensor(classes)


def _maps(explain: Explainer, images: Tensor, targets: Tensor, batch_size: int = 25) -> Tensor:
    pairs = zip(images.split(batch_size), targets.split(batch_size), strict=True)
    return torch.cat([explain(*pair) for pair in pairs])


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "small": small,
    "photographs": photographs,
    "photograph-draws": photograph_draws,
    "boxes": boxes,
    "animals": animals,
}

_ANIMALS = f"the animals of imagenet_val1300 in {FOLDS} folds; features of the other fold"
IMAGES = {
    "vebi.small": "MNIST, 900 of Fashion-MNIST, CIFAR-10 (JPEG)",
    "vebi.photographs": _ANIMALS,
    "vebi.photograph-draws": _ANIMALS,
    "vebi.boxes": f"the last {SHOWN} of imagenet_val1300; features of the others",
    "vebi.animals": "all of imagenet_val1300 but the last 300",
}
"""What each study looks at, in words."""
