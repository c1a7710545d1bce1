"""The same objectives on real pictures: CIFAR-10, and a network that others trained on it.

Copies of one pretrained network go on learning with every objective alike; a seed decides the
order of the images and how they are shifted. The weights were learnt on the original pixels and the
images here are JPEGs of them, so the control is the copy that learns with cross-entropy alone.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import product

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from studies import cifar, subjects
from studies.benchmark import SEEDS, WIDE_BLUR
from studies.interpretable_gradients import (
    EXPLAINERS,
    VARIANTS,
    Variant,
    aligned,
    described,
    explained_by,
    gradient_penalty,
)
from studies.subjects import say
from studies.vebi import kept
from xaibook.cifar.dataset import read_cifar10
from xaibook.cifar.network import classifier, resnet20
from xaicore.classifier import Classifier
from xaicore.metrics import CausalProtocol
from xaicore.training.loop import InMemory, Recipe, augment, train

TEST, TRAINING = 500, 4000
"""Test images that are explained, and training images that copies go on with."""

MORE = Recipe(epochs=1, learning_rate=0.02)
PROTOCOL = CausalProtocol(steps=5, blur=WIDE_BLUR)

SAME = ("plain", "log-probability 1", "loss 1", "gradient penalty", "adversarial")
OBJECTIVES: dict[str, Variant] = {
    **{name: VARIANTS[name] for name in SAME},
    "log-probability 4": aligned("log-probability", 4.0),
    "log-probability 16": aligned("log-probability", 16.0),
    "gradient penalty 0.001": Variant(partial(gradient_penalty, weight=0.001)),
}
"""Those of the flowers, as they were there; and other strengths.

At the start the squared norm of the gradient is about 200 here: a penalty of 0.1 outweighs the
cross-entropy by far, and one of 0.001 is worth less than the cosine's error with a weight of 1.
"""

EXPLAINED = ("plain", "loss 1", "log-probability 4", "gradient penalty 0.001")
SHOWN = {("grad-cam", "grad-cam++", "ablation-cam"): TEST, ("score-cam",): 300, ("opti-cam",): 300}
"""Methods with the number of test images that they explain, fewer where it takes many passes."""


def called(seed: int) -> str:
    """Return the name of a network in the records."""
    return f"cifar10-seed{seed}"


@cache
def pictures(split: str) -> tuple[Tensor, Tensor]:
    """Return the images that are learnt from, or looked at, class by class in turn."""
    count = {"train": TRAINING, "test": TEST}[split]
    images, targets = read_cifar10(subjects.real_images() / cifar.ARCHIVE, {split: count}).tensors
    return images, targets


@cache
def pretrained() -> Classifier:
    """Return the network that every copy begins as."""
    return resnet20(subjects.real_images() / cifar.WEIGHTS)


def learnt(name: str, seed: int) -> Classifier:
    """Return a copy that has learnt with an objective; it is kept on disk."""
    net = copy.deepcopy(pretrained().net)
    digest = hashlib.sha256(repr((name, MORE, TRAINING)).encode()).hexdigest()[:12]
    progress = subjects.KEPT / f"gradients.cifar10.{seed}.{digest}.pt"
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    images, targets = pictures("train")
    data = InMemory(pretrained().normalised(images), targets, torch.device("cpu"), augment)
    train(net, data, MORE, seed, OBJECTIVES[name].loss, checkpoint=progress)
    say(f"CIFAR-10, {name}, seed {seed}: trained")
    return classifier(net)


def facts() -> dict[str, object]:
    """Return what is to be said of the records."""
    return {
        "network": f"a CIFAR ResNet-20 ({cifar.WEIGHTS.name}), taught on",
        "images": f"{TEST} test images of CIFAR-10 (JPEG), fewer for methods of many passes",
        "training images": TRAINING,
        "training": f"{MORE.epochs} epoch, batches of {MORE.batch_size}, peak {MORE.learning_rate}",
        "curves": f"{PROTOCOL.steps} steps, blur {PROTOCOL.blur}, removed: {PROTOCOL.removed}",
    }


def networks() -> Iterator[pd.DataFrame]:
    """What each objective makes of the network and its gradients: one row per test image."""
    seen = pictures("test")
    yield described(pretrained(), *seen, PROTOCOL).assign(variant="pretrained", network="cifar10")
    for name in OBJECTIVES:
        for seed in SEEDS:
            make = partial(_described, name, seed)
            table = kept(f"gradients.cifar10.described.{name}.{seed}", make, None)
            yield table.assign(variant=name, network=called(seed))


def explanations() -> Iterator[pd.DataFrame]:
    """Class activation maps of copies that learnt with some of the objectives."""
    for methods, name, seed in product(SHOWN, EXPLAINED, SEEDS):
        make = partial(_explained, methods, name, seed)
        table = kept(f"gradients.cifar10.{'.'.join(methods)}.{name}.{seed}", make, None)
        yield table.assign(variant=name, network=called(seed))


def _described(name: str, seed: int) -> pd.DataFrame:
    return described(learnt(name, seed), *pictures("test"), PROTOCOL)


def _explained(methods: Sequence[str], name: str, seed: int) -> pd.DataFrame:
    makers = {method: EXPLAINERS[method] for method in methods}
    dataset = TensorDataset(*(part[: SHOWN[tuple(methods)]] for part in pictures("test")))
    return explained_by(makers, learnt(name, seed), dataset, PROTOCOL)


STUDIES: dict[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "cifar10-networks": networks,
    "cifar10-explanations": explanations,
}
