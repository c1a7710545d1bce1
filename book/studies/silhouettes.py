"""Real shapes translated: digits in one colour, on paper of another; no answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from studies.subjects import real_images
from studies.vebi import kept
from xaibook.flowers.network import SmallResNet
from xaibook.translation.model import Pair
from xaibook.translation.scoring import nearest_of
from xaibook.translation.training import learn_to_translate, pretrain
from xaicore.training.loop import InMemory, Recipe, logits_of, train

INK, PAPER = ((0.5, 0.95), (0.3, 0.8)), ((0.0, 0.25), (0.85, 1.0))
"""Ranges of saturation and value."""

DARKEST = 40
"""Pixels, those farthest from the paper, that are taken for ink."""

TRAINING = 2400
MARGIN = 2


class Shapes(NamedTuple):
    """Grey pictures of two kinds of shape, and a reader's training pictures.

    Attributes:
        training: those of each kind to learn from, ``(n, 28, 28)`` in [0, 1].
        test: those to translate.
        classes: the numbers of the kinds.
        pictures: of every kind, for the reader.
        labels: their classes.
    """

    training: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: tuple[int, int]
    pictures: Tensor
    labels: Tensor


def digits() -> Shapes:
    """Return threes and eights of MNIST."""
    file = np.load(real_images() / "small" / "mnist.npz")
    images, labels = _grey(file["x_train"]), torch.from_numpy(file["y_train"]).long()
    others, of = _grey(file["x_test"]), torch.from_numpy(file["y_test"]).long()
    kinds = 3, 8
    first, second = (images[labels == kind][:TRAINING] for kind in kinds)
    one, two = (others[of == kind][:400] for kind in kinds)
    return Shapes((first, second), (one, two), kinds, images[:6000], labels[:6000])


def shoes() -> Shapes:
    """Return sneakers and ankle boots of Fashion-MNIST: few, each tinted anew many times."""
    file = np.load(real_images() / "small" / "fashion_mnist_900.npz")
    images, labels = _grey(file["x"]), torch.from_numpy(file["y"]).long()
    known, held = zip(*(images[labels == k].split([70, 20]) for k in range(10)), strict=True)
    kinds = 7, 9
    one, two = (held[kind].repeat(10, 1, 1) for kind in kinds)
    pictures = torch.cat(known).repeat(9, 1, 1)
    of = torch.arange(10).repeat_interleave(70).repeat(9)
    return Shapes((known[7], known[9]), (one, two), kinds, pictures, of)


SETS: Mapping[str, Callable[[], Shapes]] = {"MNIST": digits, "Fashion-MNIST": shoes}


def tint(grey: Tensor, seed: int) -> Tensor:
    """Return grey pictures ``(n, 28, 28)`` as ink on paper, ``(n, 3, 32, 32)``."""
    generator = torch.Generator().manual_seed(seed)
    ink, paper = (_colours(len(grey), *ranges, generator) for ranges in (INK, PAPER))
    covered = F.pad(grey, [MARGIN] * 4)[:, None]
    return paper * (1 - covered) + ink * covered


def _colours(
    count: int,
    saturation: tuple[float, float],
    value: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Colours of random hue, ``(count, 3, 1, 1)``."""
    hue, *rest = torch.rand(3, count, 1, generator=generator)
    s, v = (
        low + (high - low) * x for x, (low, high) in zip(rest, (saturation, value), strict=True)
    )
    k = (torch.tensor([5.0, 3.0, 1.0]) + 6 * hue) % 6
    return (v - v * s * torch.minimum(k, 4 - k).clamp(0, 1))[:, :, None, None]


def paper(images: Tensor) -> Tensor:
    """Return the median colour of the upper and lower margin, ``(n, 3)``."""
    edge = torch.cat([images[:, :, :MARGIN].flatten(2), images[:, :, -MARGIN:].flatten(2)], 2)
    return edge.median(2).values


def ink(images: Tensor) -> Tensor:
    """Return the mean colour of the pixels that are farthest from the paper, ``(n, 3)``."""
    far = (images - paper(images)[:, :, None, None]).norm(dim=1).flatten(1)
    chosen = far.topk(DARKEST, 1).indices[:, None].expand(-1, 3, -1)
    return images.flatten(2).gather(2, chosen).mean(2)


def covered(images: Tensor) -> Tensor:
    """Return how much of each pixel is ink, ``(n, H, W)`` in [0, 1]."""
    ground = paper(images)[:, :, None, None]
    way = ink(images)[:, :, None, None] - ground
    return (((images - ground) * way).sum(1) / (way.square().sum(1) + 1e-4)).clamp(0, 1)


def slant(images: Tensor) -> Tensor:
    """Return how far the ink leans: the regression of its column on its row, ``(n,)``."""
    mass = covered(images)
    mass = mass * (mass > 0.3)
    rows, columns = torch.meshgrid(*[torch.arange(32.0)] * 2, indexing="ij")
    total = mass.sum((1, 2)).clamp_min(1e-3)
    y, x = (grid - ((mass * grid).sum((1, 2)) / total)[:, None, None] for grid in (rows, columns))
    return (mass * x * y).sum((1, 2)) / (mass * y * y).sum((1, 2)).clamp_min(1e-3)


def reader(shapes: Shapes) -> SmallResNet:
    """Return a network that names the class of tinted pictures, some of them blurred."""
    images = tint(shapes.pictures, 9)
    soft = F.avg_pool2d(F.pad(images, [1] * 4, mode="replicate"), 3, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallResNet(10, (16, 32, 64), (2, 1, 2))
    data = InMemory(torch.cat([images, soft]), shapes.labels.repeat(2), torch.device("cpu"))
    train(net, data, Recipe(max(1, 12000 // len(data)), batch_size=64))
    return net


def silhouettes() -> Iterator[pd.DataFrame]:
    """Threes and eights, and sneakers and boots, translated with all losses."""
    for name, make in SETS.items():
        yield kept(f"translation.silhouettes {name}", partial(measured, name, make), 4)


def measured(name: str, make: Callable[[], Shapes]) -> pd.DataFrame:
    """Return a row per picture and translation."""
    shapes = make()
    one, two = (
        tint(grey.repeat(-(-TRAINING // len(grey)), 1, 1)[:TRAINING], seed)
        for seed, grey in enumerate(shapes.training, start=1)
    )
    tests = [tint(grey, seed) for seed, grey in enumerate(shapes.test, start=3)]
    reads = reader(shapes)
    nearest = two[nearest_of(tests[0], two)]
    rows = {"nearest": (nearest, None), "unchanged": (tests[0], tests[1])}
    pair = pretrain(one, two, shorter=2)
    rows["before step 3"] = both(pair, tests)
    rows["full"] = both(learn_to_translate(pair, one, two), tests)
    parts = []
    for label, made in rows.items():
        for direction, (source, images) in enumerate(zip(tests, made, strict=True)):
            if images is not None:
                wanted = shapes.classes[1 - direction]
                part = compared(source, images, reads, wanted)
                parts.append(part.assign(variant=label, direction=("forth", "back")[direction]))
    return pd.concat(parts).assign(data=name)


def both(pair: Pair, tests: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Translate pictures of both kinds."""
    return pair.forth(tests[0]), pair.back(tests[1])


def compared(source: Tensor, made: Tensor, reads: SmallResNet, wanted: int) -> pd.DataFrame:
    """Return what arrived, and what stayed as it was, picture by picture."""
    columns = {
        "arrives": (logits_of(reads, [made]).argmax(1) == wanted).float(),
        "ink": (ink(source) - ink(made)).norm(dim=1),
        "paper": (paper(source) - paper(made)).norm(dim=1),
        "slant before": slant(source),
        "slant after": slant(made),
        "thickness before": covered(source).mean((1, 2)),
        "thickness after": covered(made).mean((1, 2)),
    }
    table = pd.DataFrame({name: values.numpy() for name, values in columns.items()})
    return table.assign(image=range(len(table)))


def _grey(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).float().view(-1, 28, 28) / 255


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"silhouettes": silhouettes}
