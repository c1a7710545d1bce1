"""Train the networks that the package ships, and store them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaicore.files import check_output, write_tensors
from xaicore.training.loop import fit


def train_flowers(
    task: str = "species",
    seed: int = 0,
    epochs: int = 16,
    n: int = 4500,
    output: str | Path | None = None,
    removed: float = 0.0,
) -> SmallResNet:
    """Train a ``SmallResNet`` on rendered flowers, and store it if asked.

    With the defaults this is about three minutes on one processor core, and how the packaged
    weights of ``species`` were made, on one thread; those of the other tasks with 6,000 images, 14
    epochs and ``removed=0.5``. Another number of threads adds in another order and ends at
    another, equally good, network.

    Args:
        task: The question to learn, a key of ``xaibook.flowers.dataset.TASKS``.
        seed: Seed of the initial weights, the order of the images and their augmentation.
        epochs: Passes over the training set.
        n: Number of training images.
        output: File to write the weights to, in half precision; None writes nothing.
        removed: Share of the images that lose parts, so that pictures without them are nothing new
            to the network. The classes that what is left allows are then equally right: the loss is
            the mean of theirs (Hesse et al., ICCV 2023, who remove parts from every second image).

    Returns:
        The network, in evaluation mode and full precision; it takes normalised pixels.

    Raises:
        ValueError: The task does not exist, there are too few images or epochs, or ``removed`` is
            no share.
        FileNotFoundError: The folder of ``output`` does not exist.
        IsADirectoryError: ``output`` is a folder.
    """
    if output is not None:
        check_output(Path(output))
    flowers = Flowers(task, "train", n, removed=removed)
    targets = flowers.targets
    if removed:
        targets = flowers.allowed / flowers.allowed.sum(1, keepdim=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FLOWER_MEAN, FLOWER_STD))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SmallResNet(len(flowers.classes))
    fit(net, (flowers.images - mean) / std, targets, epochs, seed)
    if output is not None:
        save_weights(net, output)
    return net


def save_weights(net: nn.Module, path: str | Path) -> None:
    """Write a network's weights in half precision; the file appears whole or not at all.

    Args:
        net: The network to store; it is not changed.
        path: File to write or replace. ``torch.load(path, weights_only=True)`` reads it.

    Raises:
        FileNotFoundError: The folder of ``path`` does not exist.
        IsADirectoryError: ``path`` is a folder.
    """
    state = {
        name: (value.half() if value.is_floating_point() else value).clone(
            memory_format=torch.contiguous_format
        )
        for name, value in net.state_dict().items()
    }
    write_tensors(Path(path), state)
