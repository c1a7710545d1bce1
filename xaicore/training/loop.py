"""One loop for every network the book trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from xaicore.classifier import check_name
from xaicore.files import write_tensors
from xaicore.processes import average, barrier, connected
from xaicore.training.progress import read_progress

Loss = Callable[[nn.Module, Any, Tensor], Tensor]
"""Maps (network, inputs, targets) to the scalar to minimise."""

SCHEDULES = ("one-cycle", "steps")
MAX_SHIFT = 4


class Epoch(NamedTuple):
    """What one pass over the training set came to.

    Attributes:
        loss: Mean loss over the batches, as they were met.
        seconds: Time the pass took.
        validation: What was measured after it, the smaller the better; None if nothing was.
    """

    loss: float
    seconds: float
    validation: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with momentum 0.9.

    Attributes:
        epochs: Passes over the training set, at most.
        learning_rate: Peak of the schedule.
        batch_size: Images per step, of all processes together.
        weight_decay: Decay of all parameters.
        nesterov: Whether the momentum is Nesterov's.
        schedule: ``"one-cycle"``, up for a fifth of the steps and down, or a single step at the
            peak; or ``"steps"``, divided by ten after each third of the epochs.
        patience: Epochs without improvement on the validation set after which training ends early.
    """

    epochs: int
    learning_rate: float = 0.1
    batch_size: int = 32
    weight_decay: float = 5e-4
    nesterov: bool = True
    schedule: str = "one-cycle"
    patience: int | None = None

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a network's parameters."""
        return torch.optim.SGD(
            net.parameters(),
            self.learning_rate,
            momentum=0.9,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def scheduler(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return the schedule of the learning rate; an epoch has so many steps."""
        total = self.epochs * steps
        if self.schedule == "one-cycle" and total > 1:
            rise = 0.25 if total == 5 else 0.2  # a fifth of 5 would end where it begins: 0 / 0
            return OneCycleLR(optimizer, self.learning_rate, total_steps=total, pct_start=rise)
        return StepLR(optimizer, steps * -(-self.epochs // 3), gamma=0.1)


class Data(Protocol):
    """A training set."""

    def __len__(self) -> int:
        """Return the number of images."""

    def epoch(
        self, batches: Sequence[Tensor], share: slice, generator: torch.Generator
    ) -> Iterator[tuple[Any, Tensor]]:
        """Yield inputs and targets, on the network's device, of this process's share of batches."""


class InMemory:
    """Images that fit in memory, as tensors.

    Args:
        images: ``(N, C, H, W)``, or what else is indexed by images.
        targets: Class indices, ``(N,)``.
        device: Where batches are put.
        transform: Changes a batch of images by chance; None leaves them.
    """

    def __init__(
        self,
        images: Any,
        targets: Tensor,
        device: torch.device,
        transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        if len(images) != len(targets):
            raise ValueError(
                f"{len(images)} images and {len(targets)} targets: one target per image"
            )
        self.images, self.targets = images, targets
        self.device, self.transform = device, transform

    def __len__(self) -> int:
        return len(self.targets)

    def epoch(
        self, batches: Sequence[Tensor], share: slice, generator: torch.Generator
    ) -> Iterator[tuple[Any, Tensor]]:
        """Yield a share of batches; every process draws the same random numbers."""
        for batch in batches:
            targets = self.targets[batch[share]].to(self.device)
            if self.transform is None:
                yield self.images[batch[share]].to(self.device), targets
            else:
                changed = self.transform(self.images[batch], generator)
                yield changed[share].to(self.device), targets


class Seeded(Dataset[Any]):
    """A data set whose items are changed by the same chance wherever and whenever they are read.

    Args:
        dataset: Draws from torch's global generator.
        key: Seed, to which an item adds its place.
    """

    def __init__(self, dataset: Dataset[Any], key: int) -> None:
        self.dataset, self.key = dataset, key

    def __getitem__(self, place: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.key + place)
            return self.dataset[place]


class FromDataset:
    """Images that are read, and changed by chance, when they are asked for.

    Args:
        dataset: Yields an image and its class index.
        device: Where batches are put.
        workers: Processes that read.
    """

    def __init__(
        self, dataset: Dataset[tuple[Tensor, int]], device: torch.device, workers: int = 0
    ) -> None:
        self.dataset, self.device, self.workers = dataset, device, workers

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def epoch(
        self, batches: Sequence[Tensor], share: slice, generator: torch.Generator
    ) -> Iterator[tuple[Any, Tensor]]:
        """Yield a share of batches; what changes images draws from torch's global generator."""
        key = int(torch.randint(2**62, (), generator=generator))
        loader = DataLoader(
            Seeded(self.dataset, key),
            batch_sampler=[batch[share].tolist() for batch in batches],
            num_workers=self.workers,
            generator=generator,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key)  # of what the network draws
            for images, targets in loader:
                yield images.to(self.device), targets.to(self.device)


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
        targets: Class indices ``(N,)``, or the probabilities of classes ``(N, classes)``.
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
    data = InMemory(images, targets, next(net.parameters()).device, augment)
    recipe = Recipe(epochs, learning_rate, batch_size, weight_decay)
    return train(net, data, recipe, seed, loss)


def train(
    net: nn.Module,
    data: Data,
    recipe: Recipe,
    seed: int = 0,
    loss: Loss = cross_entropy,
    validate: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train a network in place; a run that was stopped goes on from its checkpoint.

    The same network, data, recipe, seed and number of threads give the same bits, stopped and
    resumed or not. Under ``torch.distributed`` every process takes its share of each batch and
    gradients are averaged, so that the steps are those of one process up to rounding.

    Args:
        net: Any network; only what asks for a gradient is learnt. Afterwards it is in evaluation
            mode.
        data: The training set.
        recipe: How to train.
        seed: Seed of order and augmentation (not of the network's initial weights).
        loss: What to minimise, as a function of network, inputs and targets. The fields of a
            dataclass are part of what a checkpoint must agree with.
        validate: Measures the network after each epoch, the smaller the better; the weights of the
            best epoch are kept.
        checkpoint: File that holds the progress after each epoch. If it exists, it is resumed.

    Returns:
        One record per epoch, those before a resumption included.

    Raises:
        ValueError: The recipe cannot work with the data, or the checkpoint is of another run.
        FloatingPointError: The loss is not finite.
    """
    _check(recipe, len(data), validate is not None)
    net.to(memory_format=torch.channels_last)
    run = _Run(net, data, recipe, seed, loss, validate, checkpoint)
    run.resume()
    done, total = len(run.records) * run.steps, recipe.epochs * run.steps
    hidden = True if connected().rank else None
    with tqdm(total=total, initial=done, desc="training", unit="batch", disable=hidden) as progress:
        while not run.finished():
            run.epoch(progress)
            run.keep()
    run.restore_best()
    net.eval()
    return run.records


class _Run:
    """A training under way: all that must be known to go on."""

    def __init__(
        self,
        net: nn.Module,
        data: Data,
        recipe: Recipe,
        seed: int,
        loss: Loss,
        validate: Callable[[nn.Module], float] | None,
        checkpoint: Path | None,
    ) -> None:
        self.net, self.data, self.recipe, self.loss = net, data, recipe, loss
        self.model = DistributedDataParallel(net) if connected().world > 1 else net
        self.validate, self.checkpoint = validate, checkpoint
        self.steps = len(data) // recipe.batch_size
        self.optimizer = recipe.optimizer(net)
        self.scheduler = recipe.scheduler(self.optimizer, self.steps)
        self.generator = torch.Generator().manual_seed(seed)
        self.records: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.identity = {**asdict(recipe), "seed": seed, "images": len(data)}
        if is_dataclass(loss) and not isinstance(loss, type):
            self.identity |= asdict(loss)

    def finished(self) -> bool:
        """Whether all epochs are done, or the last ones brought nothing."""
        done, patience = len(self.records), self.recipe.patience
        early = patience is not None and done - 1 - self._best_epoch() >= patience and done
        return done >= self.recipe.epochs or bool(early)

    def epoch(self, progress: tqdm) -> None:
        """Pass over the training set once, and measure."""
        start, batch_size = time.perf_counter(), self.recipe.batch_size
        total = torch.zeros((), device=next(self.net.parameters()).device)
        order = torch.randperm(len(self.data), generator=self.generator)
        batches = order[: self.steps * batch_size].split(batch_size)
        us = connected()
        share = slice(us.rank, None, us.world)
        self.net.train()
        for inputs, targets in self.data.epoch(batches, share, self.generator):
            value = self.loss(self.model, inputs, targets)
            self.optimizer.zero_grad()
            value.backward()
            self.optimizer.step()
            self.scheduler.step()
            total += value.detach()
            progress.update()
        loss = average(total).item() / self.steps
        progress.set_postfix(loss=f"{loss:.3f}")
        _check_finite(loss, len(self.records) + 1)
        measured = None if self.validate is None else self.validate(self.net.eval())
        self.records.append(Epoch(loss, time.perf_counter() - start, measured))

    def keep(self) -> None:
        """Remember the best weights and write the progress to disk."""
        if self.validate is not None and self._best_epoch() == len(self.records) - 1:
            self.best = {name: value.clone() for name, value in _learnt(self.net).items()}
        if self.checkpoint is not None and connected().first:
            write_tensors(self.checkpoint, self._state())
        barrier()

    def resume(self) -> None:
        """Go on where the checkpoint ends, if there is one."""
        kept = None if self.checkpoint is None else read_progress(self.checkpoint, self.identity)
        if kept is None:
            return
        self.net.load_state_dict(kept["net"], strict=False)
        self.optimizer.load_state_dict(kept["optimizer"])
        self.scheduler.load_state_dict(kept["scheduler"])
        self.generator.set_state(kept["generator"])
        self.records = [Epoch(*record) for record in kept["records"]]
        self.best = kept["best"]

    def restore_best(self) -> None:
        """Give the network the weights of its best epoch."""
        if self.best:
            self.net.load_state_dict(self.best, strict=False)

    def _state(self) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "net": _learnt(self.net),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "records": [tuple(record) for record in self.records],
            "best": self.best,
        }

    def _best_epoch(self) -> int:
        """The first epoch with the smallest measurement; the last one if none was taken."""
        measured = [record.validation for record in self.records]
        known = [value for value in measured if value is not None]
        return measured.index(min(known)) if known else len(measured) - 1


def _learnt(net: nn.Module) -> dict[str, Tensor]:
    """The state of a network without its frozen parameters."""
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    return {name: value for name, value in net.state_dict().items() if name not in frozen}


def _check(recipe: Recipe, count: int, validated: bool) -> None:
    if recipe.epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {recipe.epochs}")
    if count < recipe.batch_size:
        raise ValueError(f"{count} images do not fill one batch of {recipe.batch_size}")
    check_name("schedule", recipe.schedule, SCHEDULES)
    world = connected().world
    if recipe.batch_size % world:
        raise ValueError(
            f"batch_size {recipe.batch_size} must be a multiple of the {world} processes"
        )
    if recipe.patience is not None and not (validated and recipe.patience >= 1):
        raise ValueError("patience must be at least 1, and needs a validation set")


def _check_finite(loss: float, epoch: int) -> None:
    if not torch.isfinite(torch.tensor(loss)):
        raise FloatingPointError(
            f"the loss is {loss} in epoch {epoch}: lower the learning rate, or look for "
            "infinite or missing values in the images"
        )


@torch.inference_mode()
def logits_of(net: nn.Module, batches: Iterable[Any]) -> Tensor:
    """Return the logits ``(N, C)`` of batches of inputs, on the CPU; one forward of each.

    The network's mode, training or evaluation, is left as it is.
    """
    device = next(net.parameters()).device
    return torch.cat([net(batch.to(device)).cpu() for batch in batches])


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
    predicted = logits_of(net, images.split(batch_size)).argmax(1)
    return (predicted == targets).double().mean().item()
