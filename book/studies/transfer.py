"""Whose evidence is a map? Maps of one network, judged by networks that did not make them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product

import pandas as pd
import torch
from torch import Tensor

from studies import subjects
from studies.benchmark import SEEDS
from studies.opti_cam import STEADY, Factory, Study, explained
from studies.scoring import batches, saliency
from studies.subjects import LITE, VIT, Subject, flowers, photographs, real_images, say
from xaibook.travel import NOBODY
from xaicore import attribution as methods
from xaicore.files import replacing
from xaicore.masking import mask

OPTIMISED: Mapping[str, Factory] = {LITE: STEADY, "mobilenet_v2": STEADY}
"""Opti-CAM on photographs, of the networks whose maps another study keeps."""

JUDGES = (*OPTIMISED, VIT, "resnet18", "squeezenet1_0")
"""The networks that judge photographs, those that make no map here included."""


def judged(maker: Subject) -> Iterator[pd.DataFrame]:
    """A row per (image, map, judge): the true class's probability on the image and masked.

    The maps are those of the maker, and with the first network those that no network makes.
    """
    judges = jury(maker)
    whole = {judge.name: probabilities(judge, "whole") for judge in judges}
    made_by = {maker.name: made(maker)}
    if maker.name == judges[0].name:
        made_by[NOBODY] = floors(maker)
    for name, found in made_by.items():
        for (method, maps), judge in product(found.items(), judges):
            p, o = whole[judge.name], probabilities(judge, f"{name} {method}", maps)
            labels = {"network": name, "judge": judge.name, "method": method}
            yield pd.DataFrame({**labels, "image": range(len(p)), "p": p, "o": o})


def jury(maker: Subject) -> list[Subject]:
    """Return the networks that have learnt the maker's classes, itself included."""
    if maker.name.startswith("flowers"):
        return [flowers(seed, len(maker)) for seed in SEEDS]
    return [photographs(network, real_images(), len(maker)) for network in JUDGES]


def made(maker: Subject) -> dict[str, Tensor]:
    """Return the maps that a network makes, and those of the next image as "another's"."""
    makers: dict[str, Factory] = {
        "opti-cam": OPTIMISED.get(maker.name, methods.OptiCAM),
        "channel mean": partial(methods.OptiCAM, iterations=0),
        "grad-cam": methods.GradCAM,
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
    if len(kept) >= len(judge):
        return kept[: len(judge)]
    found = [kept]
    with torch.no_grad():
        for part, images, targets in batches(judge):
            if part.stop <= len(kept):
                continue
            seen = images if maps is None else mask(images, maps[part], images.new_zeros(1))
            asked = judge.classifier.probability(judge.classifier(seen), targets)
            found.append(asked[max(0, len(kept) - part.start) :])
    subjects.KEPT.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        torch.save(torch.cat(found), temporary)
    say(f"{judge.name} judges: {label}")
    return torch.cat(found)


STUDIES = {
    "transfer": Study(judged, 300, {}, {"judges": f"the book's own, seeds {SEEDS}"}),
    "photographs-transfer": Study(
        judged, 0, dict.fromkeys(OPTIMISED, 300), {"judges": ", ".join(JUDGES)}
    ),
}
