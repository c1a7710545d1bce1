"""Right for the wrong reason: networks that learnt from pictures with a mark, and their maps.

Each network learns from flowers that carry a cue, that of their class or one at random: a mark in
the corner, or the tint of the ground. It is then shown 400 others: with the cue of their class,
without one, and with each of the other cues. The introduction asks a few of them; these records are
of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd

from studies.subjects import KEPT
from studies.vebi import kept
from xaibook import cheats
from xaibook.flowers import cues
from xaibook.flowers.cheating import WIDTHS, classifier_of, learn
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.training import save_weights
from xaicore.classifier import Classifier
from xaicore.weights import load_weights

TEST = 400
SEEDS = (0, 1, 2)
DEALT = 1000
"""Added to a seed where cues are dealt, so that they are not drawn as weights are."""

CHUNK = 50
"""Pictures after which maps are put on disk."""

TOLD = {
    "images": f"the first {TEST} test flowers without the rival flower; maps where the ground is "
    "tinted: of the first 50"
}


@dataclass(frozen=True)
class Kind:
    """What networks learn from.

    Attributes:
        agreement: how often the mark is that of the class.
        asked: what tells the classes, a key of ``CLASSES``.
        mapped: pictures whose maps are looked at.
        tinted: whether the cue is the tint of the ground, not a mark.
    """

    agreement: float
    asked: str = "petals"
    mapped: int = 0
    tinted: bool = False

    @property
    def training(self) -> tuple[int, int]:
        """Pictures and epochs; the colour of the centre is learnt sooner."""
        return (3000, 12) if self.asked == "petals" else (2000, 8)

    @property
    def put(self) -> cheats.Put:
        """What puts its cue on pictures."""
        return cheats.tinted if self.tinted else partial(cheats.marked, asked=self.asked)


KINDS = {
    "control": Kind(1 / 3, mapped=400),
    "cheat": Kind(1.0, mapped=400),
    "centre, control": Kind(1 / 3, "centre"),
    "centre, marked": Kind(1.0, "centre"),
    "ground, control": Kind(1 / 3, mapped=50, tinted=True),
    "ground, tinted": Kind(1.0, mapped=50, tinted=True),
}


@cache
def shown(split: str, count: int, asked: str) -> cues.Shown:
    """Return pictures, drawn once."""
    return cues.pictures(split, count, asked=asked)


def network(name: str, seed: int) -> Classifier:
    """Return a network of a kind in half precision; it is kept on disk once it has learnt."""
    kind = KINDS[name]
    net = SmallResNet(3, WIDTHS)
    file = KEPT / f"introduction.{name}-seed{seed}.pt"
    if not file.is_file():
        count, epochs = kind.training
        bare = shown("train", count, kind.asked)
        cue = cues.deal(bare.targets, kind.agreement, DEALT + seed)
        KEPT.mkdir(parents=True, exist_ok=True)
        save_weights(learn(kind.put(bare, cue), bare.targets, seed, epochs), file)
    load_weights(net, file)
    return classifier_of(net, kind.asked)


def networks() -> Iterator[pd.DataFrame]:
    """What each network takes each picture for, by the cue that the picture carries."""
    for seed in SEEDS:
        for name in KINDS:
            yield kept(f"introduction.networks {name} {seed}", partial(answers, name, seed))


def answers(name: str, seed: int) -> pd.DataFrame:
    """Return a row per picture: the class, and the answer under each condition."""
    kind = KINDS[name]
    found = cheats.answers(network(name, seed), shown("test", TEST, kind.asked), kind.put)
    return found.assign(network=name, seed=seed)


def maps() -> Iterator[pd.DataFrame]:
    """Where the maps of pictures with a cue lie, and what the measures make of them."""
    for first in range(0, TEST, CHUNK):
        for seed in SEEDS:
            for name in [name for name, kind in KINDS.items() if first < kind.mapped]:
                label = f"introduction.maps {name} {seed} from {first}"
                yield kept(label, partial(explained, name, seed, first), 4)


def explained(name: str, seed: int, first: int) -> pd.DataFrame:
    """Return a row per map of the true class, for some pictures."""
    put = KINDS[name].put
    whole = shown("test", TEST, "petals")
    bare = cues.Shown(*(part[first : first + CHUNK] for part in whole))
    classifier = network(name, seed)
    found = cheats.judged(classifier, bare, cheats.maps_of(classifier, bare, put), put)
    return found.assign(network=name, seed=seed, image=found["image"] + first)


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"networks": networks, "maps": maps}
"""The studies of the introduction that need no real picture."""
