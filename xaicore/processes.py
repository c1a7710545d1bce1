"""The processes that share a run or a training, as ``torchrun`` starts them.

Those of a run share its folder and nothing else: there is no connection between them that a killed
process could break, or that its successor would have to find again. Those of a training are
connected, for they average their gradients.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

PAUSE = 0.2
"""Seconds between two looks at the folder."""

PATIENCE = 3600.0
"""Seconds that a process waits for the first one to begin: it may have to find a batch size."""


@dataclass(frozen=True)
class Process:
    """This process among those that share the work.

    Attributes:
        rank: which it is, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that begins the work and shows the bar."""
        return self.rank == 0

    def await_first(self, look: Callable[[], T | None]) -> T:
        """Return what the first process makes, once it is there.

        Raises:
            ValueError: it does not come.
        """
        given_up = time.monotonic() + PATIENCE
        while (found := look()) is None:
            if time.monotonic() > given_up:
                raise ValueError(f"rank {self.rank} waited in vain for rank 0 to begin the run")
            time.sleep(PAUSE)
        return found


def started() -> Process:
    """Return this process among those that ``torchrun`` started, or alone."""
    return Process(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def connected() -> Process:
    """Return this process among those that are connected, or alone."""
    if not dist.is_initialized():
        return Process()
    return Process(dist.get_rank(), dist.get_world_size())


@contextmanager
def connection(device: torch.device) -> Iterator[Process]:
    """Connect the processes that ``torchrun`` started, and yield this one; alone it stays alone.

    Args:
        device: where this process computes, see ``device_named``.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Process()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield connected()
    finally:
        dist.destroy_process_group()


def average(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the connected processes."""
    world = connected().world
    if world > 1:
        dist.all_reduce(value)
        value = value / world
    return value


def barrier() -> None:
    """Wait until every connected process has come here."""
    if connected().world > 1:
        dist.barrier()


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short."""
    short = MemoryError, torch.OutOfMemoryError
    return isinstance(error, short) or "DefaultCPUAllocator" in str(error)


def device_named(name: str | None) -> torch.device:
    """Return a device on which something can be computed.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"mps"``, …; ``None``: a GPU, each process of a machine its
            own, as ``torchrun`` numbers them, or the CPU where there is none.

    Raises:
        ValueError: there is no such device, or nothing can be computed on it.
    """
    if name is None and torch.cuda.is_available():
        place = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
        name = f"cuda:{place}"
    try:
        device = torch.device(name or "cpu")
        torch.zeros(1, device=device).cpu()  # of some devices nothing comes back
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: '{name}' cannot be used here; cpu always can") from error
    return device
