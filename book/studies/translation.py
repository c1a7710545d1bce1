"""What each loss of the translation of shapes does, scored against the pictures it should make."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

import pandas as pd
import torch
from torch import Tensor, nn

from studies.benchmark import SEEDS
from studies.subjects import KEPT
from studies.vebi import kept
from xaibook.flowers.training import save_weights
from xaibook.translation import load_judge, scenes
from xaibook.translation.conflict import by_shape, shape_classifier, warm
from xaibook.translation.model import VAE, Pair
from xaibook.translation.probes import (
    GROUPS,
    STYLE,
    Coded,
    Mover,
    along,
    directions,
    disentanglement,
)
from xaibook.translation.scenes import DOMAINS, Pictures
from xaibook.translation.scoring import Task, explained, floors, mean_in, round_trip, spread, tasks
from xaibook.translation.trained import WEIGHTS
from xaibook.translation.training import Batch, Weights, learn_to_translate, pretrain
from xaicore.files import write_tensors

FULL = Weights()


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        weights: of the losses of step 3; None: it is left out.
        start: of the second VAE.
    """

    weights: Weights | None = FULL
    start: str = "warm"


VARIANTS = {
    "full": Variant(),
    "no GAN": Variant(replace(FULL, gan=0)),
    "no similarity": Variant(replace(FULL, similarity=0)),
    "no cycle": Variant(replace(FULL, cycle=0)),
    "before step 3": Variant(None),
    "independent": Variant(start="independent"),
    "independent, no similarity": Variant(replace(FULL, similarity=0), "independent"),
    "independent, before step 3": Variant(None, "independent"),
}
"""The rows of the main table that are trained."""

TRADE = (0.0, 0.5, 2.0, 5.0)
"""Weights of the similarity loss."""

MEASURED = ["outline", "shape", "colour", "rest", "cycle", "R2", "spread"]
"""What is stored of the scores; the last two are of all pictures together."""

EVERY = 20
"""Steps between two pictures of step 3."""

SHOWN = slice(0, 8)
"""The test flowers whose translations are stored."""


@cache
def training() -> tuple[Pictures, Pictures]:
    """Return the training pictures of both domains."""
    return scenes.training(DOMAINS[0]), scenes.training(DOMAINS[1])


@cache
def shown() -> tuple[Pictures, Pictures]:
    """Return the test pictures of both domains: the same flowers."""
    return scenes.paired(DOMAINS[0]), scenes.paired(DOMAINS[1])


def trained(variant: Variant, seed: int) -> Pair:
    """Return the pair of a variant; what was trained before is read from disk."""
    a, b = (some.images for some in training())
    folder = KEPT / f"translation {seed}"
    folder.mkdir(parents=True, exist_ok=True)
    pair = pretrain(a, b, variant.start, seed, folder=folder)
    if variant.weights is None:
        return pair
    losses = "-".join(str(value) for value in vars(variant.weights).values())
    return learn_to_translate(
        pair, a, b, variant.weights, seed, checkpoint=folder / f"step3-{variant.start}-{losses}.pt"
    )


def scored(task: Task, images: Tensor, cycle: Tensor | None = None) -> pd.DataFrame:
    """Return a row per picture with what ``Task.score`` says of it."""
    table = pd.DataFrame({name: values.numpy() for name, values in task.score(images).items()})
    return table.assign(
        image=range(len(table)), cycle=torch.nan if cycle is None else cycle.numpy()
    )


def told(
    images: Tensor, task: Task, direction: str, seed: int, variant: str, cycle: Tensor | None = None
) -> pd.DataFrame:
    """Return the scores of pictures, and what they are."""
    table = scored(task, images, cycle)
    similar = spread(images, task.answer.images)
    named = {"network": f"{direction}-seed{seed}", "variant": variant, "spread": similar}
    return table.assign(**named)


def both_ways(pair: Pair, seed: int, variant: str) -> pd.DataFrame:
    """Score a pair in both directions."""
    parts = []
    for direction, task in tasks(*shown(), load_judge()).items():
        images = task.source.images
        made = pair.forth(images) if direction == "forth" else pair.back(images)
        cycle = round_trip(pair, images, direction)
        parts.append(told(made, task, direction, seed, variant, cycle))
    return pd.concat(parts)


def bounds(seed: int) -> pd.DataFrame:
    """Score what no translation should be worse than, and what none can be better than."""
    warm = trained(VARIANTS["before step 3"], seed)
    parts = []
    for direction, task in tasks(*shown(), load_judge()).items():
        forth = direction == "forth"
        own, other = (warm.a, warm.b) if forth else (warm.b, warm.a)
        rows = floors(task, training()[1 if forth else 0].images)
        rows |= {"answer": task.answer.images, "VAE of the answer": again(other, task.answer)}
        rows |= {"VAE of the source": again(own, task.source)}
        parts += [told(images, task, direction, seed, name) for name, images in rows.items()]
    return pd.concat(parts)


@torch.inference_mode()
def again(vae: VAE, some: Pictures) -> Tensor:
    """Return pictures encoded and decoded by the VAE of their own domain."""
    decoded: Tensor = vae.decoder(vae.encode(some.images))
    return decoded


def scores() -> Iterator[pd.DataFrame]:
    """Every variant, floor and ceiling, picture by picture, in both directions."""
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            make = partial(scored_variant, variant, seed, name)
            yield shortened(kept(f"translation.scores {name} {seed}", make))
        bound = kept(f"translation.scores bounds {seed}", partial(bounds, seed))
        yield from (shortened(own) for _, own in bound.groupby(["network", "variant"], sort=False))


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """Return what is stored of scores: to three decimals, and R² in the place of the deviation."""
    parts = []
    for _, own in table.groupby("network", sort=False):
        colour, deviation = (torch.tensor(own[name].to_numpy()) for name in ("colour", "deviation"))
        parts.append(own.assign(R2=round(explained(colour, deviation), 4)))
    return pd.concat(parts)[["network", "variant", "image", *MEASURED]].round(3)


def scored_variant(variant: Variant, seed: int, name: str) -> pd.DataFrame:
    """Train a variant and score it."""
    return both_ways(trained(variant, seed), seed, name)


def trade() -> Iterator[pd.DataFrame]:
    """Shape against colour over the weight of the similarity loss."""
    for weight in TRADE:
        name = f"{weight:g}"
        make = partial(scored_variant, _trade(weight), 0, name)
        yield shortened(kept(f"translation.trade {name}", make))


def _trade(similarity: float) -> Variant:
    return Variant(replace(FULL, similarity=similarity))


def codes() -> Iterator[pd.DataFrame]:
    """What is read of the codes, and what moving them does, before and after step 3."""
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            yield kept(f"translation.codes {name} {seed}", partial(probed, variant, seed, name))


def probed(variant: Variant, seed: int, name: str) -> pd.DataFrame:
    """Return a row per measurement of the codes of a variant."""
    pair = trained(variant, seed)
    coded = Coded.of(pair, training(), shown())
    found: dict[str, float] = {}
    for group, (own, other) in coded.read().items():
        found |= {f"own: {group}": own, f"other: {group}": other}
    found |= {"domain": coded.domain(), "partner": coded.partner()}
    importance = coded.importance()
    found["disentanglement"] = disentanglement(importance)
    mover = Mover(pair.a, load_judge(), coded.test_codes[0], shown()[0].petals)
    style = importance[:, :3].sum(1) / importance.sum(1)
    order = style.argsort(descending=True)
    moves = {f"axes {k}": mover.swapped(order, k) for k in range(0, len(order) + 1, 4)}
    known, ways = coded.test_known[0], directions(coded.codes[0], coded.known[0])
    for label, columns in (("colours", STYLE), ("petals' colour", GROUPS["petals' colour"])):
        moves[label] = along(mover.codes, known, known.roll(1, 0), ways, columns)
    for label, changed in moves.items():
        moved = mover.measure(changed)._asdict()
        found |= {f"{label}: {what}": value for what, value in moved.items()}
    return pd.DataFrame({"what": list(found), "value": list(found.values())}).assign(
        variant=name, seed=seed
    )


def apart() -> tuple[Pictures, Pictures]:
    """Return the round flowers with warm petals and the pointed ones with cool petals."""
    a, b = training()
    return a.take(warm(a)), b.take(~warm(b))


def confounded() -> Iterator[pd.DataFrame]:
    """What is translated where the domains differ in colour as well as in shape."""
    yield kept("translation.confounded", _confounded, 4)


def _confounded() -> pd.DataFrame:
    a, b = apart()
    count = min(len(a.images), len(b.images))
    images = a.images[:count], b.images[:count]
    folder = KEPT / "translation confounded"
    folder.mkdir(parents=True, exist_ok=True)
    pair = learn_to_translate(pretrain(*images, folder=folder), *images)
    first, second = shown()
    chosen = warm(first)
    task = Task(first.take(chosen), second.take(chosen), True, load_judge())
    parts = []
    for name, translator in (("balanced", trained(VARIANTS["full"], 0)), ("confounded", pair)):
        made = translator.forth(task.source.images)
        colour = mean_in(made, task.source.petals == 1)
        still = (colour[:, 0] > colour[:, 2]).float().numpy()
        parts.append(scored(task, made).assign(variant=name, warm=still))
    return pd.concat(parts)


def conflict() -> Iterator[pd.DataFrame]:
    """How often a classifier decides by shape where colour says otherwise, by what it learnt on."""
    for seed in SEEDS:
        yield kept(f"translation.conflict {seed}", partial(_conflict, seed))


def _conflict(seed: int) -> pd.DataFrame:
    a, b = apart()
    pair = trained(VARIANTS["full"], 0)
    copies = pair.forth(a.images), pair.back(b.images)
    every = tuple(some.images[: len(a.images)] for some in training())
    sets = {
        "cues agree": ((a.images, b.images), (0, 1)),
        "colour says nothing": (every, (0, 1)),
        "with translations": ((a.images, b.images, *copies), (0, 1, 1, 0)),
    }
    parts = []
    for name, (images, domains) in sets.items():
        labels = torch.cat([torch.full((len(x),), y) for x, y in zip(images, domains, strict=True)])
        classifier = shape_classifier(torch.cat(images), labels, seed)
        if seed == 0 and name in STORED:
            save_weights(classifier.net, WEIGHTS / f"translation-{STORED[name]}.pt")
        for domain, some in enumerate(shown()):
            agrees = warm(some) == (domain == 0)
            right = by_shape(classifier, some.images, domain)
            columns = {"image": range(len(right)), "agrees": agrees.int(), "shape": right.int()}
            parts.append(pd.DataFrame(columns).assign(domain=domain, trained=name, seed=seed))
    return pd.concat(parts)


def steps() -> Iterator[pd.DataFrame]:
    """The losses along step 3; stores the pair that the book shows, and what all variants make."""
    yield kept("translation.steps", _steps, 4)


def _steps() -> pd.DataFrame:
    count = itertools.count()
    rows: list[dict[str, float]] = []
    frames: list[Tensor] = []
    sources, others = (some.images[SHOWN] for some in shown())

    class Watched(Weights):
        def __call__(self, net: nn.Module, batch: Batch, targets: Tensor) -> Tensor:
            step = next(count)
            if step % EVERY == 0:
                frames.append(net.pair.forth(sources))  # type: ignore[union-attr, operator]
                with torch.no_grad():
                    terms = {name: term.item() for name, term in net(batch).items()}
                rows.append({"step": step, **terms})
            return super().__call__(net, batch, targets)

    pair, a, b = trained(VARIANTS["before step 3"], 0), *(some.images for some in training())
    learn_to_translate(pair, a, b, Watched())
    save_weights(pair, WEIGHTS / "translation.pt")
    pictures = {"steps": torch.stack([*frames, pair.forth(sources)])}
    for weight in TRADE:
        pictures[f"similarity {weight:g}"] = trained(_trade(weight), 0).forth(sources)
    for name, variant in VARIANTS.items():
        some = trained(variant, 0)
        pictures |= {f"{name}: forth": some.forth(sources), f"{name}: back": some.back(others)}
    stored = {name: eight_bits(x) for name, x in pictures.items()}
    write_tensors(WEIGHTS / "translation-pictures.pt", stored)
    return pd.DataFrame(rows)


def eight_bits(images: Tensor) -> Tensor:
    """Return pixels in [0, 1] as integers in [0, 255]."""
    return (255 * images).round().to(torch.uint8).contiguous()


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "scores": scores,
    "trade": trade,
    "codes": codes,
    "confounded": confounded,
    "conflict": conflict,
    "steps": steps,
}

STORED = {"cues agree": "colour", "with translations": "shape"}
"""The classifiers that the book shows, by what they learnt on: the cue that they decide by."""

PAIRED = f"{scenes.PAIRS} rendered flowers in both domains, test"
IMAGES = dict.fromkeys([*STUDIES, "further"], PAIRED) | {
    "shape_bias": "pictures of Geirhos et al., shape and texture of two categories",
    "silhouettes": "400 threes and 400 eights of MNIST, test; 20 sneakers and 20 boots of "
    "Fashion-MNIST, each in ten pairs of colours",
}
"""What the studies look at, those of other files too."""
