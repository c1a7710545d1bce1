"""The studies of the part-mask benchmark: what networks rely on, and where all methods point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import pandas as pd

from studies.subjects import KEPT, say
from xaicore.attribution import METHODS, Explainer
from xaicore.attribution.interpretation import (
    VEBI,
    RelevantFeatures,
    identify,
    responses,
)
from xaicore.classifier import Classifier
from xaicore.data.flowers import Flowers
from xaicore.files import replacing
from xaicore.models.flowers import flower_classifier
from xaicore.partbench import TWINS, PartBenchmark, intervene, protocol, reliance
from xaicore.partbench.benchmark import SEEDS

Make = Callable[..., Explainer]

TRAINING = 1500
"""Training pictures that features are identified on."""

TEST, HELD = 500, 200
"""Pictures that are scored, and those that thresholds are chosen on."""

DRAWS = 20
"""Random choices of channels that relevant ones are compared with."""

SLOW: dict[str, dict[str, float]] = {"rise": {"masks": 1000}}
"""Settings that the pictures' size allows to be smaller than the papers'."""

ATTENTION = {"raw-attention", "rollout", "tibav"}


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
    plain: dict[str, Make] = {n: m for n, m in METHODS.items() if n not in ATTENTION}
    return known | {name: partial(m, **SLOW.get(name, {})) for name, m in plain.items()}


def networks() -> Iterator[pd.DataFrame]:
    """Accuracy of each network, and what it does when parts are repainted or gone."""
    for task in TWINS:
        flowers = Flowers(task, "test", TEST)
        for seed in SEEDS:
            found = reliance(flower_classifier(task, seed), flowers)
            columns = {**found._asdict(), "relies": found.relies}
            yield pd.DataFrame({"task": task, "seed": seed, "image": range(TEST), **columns})


def benchmark() -> Iterator[pd.DataFrame]:
    """Every method on the pictures whose labels two networks read from two parts."""
    prepared: list[PartBenchmark] = []

    def ready() -> PartBenchmark:
        if not prepared:
            prepared.append(PartBenchmark(SEEDS, TEST, HELD))
        return prepared[0]

    yield kept("vebi.benchmark bounds", lambda: ready().bounds())

    def score(name: str, method: Make) -> pd.DataFrame:
        return ready().score(name, method)

    for name, method in methods(TWINS[0]).items():
        yield kept(f"vebi.benchmark {name}", partial(score, name, method))


def interventions() -> Iterator[pd.DataFrame]:
    """Every method against the removal of every part and object."""
    for seed in SEEDS:
        classifier = flower_classifier("variety", seed)
        test, held = (
            intervene(classifier, Flowers("variety", split, n))
            for split, n in (("test", TEST), ("validation", HELD))
        )
        for name, method in methods("variety").items():
            records = protocol(method(classifier), test, held)
            yield records.assign(
                method=name,
                seed=seed,
                accuracy=test.accuracy,
                threshold=records.attrs["threshold"],
                background_independence=test.background_independence,
            )


def kept(name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return a table from disk, or make it and put it there: a run that stopped goes on."""
    path = KEPT / f"{name}.csv.gz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = make()
        with replacing(path) as file:
            table.to_csv(file, index=False, compression="gzip")
        say(f"{name}: {len(table)} rows")
    return pd.read_csv(path)


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "networks": networks,
    "benchmark": benchmark,
    "interventions": interventions,
}
