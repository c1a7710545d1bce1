"""The studies of the chapter on interpretable gradients: what training for them changes.

Small networks learn the species of the flowers; from each, copies go on learning with every
objective alike. Test flowers are seen by no training and by no choice of a setting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from studies import subjects
from studies.benchmark import SEEDS, WIDE_BLUR, Factory
from studies.subjects import say
from xaibook.flowers.dataset import Flowers, class_names
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.taught import TAUGHT, WIDTHS, stored_weights
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.evaluation.dataset import Truth
from xaicore.files import read_tensors, write_tensors
from xaicore.metrics import CausalProtocol
from xaicore.models.stems import averaged_downsampling
from xaicore.training.interpretable_gradients import (
    ERRORS,
    TARGETS,
    InterpretableGradient,
    both_gradients,
)
from xaicore.training.loop import InMemory, Loss, Recipe, augment, cross_entropy, train
from xaicore.training.twice import TwiceDifferentiable

TEST, WATCHED = 500, 100
"""Test flowers that are explained; validation flowers that are watched during training."""

FIRST = Recipe(epochs=12)
FIRST_COUNT = 4500
"""How the networks learn the species, and from how many flowers."""

MORE = Recipe(epochs=2, learning_rate=0.02)
MORE_COUNT = 1500
"""How a copy goes on."""

LOOKS = 4
"""Times that alignment is measured during a training, the start included."""

PATIENT = CausalProtocol(steps=10, blur=WIDE_BLUR)
SCORES = ("p", "o", "insertion", "deletion", "RMA")
"""What is kept of what is measured of a map; the last where it is known where the class is."""

NOWHERE = Truth()
PERIOD = 4
"""Pixels after which the strides of the first two layers repeat."""


def gradient_penalty(net: nn.Module, images: Tensor, targets: Tensor, weight: float) -> Tensor:
    """Double backpropagation: the cross-entropy and the squared norm of its input gradient."""
    images = images.detach().requires_grad_()
    with TwiceDifferentiable():
        losses = F.cross_entropy(net(images), targets, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
    return losses.mean() + weight * gradient.square().flatten(1).sum(1).mean()


def adversarial(net: nn.Module, images: Tensor, targets: Tensor, step: float) -> Tensor:
    """Cross-entropy after the step in the sign of the gradient that raises it most."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(net, images, targets), images)
    return cross_entropy(net, images.detach() + step * gradient.sign(), targets)


@dataclass(frozen=True)
class Variant:
    """How a network is trained.

    Attributes:
        loss: what is minimised.
        averaged: whether it reduces height and width by averages instead of strides.
        share: what the error is worth at the start, relative to the cosine's; ``None`` leaves the
            weight as it is.
    """

    loss: Loss = cross_entropy
    averaged: bool = False
    share: float | None = None


def aligned(target: str, weight: float, error: str = "cosine") -> Variant:
    """Return the paper's objective for a target."""
    return Variant(InterpretableGradient(weight, error, target))


def balanced(error: str, share: float = 0.1) -> Variant:
    """Return the objective of the logit with an error whose weight makes it count as the cosine."""
    return Variant(InterpretableGradient(share, error, "logit"), share=share)


VARIANTS = {
    "plain": Variant(),
    "log-probability 1": aligned("log-probability", 1.0),
    "loss 1": aligned("loss", 1.0),
    "gradient penalty": Variant(partial(gradient_penalty, weight=0.1)),
    "adversarial": Variant(partial(adversarial, step=0.05)),
    "loss 0.0075": aligned("loss", 0.0075),
    "log-probability 0.0075": aligned("log-probability", 0.0075),
    "log-probability 0.1": aligned("log-probability", 0.1),
    "loss 0.1": aligned("loss", 0.1),
    "logit 0.1": aligned("logit", 0.1),
    "logit histogram": balanced("histogram"),
    "logit mae": balanced("mae"),
    "logit mse": balanced("mse"),
}
"""What copies of a network go on learning with."""

AVERAGED = {
    "plain, averages": Variant(averaged=True),
    "log-probability 1, averages": Variant(
        InterpretableGradient(1.0, target="log-probability"), averaged=True
    ),
}
"""The same, after the strides of the network have become averages."""

SCRATCH = ("plain", "log-probability 1", "loss 1")
"""What networks learn with from the first step on."""

EXPLAINED = ("plain", "log-probability 1", "loss 1", "gradient penalty")
EXPLAINERS: dict[str, Factory] = {
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
    "ablation-cam": methods.AblationCAM,
    "score-cam": partial(methods.ScoreCAM, batch_size=64),
    "opti-cam": partial(methods.OptiCAM, preset="fast", iterations=25),
}
SMOOTHED: dict[str, Factory] = {"smoothgrad": partial(methods.SmoothGrad, samples=16)}
AVERAGING: dict[str, Factory] = {"plain": methods.Saliency, **SMOOTHED}


@cache
def pictures(split: str, count: int) -> tuple[Tensor, Tensor]:
    """Return normalised flowers and their species."""
    flowers = Flowers("species", split, count)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FLOWER_MEAN, FLOWER_STD))
    return (flowers.images - mean) / std, flowers.targets


@cache
def shown() -> tuple[Flowers, Tensor]:
    """Return the test flowers, and where their heads are."""
    flowers = Flowers("species", "test", TEST)
    return flowers, (flowers.masks["petal"] + flowers.masks["centre"]).clamp(max=1)


def called(seed: int) -> str:
    """Return the name of a network in the records."""
    return f"flowers-half-seed{seed}"


def fresh(seed: int) -> SmallResNet:
    """Return a network with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallResNet(len(class_names("species")), WIDTHS)


def classifier(net: nn.Module) -> Classifier:
    """Return a network as a classifier of pixels."""
    return Classifier(net.eval(), FLOWER_MEAN, FLOWER_STD, layer="stages.2")


def learnt(seed: int, name: str = "plain") -> SmallResNet:
    """Return a network that learnt from the first step on; its progress is kept on disk.

    From the plain one the copies of a seed go on.
    """
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    net, progress = fresh(seed), subjects.KEPT / f"gradients.first.{name}.{seed}.pt"
    teach(net, FIRST, FIRST_COUNT, seed, VARIANTS[name].loss, progress)
    return net


def teach(
    net: nn.Module, recipe: Recipe, count: int, seed: int, loss: Loss, progress: Any = None
) -> None:
    """Train a network on flowers."""
    images, targets = pictures("train", FIRST_COUNT)
    data = InMemory(images[:count], targets[:count], torch.device("cpu"), augment)
    train(net, data, recipe, seed, loss, checkpoint=progress)


class Watching:
    """A loss that measures alignment a few times during a training."""

    def __init__(self, loss: Loss, every: int) -> None:
        self.loss, self.every, self.calls = loss, every, 0
        self.found: list[Tensor] = []

    def __call__(self, net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch."""
        if self.calls % self.every == 0:
            self.look(net)
        self.calls += 1
        return self.loss(net, images, targets)

    def look(self, net: nn.Module) -> None:
        """Measure the alignment on validation flowers, of every target."""
        training = net.training
        self.found.append(torch.stack(list(alignment(net.eval(), "validation", WATCHED).values())))
        net.train(training)


def alignment(net: nn.Module, split: str, count: int) -> dict[str, Tensor]:
    """Return the cosine of plain and guided gradient, of every target and image."""
    return cosines(net, *pictures(split, count))


def cosines(net: nn.Module, inputs: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Return the cosine of plain and guided gradient, of every target and input."""
    found: dict[str, list[Tensor]] = {target: [] for target in TARGETS}
    for part, labels in _parts(inputs, classes):
        for target, of_target in found.items():
            both = both_gradients(net, part, labels, target)
            of_target.append(1 - ERRORS["cosine"](both.plain.flatten(1), both.guided.flatten(1)))
    return {target: torch.cat(of_target).detach() for target, of_target in found.items()}


def trained(name: str, variant: Variant, seed: int) -> tuple[nn.Module, Tensor]:
    """Return a network trained as a variant says, and its alignment while it learnt.

    The alignment is that of each look, target and watched flower.
    """
    net = learnt(seed)
    if variant.averaged:
        averaged_downsampling(net)
    digest = hashlib.sha256(repr((name, MORE, MORE_COUNT, WATCHED)).encode()).hexdigest()[:12]
    file = subjects.KEPT / f"gradients.{seed}.{digest}.pt"
    if file.is_file():
        kept = read_tensors(file)
        net.load_state_dict(kept["net"])
        return net.eval(), kept["watched"]
    loss = variant.loss if variant.share is None else _balanced(variant, net)
    steps = MORE.epochs * (MORE_COUNT // MORE.batch_size)
    watching = Watching(loss, -(-steps // (LOOKS - 1)))
    teach(net, MORE, MORE_COUNT, seed, watching)
    watching.look(net)
    watched = torch.stack(watching.found)
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    write_tensors(file, {"net": net.state_dict(), "watched": watched})
    say(f"{name}, seed {seed}: trained")
    return net.eval(), watched


def _balanced(variant: Variant, net: nn.Module) -> Loss:
    """Return the objective with the weight at which its error starts at the cosine's worth."""
    objective = variant.loss
    if not isinstance(objective, InterpretableGradient) or variant.share is None:
        raise TypeError("only the objective of an error can be balanced")
    images, targets = pictures("validation", WATCHED)
    both = both_gradients(net.eval(), images, targets, objective.target)
    pair = both.plain.flatten(1), both.guided.flatten(1)
    ratio = ERRORS["cosine"](*pair).mean() / ERRORS[objective.error](*pair).mean()
    weight = variant.share * ratio.item()
    return InterpretableGradient(weight, objective.error, objective.target)


def networks(variants: Mapping[str, Variant]) -> Iterator[pd.DataFrame]:
    """What each objective makes of a network and of its gradients: one row per test flower."""
    for name, variant in variants.items():
        for seed in SEEDS:
            net, _ = trained(name, variant, seed)
            yield _on_flowers(net).assign(variant=name, network=called(seed))
            say(f"{name}, seed {seed}: described")


def from_scratch() -> Iterator[pd.DataFrame]:
    """The same of networks that learn with an objective from the first step on."""
    for name in SCRATCH:
        for seed in SEEDS:
            yield _on_flowers(learnt(seed, name)).assign(variant=name, network=called(seed))
            say(f"{name} from the first step on, seed {seed}: described")


def _on_flowers(net: nn.Module) -> pd.DataFrame:
    flowers, head = shown()
    seen = flowers.images, flowers.targets
    return described(classifier(net), *seen, PATIENT, Truth(masks=head))


def described(
    explained: Classifier,
    images: Tensor,
    targets: Tensor,
    protocol: CausalProtocol,
    truth: Truth = NOWHERE,
) -> pd.DataFrame:
    """Return what a network says of images, and what its gradient of the logit is like.

    ``roughness`` is the total variation of the gradient's magnitude relative to its sum; ``grid``
    the standard deviation of its mean over the places of a 4x4 lattice, relative to the mean;
    ``RMA`` the share of it on the head of the flower, where that is known.
    """
    gradients = methods.Saliency(explained)
    maps = torch.cat([gradients.raw(*part) for part in _parts(images, targets)])
    table = scored(explained, images, targets, maps, protocol, truth)
    logits = torch.cat([explained(part).detach() for part in images.split(50)])
    table["accuracy"] = (logits.argmax(1) == targets).double().numpy()
    for target, found in cosines(explained.net, explained.normalised(images), targets).items():
        table[f"cosine of {target}"] = found.numpy()
    table["roughness"], table["grid"] = roughness(maps).numpy(), grid(maps).numpy()
    cosine_names = [f"cosine of {target}" for target in TARGETS]
    kept = ["image", "target", *SCORES, "accuracy", *cosine_names, "roughness", "grid"]
    return table[[name for name in kept if name in table]]


def scored(
    explained: Classifier,
    images: Tensor,
    targets: Tensor,
    maps: Tensor,
    protocol: CausalProtocol,
    truth: Truth,
) -> pd.DataFrame:
    """Return what maps that are there are worth: one row per image."""
    dataset: Dataset[Any] = TensorDataset(images, targets)
    return from_records(
        evaluate(explained, dataset, {"map": maps}, curves=protocol, truth=truth, strict=True)
    )


def averaging() -> Iterator[pd.DataFrame]:
    """The gradient of networks that learnt with cross-entropy alone, and the mean of sixteen."""
    flowers, head = shown()
    seen = flowers.images, flowers.targets
    for seed in SEEDS:
        explained = classifier(learnt(seed))
        for name, make in AVERAGING.items():
            method = make(explained)
            maps = torch.cat([method.raw(*part) for part in _parts(*seen)])
            table = scored(explained, *seen, maps, PATIENT, Truth(masks=head))
            table = table[["image", "target", *SCORES]].assign(roughness=roughness(maps).numpy())
            yield table.assign(variant=name, network=called(seed))
            say(f"{name} of cross-entropy alone, seed {seed}: described")


def roughness(maps: Tensor) -> Tensor:
    """Return the total variation of maps ``(B, 1, H, W)``, relative to their sum."""
    steps = maps.diff(dim=2).abs().sum((1, 2, 3)) + maps.diff(dim=3).abs().sum((1, 2, 3))
    return steps / (2 * maps.sum((1, 2, 3)))


def grid(maps: Tensor) -> Tensor:
    """Return how unlike a lattice's places are in maps ``(B, 1, H, W)``; 0 if they are alike."""
    places = F.pixel_unshuffle(maps, PERIOD).mean((2, 3))
    return places.std(1, correction=0) / places.mean(1)


def training(variants: Mapping[str, Variant]) -> Iterator[pd.DataFrame]:
    """The alignment of validation flowers while a network learns: one row per look and flower."""
    for name, variant in variants.items():
        for seed in SEEDS:
            _, watched = trained(name, variant, seed)
            for number, look in enumerate(watched):
                columns: dict[str, Any] = {"variant": name, "network": called(seed), "look": number}
                columns |= {"image": range(look.shape[1])}
                columns |= {f"cosine of {t}": v for t, v in zip(TARGETS, look.numpy(), strict=True)}
                yield pd.DataFrame(columns)


def explanations() -> Iterator[pd.DataFrame]:
    """Class activation maps of networks that learnt with some of the objectives."""
    flowers, head = shown()
    for seed in SEEDS:
        for name in EXPLAINED:
            net, _ = trained(name, VARIANTS[name], seed)
            makers = EXPLAINERS | (SMOOTHED if name == "plain" else {})
            table = explained_by(makers, classifier(net), flowers, PATIENT, Truth(masks=head))
            yield table.assign(variant=name, network=called(seed))
            say(f"{name}, seed {seed}: explained")


def explained_by(
    makers: Mapping[str, Factory],
    explained: Classifier,
    dataset: Dataset[Any],
    protocol: CausalProtocol,
    truth: Truth = NOWHERE,
) -> pd.DataFrame:
    """Return what the maps of several methods are worth: one row per image and method."""
    made = {method: make(explained) for method, make in makers.items()}
    found = evaluate(explained, dataset, made, curves=protocol, truth=truth, strict=True)
    table = from_records(found)
    return table[[name for name in ("image", "target", "method", *SCORES) if name in table]]


def _parts(inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(inputs.split(50), targets.split(50), strict=True)


STUDIES: dict[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "networks": partial(networks, VARIANTS),
    "training": partial(training, VARIANTS),
    "explanations": explanations,
    "downsampling": partial(networks, AVERAGED),
    "scratch": from_scratch,
    "averaging": averaging,
}


def store_taught(seed: int = 0) -> None:
    """Store the networks that the chapter shows, in half precision."""
    for name, variant in TAUGHT.items():
        averaged = AVERAGED.get(variant)
        net = trained(variant, averaged, seed)[0] if averaged else learnt(seed, variant)
        state = net.state_dict().items()
        half = {key: value.half() if value.is_floating_point() else value for key, value in state}
        write_tensors(stored_weights(name), half)


if __name__ == "__main__":
    store_taught()
