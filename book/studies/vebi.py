"""The studies of the part-mask benchmark: what networks rely on, and where all methods point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import pandas as pd
import torch
from torch import Tensor

from studies.benchmark import FLOWERS, LEARNED
from studies.subjects import KEPT, say
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench import (
    TWINS,
    Interventions,
    PartBenchmark,
    intervene,
    protocol,
    reliance,
    repainted,
)
from xaibook.partbench.benchmark import SEEDS
from xaicore.attribution import METHODS, Centre, Colour, Edges, Explainer, Noise
from xaicore.classifier import Classifier
from xaicore.files import replacing
from xaicore.interpretation import (
    VEBI,
    RelevantFeatures,
    identify,
    responses,
)

Make = Callable[..., Explainer]

TRAINING = 1500
"""Training pictures that features are identified on."""

TEST = 500
"""Pictures on which networks and their channels are looked at."""

SHOWN, HELD = 600, 150
"""Pictures of the benchmark, of which those count on which networks rely on their part, and
pictures that thresholds are chosen on."""

ASKED, HELD_TO_ASK = 660, 150
"""The same for interventions, a third of them for each network; those count that it gets right."""

DRAWS = 20
"""Random choices of channels that relevant ones are compared with."""

SETTINGS = FLOWERS | LEARNED
"""Methods with the settings that the book explains flowers with, reduced where papers take more."""

EVERY = {
    "opti-cam": 3,
    "score-cam": 3,
    "occlusion": 3,
    "integrated-gradients": 3,
    "smoothgrad": 3,
    "gradient-shap": 3,
    "rise": 5,
    "extremal-perturbation": 20,
}
"""Methods of many passes: for each network they explain one picture in so many, another one for
each seed."""

ASKED_EVERY = dict.fromkeys(EVERY, 2) | {"extremal-perturbation": 12}
"""The same for interventions, where each network has pictures of its own already."""

TOLD: dict[str, dict[str, object]] = {
    study: {
        "images": f"the first {count} test flowers, those {which}; thresholds from {held} others",
        "settings": {n: m.keywords for n, m in SETTINGS.items() if isinstance(m, partial)},
        "every": every,
    }
    for study, count, held, which, every in (
        ("benchmark", SHOWN, HELD, "on which the networks rely on their part alone", EVERY),
        ("interventions", ASKED, HELD_TO_ASK, "that the network gets right", ASKED_EVERY),
    )
}
"""What is to be said of records: their pictures, settings, and the shares that are explained."""

ATTENTION = {name for name, method in METHODS.items() if method.family == "attention"}
FLOORS: dict[str, Make] = {floor.name: floor for floor in (Noise, Centre, Edges, Colour)}
"""What stands beside the methods: the part-mask benchmark draws them itself."""


@cache
def pictures(task: str, split: str, count: int) -> Flowers:
    """Return the first pictures of a split, rendered once."""
    return Flowers(task, split, count)


def features_of(
    classifier: Classifier, task: str, layers: Sequence[str] | None = None
) -> RelevantFeatures:
    """Identify the relevant features of a network on training pictures of its task."""
    return identify(responses(classifier, pictures(task, "train", TRAINING), layers))


def vebi(classifier: Classifier, task: str, control: int | None = None, **options: bool) -> VEBI:
    """Make VEBI ready for a network; ``control`` is the seed of random channels in its place."""
    features = features_of(classifier, task)
    return VEBI(classifier, features if control is None else features.shuffled(control), **options)


def methods(task: str) -> dict[str, Make]:
    """Return every method that explains a convolutional network, VEBI and its variants.

    VEBI is fitted to pictures of a task; those of the twins are the same, and the labels predicted.
    """
    known: dict[str, Make] = {
        "vebi": partial(vebi, task=task),
        "vebi-strided": partial(vebi, task=task, smooth=False),
        "vebi-random": partial(vebi, task=task, control=0),
    }
    plain: dict[str, Make] = {n: m for n, m in METHODS.items() if n not in ATTENTION | {*FLOORS}}
    return known | {name: SETTINGS.get(name, method) for name, method in plain.items()}


def networks() -> Iterator[pd.DataFrame]:
    """Accuracy of each network, and what it does when parts are repainted or gone."""
    for task in TWINS:
        shown = repainted(Flowers(task, "test", TEST))
        for seed in SEEDS:
            found = reliance(flower_classifier(task, seed), shown)
            columns = {**found._asdict(), "relies": found.relies}
            yield pd.DataFrame({"task": task, "seed": seed, "image": range(TEST), **columns})


def benchmark() -> Iterator[pd.DataFrame]:
    """Every method on the pictures whose labels two networks read from two parts."""
    bounds = kept("vebi.benchmark bounds", lambda: PartBenchmark(SEEDS, SHOWN, HELD).bounds())
    yield bounds

    @cache
    def ready() -> PartBenchmark:
        counting = bounds.groupby("seed")["image"].unique()
        rows = {seed: torch.from_numpy(own) for seed, own in counting.items()}
        return PartBenchmark(SEEDS, SHOWN, HELD, kept=rows)

    def score(name: str, method: Make, every: int) -> pd.DataFrame:
        return ready().score(name, method, every)

    for name, method in in_turn(methods(TWINS[0])):
        every = EVERY.get(name, 1)
        yield kept(f"vebi.benchmark {labelled(name, every)}", partial(score, name, method, every))


class Removals(Explainer):
    """Gives each part, evenly over its pixels, what its removal costs the class: the ceiling."""

    cost = "all interventions"

    def __init__(self, classifier: Classifier, *asked: Interventions) -> None:
        super().__init__(classifier)
        self.known = {
            image.numpy().tobytes(): (some.parts[i], some.logits[i])
            for some in asked
            for i, image in enumerate(some.images)
        }

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        assert targets is not None
        maps = []
        for image, target in zip(images, targets.tolist(), strict=True):
            parts, logits = self.known[image.numpy().tobytes()]
            alone = logits[[2**p for p in range(len(parts))], target]
            even = parts / parts.sum((1, 2), keepdim=True).clamp_min(1)
            maps.append(((logits[0, target] - alone)[:, None, None] * even).sum(0, keepdim=True))
        return torch.stack(maps)


def interventions() -> Iterator[pd.DataFrame]:
    """Every method against the removal of every part and object."""

    @cache
    def asked(place: int) -> tuple[Interventions, Interventions]:
        classifier = flower_classifier("variety", SEEDS[place])
        test = intervene(classifier, pictures("variety", "test", ASKED), len(SEEDS), place)
        return test, intervene(
            classifier, pictures("variety", "validation", HELD_TO_ASK), len(SEEDS), place
        )

    def score(name: str, method: Make, place: int) -> pd.DataFrame:
        every = ASKED_EVERY.get(name, 1)
        test, held = (some.every(every) for some in asked(place))
        known = (test, held) if name == "removals" else ()
        records = protocol(method(test.classifier, *known), test, held)
        return records.assign(
            method=name,
            seed=SEEDS[place],
            accuracy=test.accuracy,
            threshold=records.attrs["threshold"],
            background_independence=asked(place)[0].background_independence,
        )

    every = {**FLOORS, "removals": Removals, **methods("variety")}
    for name, method in in_turn(every):
        for place, seed in enumerate(SEEDS):
            made = partial(score, name, method, place)
            label = labelled(name, ASKED_EVERY.get(name, 1))
            yield kept(f"vebi.interventions {label} {seed}", made)


def labelled(name: str, every: int) -> str:
    """Return how the pieces of a method are called on disk."""
    return name if every == 1 else f"{name} one in {every}"


def in_turn(known: Mapping[str, Make]) -> list[tuple[str, Make]]:
    """Return methods with the costly last."""
    return sorted(known.items(), key=lambda item: EVERY.get(item[0], 1))


def kept(name: str, make: Callable[[], pd.DataFrame], decimals: int | None = 5) -> pd.DataFrame:
    """Return a table from disk, or make it and put it there: a run that stopped goes on.

    Values are returned to five decimals: the stored tables are half as large. ``None`` keeps all.
    """
    path = KEPT / f"{name}.csv.gz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = make()
        with replacing(path) as file:
            table.to_csv(file, index=False, compression="gzip")
        say(f"{name}: {len(table)} rows")
    table = pd.read_csv(path)
    return table if decimals is None else table.round(decimals)


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "networks": networks,
    "benchmark": benchmark,
    "interventions": interventions,
}
