"""One loop for every network the book trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Maps (network, images, targets) to the scalar to minimise."""

MAX_SHIFT = 4


class Epoch(NamedTuple):
    """What one pass over the training set came to.

    Attributes:
        loss: Mean loss over the batches, as they were met.
        seconds: Time the pass took.
    """

    loss: float
    seconds: float


def cross_entropy(net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the network's logits, the default loss of ``fit``."""
    return F.cross_entropy(net(images), targets)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability one half and shift it by up to 4 pixels each way.

    Args:
        images: ``(B, C, H, W)`` on any device; what a shift uncovers repeats the border.
        generator: Source of the random numbers, on the CPU.

    Returns:
        New images of the same shape, in channels-last order.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, [MAX_SHIFT] * 4, mode="replicate")
    top, left = torch.randint(0, 2 * MAX_SHIFT + 1, (2, count, 1), generator=generator)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    rows = top + torch.arange(height)
    columns = left + torch.where(mirrored, torch.arange(width).flip(0), torch.arange(width))
    item = torch.arange(count)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[item, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def fit(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    epochs: int,
    seed: int = 0,
    learning_rate: float = 0.1,
    batch_size: int = 32,
    weight_decay: float = 5e-4,
    loss: Loss = cross_entropy,
) -> list[Epoch]:
    """Train a network in place: SGD with Nesterov momentum on a one-cycle schedule.

    Images are shuffled, mirrored and shifted by a generator of their own, so the same network,
    seed and number of threads give the same bits. An incomplete last batch is left out.

    Args:
        net: Any network from images to logits; afterwards it is in evaluation mode.
        images: ``(N, C, H, W)``, N at least ``batch_size``.
        targets: Class indices, ``(N,)``.
        epochs: Passes over the images.
        seed: Seed of order and augmentation (not of the network's initial weights).
        learning_rate: Peak of the schedule.
        batch_size: Images per step.
        weight_decay: Decay of all parameters.
        loss: What to minimise, as a function of network, batch of images and batch of targets.

    Returns:
        One record per epoch.

    Raises:
        ValueError: There are no epochs, too few images for one batch, or images and targets
            differ in number.
        FloatingPointError: The loss is not finite.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    if len(images) != len(targets):
        raise ValueError(f"{len(images)} images and {len(targets)} targets: one target per image")
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} images do not fill one batch of {batch_size}")
    steps = len(images) // batch_size
    optimizer = torch.optim.SGD(
        net.parameters(), learning_rate, momentum=0.9, weight_decay=weight_decay, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * steps, pct_start=0.2
    )
    device = next(net.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    net.to(memory_format=torch.channels_last).train()
    records = []
    with tqdm(total=epochs * steps, desc="training", unit="batch", disable=None) as progress:
        for _ in range(epochs):
            start, total = time.perf_counter(), torch.zeros((), device=device)
            order = torch.randperm(len(images), generator=generator)
            for batch in order[: steps * batch_size].split(batch_size):
                value = loss(
                    net, augment(images[batch], generator).to(device), targets[batch].to(device)
                )
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                schedule.step()
                total += value.detach()
                progress.update()
            records.append(Epoch(total.item() / steps, time.perf_counter() - start))
            progress.set_postfix(loss=f"{records[-1].loss:.3f}")
            _check_finite(records[-1].loss, len(records))
    net.eval()
    return records


def _check_finite(loss: float, epoch: int) -> None:
    if not torch.isfinite(torch.tensor(loss)):
        raise FloatingPointError(
            f"the loss is {loss} in epoch {epoch}: lower the learning rate, or look for "
            "infinite or missing values in the images"
        )


@torch.inference_mode()
def accuracy(net: nn.Module, images: Tensor, targets: Tensor, batch_size: int = 100) -> float:
    """Return the share of images whose largest logit is the target's; one forward per image.

    Args:
        net: A network from images to logits; its mode (training or evaluation) is left as it is.
        images: ``(N, C, H, W)``.
        targets: Class indices, ``(N,)``.
        batch_size: Images per forward pass.

    Raises:
        ValueError: There are no images.
    """
    if not len(images):
        raise ValueError("images is empty: accuracy needs at least one image")
    device = next(net.parameters()).device
    predictions = [net(batch.to(device)).argmax(1).cpu() for batch in images.split(batch_size)]
    return (torch.cat(predictions) == targets).double().mean().item()
