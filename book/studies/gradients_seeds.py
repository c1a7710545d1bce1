"""The objective from the first step on, weakly, over many networks: what may be said of training.

The strengths are the one that summaries of the paper by others name, there with the
log-probability in place of the loss as well, and ten times that. Networks
are of half width and learn for four passes, which leaves them short of what they could reach; of
every seed they begin alike and meet the same pictures in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pandas as pd
from torch.utils.data import Subset

from studies import subjects
from studies.interpretable_gradients import (
    EXPLAINERS,
    FIRST_COUNT,
    PATIENT,
    VARIANTS,
    Variant,
    aligned,
    classifier,
    described,
    explained_by,
    fresh,
    shown,
    teach,
)
from studies.subjects import say
from studies.vebi import kept
from xaicore.classifier import Classifier
from xaicore.evaluation.dataset import Truth
from xaicore.training.loop import Recipe

SEEDS = range(8)
RECIPE = Recipe(epochs=4, learning_rate=0.05, batch_size=16)
EXPLAINED = 200
"""Test flowers that are explained."""

OBJECTIVES: dict[str, Variant] = {
    **{name: VARIANTS[name] for name in ("plain", "loss 0.0075", "log-probability 0.0075")},
    "loss 0.075": aligned("loss", 0.075),
}
METHODS = ("grad-cam", "score-cam")

TOLD: dict[str, object] = {
    "images": f"{EXPLAINED} rendered flowers, test",
    "training": f"{RECIPE.epochs} passes over {FIRST_COUNT} flowers from the first step on, "
    f"batches of {RECIPE.batch_size}, peak {RECIPE.learning_rate}",
    "curves": f"{PATIENT.steps} steps, blur {PATIENT.blur}, removed: {PATIENT.removed}",
}


def learnt(name: str, seed: int) -> Classifier:
    """Return a network that learnt with an objective; it is kept on disk."""
    net = fresh(seed)
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    progress = subjects.KEPT / f"gradients.seeds.{name}.{seed}.pt"
    teach(net, RECIPE, FIRST_COUNT, seed, OBJECTIVES[name].loss, progress)
    say(f"{name}, seed {seed}: trained")
    return classifier(net)


def seeds() -> Iterator[pd.DataFrame]:
    """What objectives make of networks, their gradients and maps: a row per flower and method."""
    for seed, name in product(SEEDS, OBJECTIVES):
        table = kept(f"gradients.seeds.{name}.{seed}", partial(_measured, name, seed), None)
        yield table.assign(variant=name, network=f"flowers-first-seed{seed}")


def _measured(name: str, seed: int) -> pd.DataFrame:
    explained, (flowers, head) = learnt(name, seed), shown()
    some, truth = range(EXPLAINED), Truth(masks=head[:EXPLAINED])
    seen = flowers.images[:EXPLAINED], flowers.targets[:EXPLAINED]
    gradients = described(explained, *seen, PATIENT, truth).assign(method="saliency")
    makers = {method: EXPLAINERS[method] for method in METHODS}
    maps = explained_by(makers, explained, Subset(flowers, some), PATIENT, truth)
    return pd.concat([gradients, maps], ignore_index=True)


STUDIES: dict[str, Callable[[], Iterator[pd.DataFrame]]] = {"seeds": seeds}
