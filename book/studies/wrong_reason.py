"""Right for the wrong reason: networks that learnt from pictures with a mark, and their maps.

Each network learns from flowers that carry a mark, that of their class or one at random. It is then
shown 400 others: with the mark of their class, without one, and with each of the other marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd
import torch
from torch import Tensor

import xaicore as xc
from studies.subjects import KEPT
from studies.vebi import kept
from xaibook.flowers import cues
from xaibook.flowers.cheating import WIDTHS, classifier_of, learn
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.training import save_weights
from xaicore.classifier import Classifier
from xaicore.metrics import (
    CausalProtocol,
    auc,
    average_drop,
    average_gain,
    average_increase,
    causal_curves,
    confidence,
    curve_ends,
    relevance_mass_accuracy,
)
from xaicore.weights import load_weights

TEST = 400
SEEDS = (0, 1, 2)
RANDOM = 1 / 3
DEALT = 1000
"""Added to a seed where cues are dealt, so that they are not drawn as weights are."""

CURVES = CausalProtocol(steps=10, removed="mean")
"""Insertion from a blurred picture, deletion to the mean one, in few steps."""

BATCH = 100
CORNER = 16
"""Pixels; a peak this near the corner is on the mark, as a map of 8x8 has it."""


@dataclass(frozen=True)
class Kind:
    """What networks learn from.

    Attributes:
        agreement: how often the mark is that of the class.
        asked: what tells the classes, a key of ``CLASSES``.
    """

    agreement: float
    asked: str = "petals"

    @property
    def training(self) -> tuple[int, int]:
        """Pictures and epochs; the colour of the centre is learnt sooner."""
        return (3000, 12) if self.asked == "petals" else (2000, 8)

    def put(self, shown: cues.Shown, cue: Tensor) -> Tensor:
        """Return pictures with cues."""
        return cues.mark(shown.images, cue, cues.MARKS[self.asked])


KINDS = {
    "control": Kind(RANDOM),
    "mark 100 %": Kind(1.0),
    "centre, control": Kind(RANDOM, "centre"),
    "centre, mark 100 %": Kind(1.0, "centre"),
}
EXPLAINED = ("control", "mark 100 %")
MAPPED = 100
"""Test pictures of which there are maps."""


METHODS: Mapping[str, Callable[[Classifier], xc.Explainer]] = {
    "grad-cam": xc.GradCAM,
    "layer-cam": xc.LayerCAM,
    "opti-cam": partial(xc.OptiCAM, preset="fast"),
    "integrated-gradients": partial(xc.IntegratedGradients, steps=20, batch_size=50),
    "guided-backprop": xc.GuidedBackprop,
    "rise": partial(xc.RISE, masks=300, batch_size=100),
    "occlusion": partial(xc.Occlusion, window=10, stride=5, batch_size=144),
}


@cache
def shown(split: str, count: int, asked: str) -> cues.Shown:
    """Return pictures, drawn once."""
    return cues.pictures(split, count, asked=asked)


def network(name: str, seed: int) -> Classifier:
    """Return a network of a kind in half precision; it is kept on disk once it has learnt."""
    kind = KINDS[name]
    net = SmallResNet(3, WIDTHS)
    file = KEPT / f"introduction {name} {seed}.pt".replace(" %", "").replace(",", "")
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
    bare = shown("test", TEST, kind.asked)
    classifier = network(name, seed)
    with torch.inference_mode():
        columns = {
            condition: classifier(kind.put(bare, cue)).argmax(1).numpy()
            for condition, cue in conditions(bare.targets).items()
        }
    table = pd.DataFrame({"image": range(TEST), "target": bare.targets.numpy(), **columns})
    return table.assign(network=name, seed=seed)


def conditions(targets: Tensor) -> dict[str, Tensor]:
    """Return the cues of each condition: of the class, none, and of the one and the other class."""
    none = torch.full_like(targets, cues.NO_CUE)
    turned = {f"exchanged {step}": (targets + step) % 3 for step in (1, 2)}
    return {"agrees": targets, "absent": none, **turned}


def maps() -> Iterator[pd.DataFrame]:
    """Where the maps of marked pictures lie, and what the measures make of them."""
    for first in range(0, MAPPED, BATCH):
        for seed in SEEDS:
            for name in EXPLAINED:
                label = f"introduction.maps {name} {seed} from {first}"
                yield kept(label, partial(explained, name, seed, first), 4)


def explained(name: str, seed: int, first: int) -> pd.DataFrame:
    """Return a row per map of the true class, those of two masks among them."""
    whole = shown("test", TEST, "petals")
    bare = cues.Shown(*(part[first : first + BATCH] for part in whole))
    classifier = network(name, seed)
    marked = cues.mark(bare.images, bare.targets)
    masks = {"flower": bare.flower, "mark": cues.mark_mask().expand_as(bare.flower).contiguous()}
    made = {method: make(classifier)(marked, bare.targets) for method, make in METHODS.items()}
    made |= {f"mask of the {what}": mask for what, mask in masks.items()}
    made["everything"] = torch.ones_like(bare.flower)
    odds = partial(log_odds, classifier, targets=bare.targets)
    lost = (odds(marked) - odds(bare.images)).numpy()
    parts = [
        judged(classifier, marked, bare.targets, each, masks).assign(method=method, lost=lost)
        for method, each in made.items()
    ]
    table = pd.concat(parts).assign(network=name, seed=seed)
    return table.assign(image=table["image"] + first)


def judged(
    classifier: Classifier, images: Tensor, targets: Tensor, each: Tensor, masks: dict[str, Tensor]
) -> pd.DataFrame:
    """Return what the measures say of each map, in per cent, and what of it lies where."""
    p, o = confidence(classifier, images, each, targets)
    ends = curve_ends(classifier, images, targets, CURVES, BATCH)
    curves = causal_curves(classifier, images, each, ends, BATCH)
    peak = each.flatten(1).argmax(1)
    row, column = peak // each.shape[-1], peak % each.shape[-1]
    columns = {
        "AD": average_drop(p, o),
        "AG": average_gain(p, o),
        "AI": average_increase(p, o),
        "insertion": auc(curves.insertion),
        "deletion": auc(curves.deletion),
        "peak": ((row < CORNER) & (column < CORNER)).float(),
        **{what: relevance_mass_accuracy(each, mask) for what, mask in masks.items()},
    }
    table = pd.DataFrame({key: 100 * values.double().numpy() for key, values in columns.items()})
    return table.assign(image=range(len(table)), target=targets.numpy())


@torch.inference_mode()
def log_odds(classifier: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Return the log-odds of the targets, exact where the probability is nearly 1, ``(N,)``."""
    logits = classifier(images).double()
    own = logits.gather(1, targets[:, None])
    rest = logits.scatter(1, targets[:, None], float("-inf")).logsumexp(1, keepdim=True)
    return (own - rest)[:, 0]


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"networks": networks, "maps": maps}
"""The studies of the introduction that need no real picture."""

TOLD = {"images": f"the first {TEST} test flowers, without the rival flower"}
