"""The studies of the CA-Stream chapter: attention beside average pooling, and what it depends on.

Streams are trained on images that are scored nowhere: 1,000 training flowers, or the photographs
behind those that are explained. A tenth as many more decide which epoch is best.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from studies import cifar, subjects
from studies.benchmark import SEEDS, WIDE_BLUR, Factory
from studies.opti_cam import Study
from studies.scoring import batches
from studies.subjects import Subject, say
from xaibook.flowers.dataset import Flowers
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.masking import mask
from xaicore.metrics import CausalProtocol
from xaicore.models.ca_stream import CAStream, Look, known_architecture
from xaicore.training.ca_stream import RECIPES, Looks, cross_entropy, logits, train_stream
from xaicore.training.loop import Recipe

TRAINING = 1000
"""Flowers that a stream is trained on."""

VALIDATION = 0.1
"""As many more, relative to these, decide which epoch is best."""

CHEAP: dict[str, Factory] = {
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
}
SCORE: dict[str, Factory] = {"score-cam": partial(methods.ScoreCAM, batch_size=64)}
OPTI: dict[str, Factory] = {"opti-cam": partial(methods.OptiCAM, preset="fast")}

VARIANTS: dict[str, dict[str, Any]] = {
    "CA": {},
    "uniform": {"sharpness": 0.0},
    "sharp": {"sharpness": 4.0},
    "S3": {"first": 3},
    "unscaled": {"scaled": False},
    "average": {"initial": "average"},
    "PROJ→CA": {"projected": True},
    "class-specific": {"class_specific": True},
    "S1": {"first": 1},
    "S2": {"first": 2},
    "unscaled, average": {"scaled": False, "initial": "average"},
    "sharper": {"sharpness": 8.0},
}
"""The options of each stream; ``first`` is the tap at which it begins."""

RATES = (0.001, 0.01, 0.1)


@dataclass(frozen=True)
class Teaching:
    """What streams beside one network learn from.

    Attributes:
        subject: the network, and the images that are explained.
        training: what the network shows of the training images.
        validation: what it shows of the images that decide which epoch is best.
        shown: what it shows of the images that are explained.
        recipe: how the streams are trained.
    """

    subject: Subject
    training: Looks
    validation: Looks
    shown: Looks
    recipe: Recipe

    def stream(self, recipe: Recipe | None = None, **options: Any) -> CAStream:
        """Return a trained stream; its progress is kept on disk."""
        recipe = recipe or self.recipe
        stream, first = untrained(self.subject.classifier, **options)
        told = [sorted(options.items()), recipe, len(self.training)]
        digest = hashlib.sha256(repr(told).encode()).hexdigest()[:12]
        subjects.KEPT.mkdir(parents=True, exist_ok=True)
        train_stream(
            stream,
            from_tap(self.training, first),
            recipe,
            from_tap(self.validation, first),
            checkpoint=subjects.KEPT / f"{self.subject.name}.stream.{digest}.pt",
        )
        say(f"{self.subject.name}: stream {options or 'as in the paper'}")
        return stream


def untrained(classifier: Classifier, first: int = 0, **options: Any) -> tuple[CAStream, int]:
    """Return a stream that begins at a tap, and that tap."""
    known = known_architecture(classifier.net)
    taps, head = (cifar.TAPS, cifar.HEAD) if known is None else known
    return CAStream(classifier, taps[first:], head=head, **options), first


def from_tap(looks: Looks, first: int) -> Looks:
    """Return looks without the taps before the first."""
    fewer = copy.copy(looks)
    fewer.look = Look(looks.look.features[first:], looks.look.predicted)
    return fewer


def teaching(subject: Subject, recipe: Recipe) -> Teaching:
    """Return what streams beside the subject's network learn from."""
    stream, _ = untrained(subject.classifier)
    training, validation = (Looks(stream, images) for images in _apart(subject))
    return Teaching(subject, training, validation, Looks(stream, subject.dataset), recipe)


def pooling(subject: Subject) -> Iterator[pd.DataFrame]:
    """Average pooling, the paper's stream and its variants, and how even their attention is."""
    taught = teaching(subject, RECIPES["quick"])
    yield scored_maps(subject, "GAP", CHEAP)
    for variant in VARIANTS:
        yield _streamed(taught, variant, CHEAP)


def curves(subject: Subject) -> Iterator[pd.DataFrame]:
    """What is dear, of the paper's stream: Score-CAM, Opti-CAM and the causal curves.

    Of the average it is in the benchmark, and of Opti-CAM's fast preset in the Opti-CAM chapter's
    study of iterations, for the same images.
    """
    taught = teaching(subject, RECIPES["quick"])
    protocol = CausalProtocol(steps=10, blur=WIDE_BLUR)
    yield _streamed(taught, "CA", {**CHEAP, **SCORE, **OPTI}, protocol)


def masked(subject: Subject) -> Iterator[pd.DataFrame]:
    """How long what is pooled is, of images as they are and behind their Grad-CAM."""
    taught = teaching(subject, RECIPES["quick"])
    average, _ = untrained(subject.classifier, sharpness=0.0, initial="average")
    chosen = ("CA", "sharp", "sharper", "unscaled", "S3")
    streams = {variant: taught.stream(**VARIANTS[variant]) for variant in chosen}
    for variant, stream in {"GAP": average, **streams}.items():
        for part, images, targets in batches(subject):
            saliency = methods.GradCAM(stream)(images, targets)
            behind = mask(images, saliency, images.new_zeros(1))
            columns: dict[str, Any] = {"network": subject.name, "variant": variant}
            columns |= {"image": range(part.start, part.stop), "target": targets}
            columns["p"], columns["length"] = _believed(stream, images, targets)
            columns["o"], columns["masked length"] = _believed(stream, behind, targets)
            yield pd.DataFrame(columns)


def beginning(subject: Subject) -> Iterator[pd.DataFrame]:
    """How even attention is at every stage before anything is learnt, for several seeds."""
    for seed in SEEDS:
        stream, _ = untrained(subject.classifier, seed=seed)
        for part, images, _ in batches(subject):
            with torch.no_grad():
                found = stream.net.pool(stream.net.look(stream.normalised(images))).attention
            for place, attention in enumerate(found):
                columns: dict[str, Any] = {"network": subject.name}
                columns |= {"image": range(part.start, part.stop), "seed": seed}
                columns |= {"stage": place, "tap": stream.net.taps[place]}
                yield pd.DataFrame({**columns, "entropy": evenness(attention).numpy()})


def validation(subject: Subject) -> Iterator[pd.DataFrame]:
    """What each learning rate reaches on validation images, before anything is tested."""
    taught = teaching(subject, RECIPES["quick"])
    for rate in RATES:
        stream = taught.stream(replace(taught.recipe, learning_rate=rate))
        found = logits(stream, taught.validation).argmax(1)
        row = {
            "network": subject.name,
            "learning rate": rate,
            "images": len(taught.validation),
            "cross-entropy": cross_entropy(stream, taught.validation),
            "accuracy": (found == taught.validation.targets).double().mean().item(),
        }
        yield pd.DataFrame([row])


def photographs(subject: Subject) -> Iterator[pd.DataFrame]:
    """Average pooling and a stream of each start, on photographs that are few."""
    makers = {"grad-cam": methods.GradCAM}
    yield from _seeded(subject, ("CA", "average"), makers)


def small(subject: Subject) -> Iterator[pd.DataFrame]:
    """Average pooling and the paper's stream, dull and sharp, on images of 32 pixels."""
    protocol = CausalProtocol(steps=10, blur=(25, 12.0))
    yield from _seeded(subject, ("CA", "sharp"), {**CHEAP, **SCORE}, protocol)


def _seeded(
    subject: Subject,
    variants: Sequence[str],
    makers: Mapping[str, Factory],
    protocol: CausalProtocol | None = None,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[pd.DataFrame]:
    """Average pooling, and streams of several seeds beside one network."""
    taught = teaching(subject, RECIPES["quick"])
    average = scored_maps(subject, "GAP", makers, protocol)
    for seed in seeds:
        again = replace(taught, subject=replace(subject, name=f"{subject.name}-seed{seed}"))
        yield average.assign(network=again.subject.name)
        for variant in variants:
            yield _streamed(again, variant, makers, protocol, seed=seed)


def _apart(subject: Subject) -> tuple[Dataset[Any], Dataset[Any]]:
    """Return training and validation images, apart from those that are explained."""
    if subject.name.startswith("flowers"):
        held_out = round(VALIDATION * TRAINING)
        return Flowers("species", "train", TRAINING), Flowers("species", "validation", held_out)
    explained = subject.dataset
    if not isinstance(explained, Subset):
        raise TypeError(f"the images of {subject.name} are no part of a larger set")
    every: Any = explained.dataset
    first = len(explained)
    middle = first + round((len(every) - first) / (1 + VALIDATION))
    return Subset(every, range(first, middle)), Subset(every, range(middle, len(every)))


def scored_maps(
    subject: Subject,
    variant: str,
    makers: Mapping[str, Factory],
    protocol: CausalProtocol | None = None,
) -> pd.DataFrame:
    """Score the maps of a subject: one row per image and method, and one of the network alone."""
    classifier = subject.classifier
    digest = _digest(classifier)
    maps = {
        name: subject.maps(f"{name} of {variant}", make(classifier), digest)["maps"]
        for name, make in makers.items()
    }
    alone = _alone(subject)
    if isinstance(classifier, CAStream):
        parts = [classifier.attention(images) for _, images, _ in batches(subject)]
        maps["raw-attention"] = torch.cat(parts).float()
    found = evaluate(
        classifier,
        subject.dataset,
        maps,
        batch_size=32,
        curves=protocol,
        truth=subject.truth,
        strict=True,
    )
    table = from_records(found)
    kept = ["image", "target", "method", "p", "o", "insertion", "deletion", "RMA", "EP", "SP"]
    table = table[[column for column in kept if column in table]]
    joined = pd.concat([alone, table], ignore_index=True)
    say(f"{subject.name}: {variant} scored")
    return joined.assign(network=subject.name, variant=variant)


def _streamed(
    taught: Teaching,
    variant: str,
    makers: Mapping[str, Factory],
    protocol: CausalProtocol | None = None,
    **more: Any,
) -> pd.DataFrame:
    """Train and score a stream, and say how even its attention is, before training and after."""
    options = VARIANTS[variant] | more
    begun, first = untrained(taught.subject.classifier, **options)
    stream = taught.stream(**options)
    table = scored_maps(replace(taught.subject, classifier=stream), variant, makers, protocol)
    shown, alone = from_tap(taught.shown, first), table["method"] == "none"
    found = state_of(stream, shown) | {"initial entropy": state_of(begun, shown)["entropy"]}
    table.loc[alone, list(found)] = np.column_stack(list(found.values()))
    return table


def _alone(subject: Subject) -> pd.DataFrame:
    """What the network says of each image."""
    rows = []
    for part, images, targets in batches(subject):
        with torch.no_grad():
            found = subject.classifier(images)
        columns: dict[str, Any] = {
            "image": range(part.start, part.stop),
            "target": targets,
            "method": "none",
            "p": subject.classifier.probability(found, targets),
            "accuracy": (found.argmax(1) == targets).double(),
        }
        rows.append(pd.DataFrame(columns))
    return pd.concat(rows, ignore_index=True)


@torch.no_grad()
def _believed(stream: CAStream, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of the targets, and the length of what was pooled last."""
    look = stream.net.look(stream.normalised(images))
    pooled = stream.net.pool(look)
    found = stream.net.classify(pooled.query)
    return stream.probability(found, targets), _length(pooled.attention[-1], look.features[-1])


def _length(attention: Tensor, maps: Tensor) -> Tensor:
    """The length of what attention pools of feature maps, image by image."""
    return (attention * maps).sum((2, 3)).norm(dim=1)


@torch.no_grad()
def state_of(stream: CAStream, shown: Looks) -> dict[str, np.ndarray]:
    """What the last attention of a stream is like, image by image.

    ``entropy`` is relative to that of uniform attention; ``room`` is what the softmax lets pass of
    a gradient, 1 - sum a²; ``length`` that of the pooled features, relative to their average's.
    """
    parts = []
    for look, _ in shown.batches():
        attention, maps = stream.net.pool(look).attention[-1], look.features[-1]
        room = 1 - attention.square().sum((1, 2, 3))
        length = _length(attention, maps) / maps.mean((2, 3)).norm(dim=1)
        parts.append(torch.stack([evenness(attention), room, length]))
    found = torch.cat(parts, dim=1).double().numpy()
    return dict(zip(("entropy", "room", "length"), found, strict=True))


def evenness(attention: Tensor) -> Tensor:
    """Return the entropy of attention ``(B, 1, h, w)``, relative to that of uniform attention."""
    entropy = torch.special.entr(attention).sum((1, 2, 3))
    return entropy / math.log(attention[0].numel())


def _digest(classifier: Classifier) -> str:
    """A name for what a network computes."""
    state = hashlib.sha256()
    for name, value in classifier.state_dict().items():
        state.update(name.encode())
        state.update(value.contiguous().numpy().tobytes())
    if isinstance(classifier, CAStream):
        state.update(repr(classifier.options).encode())
    return state.hexdigest()[:16]


STUDIES = {
    "validation": Study(validation, 300, {}),
    "beginning": Study(beginning, 24, {"cifar10": 20, "resnet18": 24, "resnet50": 24}),
    "pooling": Study(pooling, 300, {}),
    "curves": Study(curves, 300, {}),
    "masked": Study(masked, 300, {}),
    "photographs": Study(photographs, 0, {"resnet18": 300}),
    "cifar10": Study(small, 0, {"cifar10": 300}),
}
