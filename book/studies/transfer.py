"""Whose evidence is a map? Maps of one network, judged by networks that did not make them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from studies import subjects
from studies.opti_cam import LAYERS, QUICK, STEADY, Factory, explained, ranked
from studies.scoring import batches, saliency
from studies.subjects import LITE, VIT, Subject, flowers, photographs, real_images, say
from xaicore import attribution as methods
from xaicore.attribution.capture import Capture
from xaicore.classifier import Classifier
from xaicore.files import replacing
from xaicore.masking import mask
from xaicore.metrics import randomized

SEEDS = (0, 1, 2)
FLOWERS, PHOTOGRAPHS = 300, 100
"""Images that are judged."""

OPTIMISED: Mapping[str, Factory] = {
    "resnet18": QUICK["opti-cam"],
    "squeezenet1_0": QUICK["opti-cam"],
    "mobilenet_v2": STEADY,
    LITE: STEADY,
    VIT: STEADY,
}
"""Opti-CAM on photographs, in the fast preset: where other studies keep such maps, theirs."""

GROUPS = (4, 16, 64)
"""Unknowns of Opti-CAM between one and one for each channel."""


class Pooled(methods.OptiCAM):
    """Opti-CAM whose channels share weights: in groups drawn at random, each one unknown.

    Args:
        classifier: the classifier to explain.
        groups: the number of unknowns.
        preset: as for Opti-CAM.
    """

    def __init__(self, classifier: Classifier, groups: int, preset: str = "paper") -> None:
        super().__init__(classifier, preset=preset)
        self.groups = groups

    def _map(self, captured: Capture) -> Tensor:
        return super()._map(replace(captured, leaf=pooled(captured.features, self.groups)))


def pooled(features: Tensor, groups: int) -> Tensor:
    """Return the mean of feature maps ``(B, K, h, w)`` in random groups of about one size."""
    order = torch.randperm(features.shape[1], generator=torch.Generator().manual_seed(0))
    return torch.stack([features[:, of].mean(1) for of in order.tensor_split(groups)], 1)


def on_photographs() -> list[Subject]:
    """Return networks that learnt the same classes of photographs, and photographs."""
    return [photographs(network, real_images(), PHOTOGRAPHS) for network in OPTIMISED]


def on_flowers() -> list[Subject]:
    """Return networks that differ in the seed of their training alone, and flowers."""
    return [flowers(seed, FLOWERS) for seed in SEEDS]


def judged() -> Iterator[pd.DataFrame]:
    """A row per (image, map, judge): the true class's probability on the image and masked."""
    yield from _judged(on_flowers(), dear={"score-cam": methods.ScoreCAM})
    yield from _judged(on_photographs())


def _judged(
    shown: Sequence[Subject], dear: Mapping[str, Factory] | None = None
) -> Iterator[pd.DataFrame]:
    whole = {judge.name: probabilities(judge, "whole") for judge in shown}
    for maker in [*shown, None]:
        for method, maps in (
            floors(shown[0]) if maker is None else made(maker, dear or {})
        ).items():
            name = "" if maker is None else maker.name
            for judge in shown:
                p = whole[judge.name]
                o = probabilities(judge, f"{name} {method}", maps)
                labels = {"network": name, "judge": judge.name, "method": method}
                yield pd.DataFrame({**labels, "image": range(len(p)), "p": p, "o": o})


def made(maker: Subject, dear: Mapping[str, Factory]) -> dict[str, Tensor]:
    """Return the maps that a network makes, and those of the next image as "another's"."""
    makers: dict[str, Factory] = {
        "opti-cam": OPTIMISED.get(maker.name, methods.OptiCAM),
        "channel mean": partial(methods.OptiCAM, iterations=0),
        "grad-cam": methods.GradCAM,
        **dear,
    }
    size = maker.dataset[0][0].shape[-2:]
    found = {
        name: saliency(explained(maker, name, make(maker.classifier))["maps"], size)
        for name, make in makers.items()
    }
    return {**found, "another's": found["opti-cam"].roll(-1, 0)}


def floors(shown: Subject) -> dict[str, Tensor]:
    """Return maps that no network makes: one that shows everything, and the truth, if known."""
    height, width = shown.dataset[0][0].shape[-2:]
    everything = methods.FakeCAM(shown.classifier)(torch.zeros(1, 3, height, width))
    found = {"fake-cam": everything.expand(len(shown), -1, -1, -1)}
    masks = shown.truth.masks
    return found if masks is None else found | {"truth": masks}


def probabilities(judge: Subject, label: str, maps: Tensor | None = None) -> Tensor:
    """Return the probability of the true class, float64 ``(N,)``; it is kept on disk.

    Args:
        judge: the network that is asked.
        label: what the file is called, beside the name of the network.
        maps: what is shown of each image; ``None`` for all.
    """
    file = subjects.KEPT / f"{judge.name}.judges.{label}.pt"
    kept = torch.load(file, weights_only=True) if file.is_file() else torch.empty(0).double()
    found = [kept]
    with torch.no_grad():
        for part, images, targets in batches(judge):
            if part.stop <= len(kept):
                continue
            seen = images if maps is None else mask(images, maps[part], images.new_zeros(1))
            asked = judge.classifier.probability(judge.classifier(seen), targets)
            found.append(asked[max(0, len(kept) - part.start) :])
    if len(found) > 1:
        subjects.KEPT.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            torch.save(torch.cat(found), temporary)
        say(f"{judge.name} judges: {label}")
    return torch.cat(found)[: len(judge)]
