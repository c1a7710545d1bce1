"""CA-Stream on all of CIFAR-10, beside a control whose even attention is learnt anew.

The network is frozen, so what it shows of 50,000 pictures is put on disk once, in half precision;
streams of several draws learn from it together, each with a loss of its own. The control pools
evenly and learns its last layer alike: as even attention asks nothing, it needs the averages alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studies import cifar, subjects
from studies.ca_stream import CHEAP, scored_maps, state_of
from studies.cifar import ARCHIVE, WEIGHTS, cifar10
from studies.subjects import Subject, say
from xaibook.cifar.dataset import read_cifar10
from xaibook.cifar.network import resnet20
from xaicore.models.ca_stream import CAStream, Look
from xaicore.training.ca_stream import Looks
from xaicore.training.loop import InMemory, Recipe, train

TRAINING, TEST = 50_000, 600
DRAWS = range(5)
RECIPE = Recipe(epochs=1, learning_rate=0.01, batch_size=64, weight_decay=1e-4)
FILES = subjects.KEPT / "ca_stream.cifar10.looks"
FORMS = {"CA": (1.0, cifar.TAPS), "uniform": (0.0, cifar.TAPS[-1:])}
"""Sharpness and taps; with even attention the taps before the last change nothing."""

TOLD: dict[str, object] = {
    "network": f"a CIFAR ResNet-20 ({WEIGHTS.name})",
    "images": f"{TEST} test images of CIFAR-10 (JPEG)",
    "training": f"all {TRAINING} training images, {RECIPE.epochs} pass, batches of "
    f"{RECIPE.batch_size}, peak {RECIPE.learning_rate}; draws share the order of the images",
}


class Kept:
    """What the network shows of the training images, in half precision on disk.

    Attributes:
        features: of each tap, ``(N, d, h, w)``.
        targets: the true classes.
    """

    def __init__(self, features: list[np.ndarray], targets: Tensor) -> None:
        self.features, self.targets = features, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> Look:
        chosen = [torch.from_numpy(maps[indices.numpy()]).float() for maps in self.features]
        return Look(chosen, self.targets[indices])


def looked() -> Kept:
    """Return what the network shows of all training images; it looks at them once."""
    names = [FILES / f"{tap}.npy" for tap in (*cifar.TAPS, "targets")]
    if not names[-1].is_file():
        _look(names)
    *features, targets = (np.load(name, mmap_mode="r") for name in names)
    return Kept(features, torch.from_numpy(targets.copy()))


@torch.no_grad()
def _look(names: Sequence[Path]) -> None:
    """Write the features of all training images, and their classes last."""
    images, targets = read_cifar10(subjects.real_images() / ARCHIVE, {"train": TRAINING}).tensors
    stream = untrained("CA", 0)
    FILES.mkdir(parents=True, exist_ok=True)
    shapes = [maps.shape[1:] for maps in stream.net.look(images[:1]).features]
    files = [
        np.lib.format.open_memmap(name, "w+", np.float16, (TRAINING, *shape))
        for name, shape in zip(names, shapes, strict=False)
    ]
    for chosen in torch.arange(TRAINING).split(250):
        look = stream.net.look(stream.normalised(images[chosen]))
        for file, maps in zip(files, look.features, strict=True):
            file[chosen[0] : chosen[-1] + 1] = maps.half().numpy()
    for file in files:
        file.flush()
    np.save(names[-1], targets.numpy())
    say("CIFAR-10: looked at all training images")


def untrained(form: str, draw: int) -> CAStream:
    """Return a stream of a form, with the weights of a draw."""
    sharpness, taps = FORMS[form]
    network = resnet20(subjects.real_images() / WEIGHTS)
    return CAStream(network, taps, head=cifar.HEAD, sharpness=sharpness, seed=draw)


def learnt(form: str, seen: Kept) -> list[CAStream]:
    """Return the streams of all draws, which learn together; their progress is kept on disk."""
    streams = [untrained(form, draw) for draw in DRAWS]

    def loss(nets: nn.Module, look: Look, targets: Tensor) -> Tensor:
        return torch.stack([F.cross_entropy(net(look), targets) for net in nets.children()]).sum()

    data = InMemory(seen, seen.targets, torch.device("cpu"))
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    progress = subjects.KEPT / f"ca_stream.cifar10.{form}.{RECIPE.epochs}.pt"
    train(nn.ModuleList(s.net for s in streams), data, RECIPE, 0, loss, checkpoint=progress)
    say(f"CIFAR-10: streams, {form}")
    return streams


def averaged(seen: Kept) -> Kept:
    """Return the averages of the last features, as maps of one position."""
    last = seen.features[-1]
    means = [
        part.astype(np.float32).mean((2, 3), keepdims=True) for part in np.array_split(last, 50)
    ]
    return Kept([np.concatenate(means)], seen.targets)


def everything() -> Iterator[pd.DataFrame]:
    """The average, streams and even controls of every draw, and what their maps are worth."""
    subject, seen = cifar10(subjects.real_images(), TEST), looked()
    subject = replace(subject, name="cifar10-all")
    average = scored_maps(subject, "GAP", CHEAP)
    for draw in DRAWS:
        yield average.assign(network=called(draw))
    for form, data in {"uniform": averaged(seen), "CA": seen}.items():
        for draw, stream in zip(DRAWS, learnt(form, data), strict=True):
            yield _described(subject, form, draw, stream)


def called(draw: int) -> str:
    """Return the name of a draw in the records."""
    return f"cifar10-draw{draw}"


def _described(subject: Subject, form: str, draw: int, stream: CAStream) -> pd.DataFrame:
    begun, shown = untrained(form, draw), Looks(stream, subject.dataset)
    table = scored_maps(replace(subject, name=called(draw), classifier=stream), form, CHEAP)
    found = state_of(stream, shown) | {"initial entropy": state_of(begun, shown)["entropy"]}
    alone = table["method"] == "none"
    table.loc[alone, list(found)] = np.column_stack(list(found.values()))
    return table[table["method"] != "raw-attention"]


STUDIES = {"cifar10-all": everything}
