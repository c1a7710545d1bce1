"""The studies of the VEBI chapter: which features, how surely, what they do, and what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import NamedTuple

import pandas as pd
from torch import Tensor

from studies.vebi import DRAWS, HELD, TRAINING, features_of, kept, pictures
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench import TWINS, reliance
from xaibook.partbench.benchmark import SEEDS, Explain, explain
from xaicore.attribution import Edges, GradCAM, GuidedBackprop
from xaicore.classifier import Classifier
from xaicore.interpretation import (
    VEBI,
    NormalEquations,
    RelevantFeatures,
    Responses,
    ablation_curves,
    identify,
    kkt_residual,
    mu_lasso,
    mu_path,
    phase_spread,
    responses,
    stability,
)
from xaicore.metrics import (
    iou_curve,
    randomized,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    spearman,
    structural_similarity,
)

SHOWN = 340
"""Test pictures that are looked at; maps are scored where the network relies on its part."""

MOST = 10
"""How many features are silenced at most."""

MAPPED = 1
"""Random choices of channels that maps are made of, for each network."""

LAYERS: dict[str, list[str] | None] = {"all": None, "last": ["stages.2.relu2"]}
"""Where features are looked for."""

STEPS = ("fc", "stages.2", "stem")
"""What is drawn anew, from the logits down, one after the other."""

GRIDS = (2, 4, 8)
"""The periods at which maps may be printed on a grid: the strides of the network's layers."""


class Twin(NamedTuple):
    """One of the networks of the two tasks.

    Attributes:
        name: of the network, ``"stem-seed0"``.
        task: what it answers.
        classifier: the network.
    """

    name: str
    task: str
    classifier: Classifier


def twins() -> Iterator[Twin]:
    """Yield the networks of both tasks."""
    for task in TWINS:
        for seed in SEEDS:
            yield Twin(f"{task}-seed{seed}", task, flower_classifier(task, seed))


@cache
def relied(name: str) -> Tensor:
    """Return the indices of the shown pictures on which a network relies on its part alone."""
    task, seed = name.split("-seed")
    found = reliance(flower_classifier(task, int(seed)), pictures(task, "test", SHOWN))
    return found.relies.nonzero()[:, 0]


def path() -> Iterator[pd.DataFrame]:
    """What the bound on the weights does, and how exactly the lasso is solved."""
    for name, task, classifier in twins():
        seen, held = (
            NormalEquations.of(responses(classifier, pictures(task, split, count)))
            for split, count in (("train", TRAINING), ("validation", HELD))
        )
        table = mu_path(seen, held)
        residual = {mu: kkt_residual(seen, mu_lasso(seen, mu), mu) for mu in table["mu"].unique()}
        exact = [float(residual[mu][c]) for mu, c in zip(table["mu"], table["class"], strict=True)]
        yield table.assign(network=name, residual=exact)


def samples() -> Iterator[pd.DataFrame]:
    """How far the choice of features is a matter of the sample of pictures."""
    for name, task, classifier in twins():
        found = Responses.join(responses(classifier, pictures(task, "train", TRAINING)))
        features, stable = identify(found), stability(found, draws=DRAWS)
        for target in range(found.num_classes):
            rows = features.of_class(target)
            again = stable.frequency[rows, target].mean().item() if rows else float("nan")
            columns = {"network": name, "class": target, "draw": range(DRAWS)}
            columns |= {"jaccard": stable.jaccard[:, target], "features": len(rows), "again": again}
            yield pd.DataFrame(columns)


def ablated() -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield networks, layers, and what each picture becomes when channels fall silent."""
    for twin in twins():
        for layers in LAYERS:
            name = f"vebi.ablation {twin.name} {layers}"
            yield twin.name, layers, kept(name, partial(curves_of, twin, layers))


def curves_of(twin: Twin, layers: str) -> pd.DataFrame:
    """Return a network's ablation curves; of the last layer's features the ends alone."""
    _, task, classifier = twin
    chosen = LAYERS[layers]
    features = features_of(classifier, task, chosen)
    step = 1 if chosen is None else MOST
    shown = pictures(task, "test", SHOWN)
    return ablation_curves(classifier, shown, features, MOST, DRAWS, step=step)


def ablation() -> Iterator[pd.DataFrame]:
    """Relevant channels silenced one after another, and as many random ones: means by class."""
    for name, layers, table in ablated():
        keys = ["target", "features", "draw", "k"]
        means = table.groupby(keys, as_index=False)[["correct", "p"]].mean()
        yield means.assign(network=name, layers=layers)


def silenced() -> Iterator[pd.DataFrame]:
    """The same picture by picture, before and at the end; of random channels the mean."""
    for name, layers, table in ablated():
        ends = table[table["k"].isin([0, MOST])]
        keys = ["image", "features", "k"]
        means = ends.groupby(keys, as_index=False)[["correct", "p"]].mean()
        yield means.assign(network=name, layers=layers)


def scores(maps: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Return what maps find of masks, and how much they are printed on a grid."""
    spreads = {f"spread {stride}": phase_spread(maps, stride) for stride in GRIDS}
    return {
        "RMA": relevance_mass_accuracy(maps, masks),
        "RRA": relevance_rank_accuracy(maps, masks),
        "IoU-AUC": iou_curve(maps, masks).mean(1),
        **spreads,
    }


def shown(twin: Twin) -> pd.DataFrame:
    """Return the scores of maps of each picture: VEBI, its variants and controls, and others."""
    name, task, classifier = twin
    flowers, rows = pictures(task, "test", SHOWN), relied(name)
    features = features_of(classifier, task)
    methods: dict[str, Callable[[], Explain]] = {
        "vebi": lambda: VEBI(classifier, features),
        "vebi-strided": lambda: VEBI(classifier, features, smooth=False),
        "guided-backprop": lambda: GuidedBackprop(classifier),
        "grad-cam": lambda: GradCAM(classifier),
        "edges": lambda: Edges(classifier),
    }
    for draw in range(MAPPED):
        moved = features.shuffled(draw)
        methods[f"random {draw}"] = partial(VEBI, classifier, moved)
    tables = []
    for method, make in methods.items():
        maps = explain(make(), flowers, rows, 50)
        found = scores(maps, flowers.masks[task][rows])
        tables.append(pd.DataFrame({"image": rows, "method": method, **found}))
    return pd.concat(tables, ignore_index=True).assign(network=name)


def maps_of_twins() -> Iterator[pd.DataFrame]:
    """Yield the scores of maps, network by network."""
    for twin in twins():
        yield kept(f"vebi.shown {twin.name}", partial(shown, twin))


def overlap() -> Iterator[pd.DataFrame]:
    """What maps find of the part that decides, picture by picture; of random channels the mean."""
    for table in maps_of_twins():
        drawn = table["method"].str.startswith("random")
        method = table["method"].where(~drawn, "vebi-random")
        keys = ["network", "method", "image"]
        means = table.assign(method=method).groupby(keys, as_index=False, sort=False)
        yield means.mean(numeric_only=True).round(5)


def choices() -> Iterator[pd.DataFrame]:
    """The same as means over pictures, one row for each draw of random channels."""
    for table in maps_of_twins():
        means = table.groupby(["network", "method"], as_index=False, sort=False)
        yield means.mean(numeric_only=True).drop(columns="image")


def sanity() -> Iterator[pd.DataFrame]:
    """Networks whose layers are drawn anew: do the maps notice, with the old choice or a new one?

    Beside them the same network explained by random channels of the same layers. The networks are
    those of the thin part.
    """
    for twin in (twin for twin in twins() if twin.task == "stem"):
        yield kept(f"vebi.sanity {twin.name}", partial(checked, twin))


def checked(twin: Twin) -> pd.DataFrame:
    """Return how like a network's maps those of its randomised copies are."""
    name, task, classifier = twin
    flowers, rows = pictures(task, "test", SHOWN), relied(name)
    features = features_of(classifier, task)

    def maps(some: Classifier, chosen: RelevantFeatures) -> Tensor:
        return explain(VEBI(some, chosen), flowers, rows, 50)

    own, masks = maps(classifier, features), flowers.masks[task][rows]
    made = [("random channels", "old", maps(classifier, features.shuffled(0)))]
    for step, copy in randomized(classifier, STEPS):
        made.append((step, "old", maps(copy, features)))
        made.append((step, "new", maps(copy, features_of(copy, task))))
    tables = [
        pd.DataFrame(
            {
                "image": rows,
                "step": step,
                "features": features_are,
                "spearman": spearman(own, others),
                "ssim": structural_similarity(own, others),
                "RMA": relevance_mass_accuracy(others, masks),
            }
        )
        for step, features_are, others in made
    ]
    return pd.concat(tables, ignore_index=True).assign(network=name)


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "path": path,
    "samples": samples,
    "ablation": ablation,
    "silenced": silenced,
    "overlap": overlap,
    "choices": choices,
    "sanity": sanity,
}
