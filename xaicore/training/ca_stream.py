"""Train a CA-Stream: the frozen network looks at each image once, the stream learns from that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from xaicore.interpretation.responses import in_batches
from xaicore.models.ca_stream import CAStream, Look
from xaicore.processes import connected
from xaicore.training.loop import Data, Epoch, FromDataset, InMemory, Recipe, logits_of, train

RECIPES = {
    "quick": Recipe(epochs=10, learning_rate=0.01, batch_size=64, weight_decay=1e-4),
    "paper": Recipe(90, 0.1, 256, 1e-4, nesterov=False, schedule="steps"),
}
"""``"paper"``: that of torchvision's ResNet; ``"quick"``: for small sets."""

CPU = torch.device("cpu")
BATCH = 64
"""Images that are looked at together."""


class Looks:
    """What a frozen network shows of a data set, kept in memory.

    Args:
        stream: The stream whose network looks; the taps alone decide what is kept.
        dataset: Yields pixels ``(channels, H, W)`` in ``[0, 1]``, all of one size, and the true
            class.

    Attributes:
        look: The feature maps and the predicted classes of all images.
        targets: The true classes.
    """

    def __init__(self, stream: CAStream, dataset: Dataset[tuple[Tensor, int]]) -> None:
        parts, targets = [], []
        device = stream.mean.device
        loader = in_batches(dataset, BATCH)
        hidden = True if connected().rank else None
        for images, classes in tqdm(loader, desc="features", disable=hidden):
            with torch.no_grad():
                parts.append(stream.net.look(stream.normalised(images.to(device))).to(CPU))
            targets.append(classes)
        maps = [torch.cat(tap) for tap in zip(*(part.features for part in parts), strict=True)]
        self.look = Look(maps, torch.cat([part.predicted for part in parts]))
        self.targets = torch.cat(targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, indices: Tensor) -> Look:
        return Look([maps[indices] for maps in self.look.features], self.look.predicted[indices])

    def batches(self) -> Iterator[tuple[Look, Tensor]]:
        """Yield all looks in order, with their targets."""
        for indices in torch.arange(len(self)).split(BATCH):
            yield self[indices], self.targets[indices]


def train_stream(
    stream: CAStream,
    dataset: Dataset[tuple[Tensor, int]] | Looks,
    recipe: Recipe = RECIPES["quick"],
    validation: Dataset[tuple[Tensor, int]] | Looks | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    cached: bool = True,
    workers: int = 0,
) -> list[Epoch]:
    r"""Train a stream in place, by the cross-entropy of :math:`g(q_{L+1})`.

    The network and its head stay bit for bit as they are, in evaluation mode. Cached, each image
    is looked at once, in one forward, and an epoch costs no forward of the network at all; in
    memory it takes :math:`4 \sum_\ell d_\ell p_\ell` bytes per image.

    Args:
        stream: The stream.
        dataset: Yields pixels ``(channels, H, W)`` in ``[0, 1]`` and the true class; or the looks
            at it.
        recipe: How to train.
        validation: Images that decide which epoch is best, by their cross-entropy; None: the last.
        seed: Seed of the order of the images, and of their augmentation.
        checkpoint: File that holds the progress; a run that was stopped goes on from it.
        cached: Whether features are kept in memory. Where ``dataset`` changes its images by chance
            they must not be.
        workers: Processes that read images, where features are not kept.

    Returns:
        One record per epoch; ``validation`` is the cross-entropy.

    Raises:
        ValueError: The recipe cannot work with the data, or the checkpoint is of another run.
        FloatingPointError: The loss is not finite.
    """
    device = stream.mean.device
    data: Data
    if isinstance(dataset, Looks) or cached:
        looks = _looks(stream, dataset)
        data = InMemory(looks, looks.targets, device)
    else:
        data = FromDataset(dataset, device, workers)
    held_out = None if validation is None else _looks(stream, validation)

    def validate(net: nn.Module) -> float:
        return cross_entropy(stream, held_out) if held_out is not None else 0.0

    def loss(net: nn.Module, seen: Tensor | Look, targets: Tensor) -> Tensor:
        seen = seen if isinstance(seen, Look) else stream.normalised(seen)
        return F.cross_entropy(net(seen, targets), targets)

    measured = None if validation is None else validate
    return train(stream.net, data, recipe, seed, loss, measured, checkpoint)


def logits(stream: CAStream, looks: Looks) -> Tensor:
    """Return the logits ``(N, C)`` of a stream for what its network showed, on the CPU."""
    return logits_of(stream.net, (look for look, _ in looks.batches()))


def cross_entropy(stream: CAStream, looks: Looks) -> float:
    """Return the mean cross-entropy of a stream."""
    return F.cross_entropy(logits(stream, looks), looks.targets).item()


def _looks(stream: CAStream, dataset: Dataset[tuple[Tensor, int]] | Looks) -> Looks:
    return dataset if isinstance(dataset, Looks) else Looks(stream, dataset)
