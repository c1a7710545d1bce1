"""Which flowers stand in the playground: chosen by rule among the test pictures, not by hand."""

from __future__ import annotations

from typing import Any

import torch

from xaibook.flowers import Flowers, flower_classifier
from xaibook.playground.encode import encoded

TESTED = 100
DOUBT = 0.3, 0.97
SURE = 0.99
WANTED = {"doubted": 9, "wrong": 1, "certain": 2}
"""How many pictures of each kind: the first of the test set on which the true class has a
probability within ``DOUBT``, so that there is something to gain; another class is named; the true
class has a probability above ``SURE``, so that there is next to nothing to gain."""


def species_pictures() -> list[dict[str, Any]]:
    """Return pictures of the nine species, each with its seed, its class and its bytes.

    Raises:
        ValueError: there are too few pictures of a kind.
    """
    flowers = Flowers("species", "test", TESTED)
    probabilities = _probabilities("species", flowers.images)
    p = probabilities.gather(1, flowers.targets[:, None])[:, 0]
    kinds = {
        "doubted": (p > DOUBT[0]) & (p < DOUBT[1]),
        "wrong": probabilities.argmax(1) != flowers.targets,
        "certain": p > SURE,
    }
    chosen: list[int] = []
    for kind, number in WANTED.items():
        found = [i for i in kinds[kind].nonzero()[:, 0].tolist() if i not in chosen][:number]
        if len(found) < number:
            raise ValueError(
                f"only {len(found)} of {TESTED} test pictures are {kind}: look at more"
            )
        chosen += found
    return [_picture(flowers, i) | {"species": int(flowers.targets[i])} for i in chosen]


def twin_pictures(wanted: int = 4, tested: int = 16) -> list[dict[str, Any]]:
    """Return pictures with two labels, the colours of petals and stem, which differ.

    They are the first test pictures of which each network names its part's colour.

    Args:
        wanted: how many.
        tested: among how many test pictures to look.
    """
    sets = {task: Flowers(task, "test", tested) for task in ("petal", "stem")}
    right = sets["petal"].targets != sets["stem"].targets
    for task, flowers in sets.items():
        right &= _probabilities(task, flowers.images).argmax(1) == flowers.targets
    labels = {task: flowers.targets.tolist() for task, flowers in sets.items()}
    return [
        _picture(sets["petal"], i) | {task: labels[task][i] for task in sets}
        for i in right.nonzero()[:wanted, 0].tolist()
    ]


def _picture(flowers: Flowers, i: int) -> dict[str, Any]:
    pixels = flowers.scene(i).render(flowers.size).image
    return {"seed": flowers.seeds[i], "pixels": encoded(pixels.tobytes())}


@torch.no_grad()
def _probabilities(task: str, images: torch.Tensor) -> torch.Tensor:
    return flower_classifier(task)(images).double().softmax(1)
