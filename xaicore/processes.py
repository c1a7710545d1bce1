"""The processes that share a run, as ``torchrun`` starts them.

They share the folder of the run and nothing else: there is no connection between them that a killed
process could break, or that its successor would have to find again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.2
"""Seconds between two looks at the folder."""

PATIENCE = 3600.0
"""Seconds that a process waits for the first one to begin: it may have to find a batch size."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that share a run.

    Attributes:
        rank: which it is, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that begins the run and shows the bar."""
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


def ranks() -> Ranks:
    """Return this process among the others of ``torchrun``, or alone."""
    return Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
