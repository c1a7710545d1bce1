"""The first images, tried before a run: so that nobody waits for one in which all fail."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xaicore.evaluation.dataset import Item, words
from xaicore.evaluation.run import Run

FIRST = 16
"""How many images are read."""


def tried(run: Run) -> list[str]:
    """Read the first images, show one to the network, and say what share of them the truth covers.

    Cost: the first images are read once more, and one of them passes the network.

    Raises:
        ValueError: none of them can be used; the message is that of the first.
        MemoryError: one image does not fit.
    """
    items = [run.items[place] for place in range(min(FIRST, len(run.items)))]
    usable = [item for item in items if item.image is not None]
    reasons = [item.failed for item in items if item.failed]
    for item in usable:
        try:
            run.job.try_alone(item)
        except MemoryError:
            raise
        except Exception as error:  # of the user's network too
            reasons.append(words(error))
        else:
            return _covered(usable)
    count = "the only image fails" if len(items) == 1 else f"the first {len(items)} images all fail"
    raise ValueError(f"{count}, so nothing is measured; {reasons[0]}")


def _covered(items: Sequence[Item]) -> list[str]:
    shares: dict[str, list[float]] = {"boxes": [], "masks": []}
    for item in items:
        assert item.image is not None
        if item.boxes is not None:
            shares["boxes"].append(_share(item.boxes, item.image.shape[-2:]))
        if item.mask is not None:
            shares["masks"].append(item.mask.double().mean().item())
    return [
        f"{name} cover {100 * sum(of) / len(of):.1f} % of what the network sees: the mean of the "
        f"first {len(of)} images"
        for name, of in shares.items()
        if of
    ]


def _share(boxes: Tensor, size: Sequence[int]) -> float:
    """The share of pixels whose centre lies in a box."""
    centres = [torch.arange(side) + 0.5 for side in size]
    x0, y0, x1, y1 = boxes.double().unbind(1)
    rows = (centres[0][:, None] >= y0) & (centres[0][:, None] < y1)
    columns = (centres[1][:, None] >= x0) & (centres[1][:, None] < x1)
    return (rows[:, None] & columns).any(2).double().mean().item()
