"""What a search for weights can reach: with few unknowns, for a wrong class, without training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from studies.opti_cam import LAYERS, QUICK, Study, explained
from studies.scoring import batches, saliency
from studies.subjects import Subject
from xaicore import attribution as methods
from xaicore.attribution.capture import Capture
from xaicore.classifier import Classifier
from xaicore.masking import mask
from xaicore.metrics import randomized

GROUPS = (4, 16, 64)
"""Unknowns, more than one and fewer than there are channels."""


class Pooled(methods.OptiCAM):
    """Opti-CAM in the fast preset whose channels share weights, in random groups.

    Args:
        classifier: the classifier to explain.
        groups: the number of groups, each one unknown.
    """

    def __init__(self, classifier: Classifier, groups: int) -> None:
        super().__init__(classifier, preset="fast")
        self.groups = groups

    def _map(self, captured: Capture) -> Tensor:
        return super()._map(replace(captured, leaf=pooled(captured.features, self.groups)))


def pooled(features: Tensor, groups: int) -> Tensor:
    """Return the mean of feature maps ``(B, K, h, w)`` in random groups of about one size."""
    order = torch.randperm(features.shape[1], generator=torch.Generator().manual_seed(0))
    return torch.stack([features[:, of].mean(1) for of in order.tensor_split(groups)], 1)


def searches(subject: Subject) -> Iterator[pd.DataFrame]:
    """Opti-CAM as it is, with fewer unknowns, for a wrong class, and without a trained network."""
    true = torch.cat([targets for _, _, targets in batches(subject)])
    network, search = subject.classifier, QUICK["opti-cam"]
    unsearched = methods.OptiCAM(network, iterations=0)
    for label, method in {"opti-cam": search(network), "channel mean": unsearched}.items():
        yield asked(subject, explained(subject, label, method)["maps"], true, label)
    for groups in GROUPS:
        maps = explained(subject, f"opti-cam {groups} groups", Pooled(network, groups))["maps"]
        yield asked(subject, maps, true, "few unknowns").assign(unknowns=groups)
    wrong = others(true, network(subject.dataset[0][0][None]).shape[1])
    maps = explained(subject, "opti-cam wrong", search(network), wrong)["maps"]
    yield asked(subject, maps, wrong, "wrong class")
    forgot = forgetful(network)
    maps = explained(subject, "opti-cam forgot", search(forgot))["maps"]
    yield asked(replace(subject, classifier=forgot), maps, true, "random network")
    yield asked(subject, maps, true, "random network's map")


def others(true: Tensor, classes: int) -> Tensor:
    """Return a random class for each image, but not the true one."""
    generator = torch.Generator().manual_seed(0)
    return (true + torch.randint(1, classes, true.shape, generator=generator)) % classes


def forgetful(classifier: Classifier) -> Classifier:
    """Return a classifier with no trained weight but those before its first block."""
    blocks = ("fc", *reversed(LAYERS[type(classifier.net).__name__]))
    *_, (_, forgot) = randomized(classifier, blocks)
    return forgot


def asked(subject: Subject, maps: Tensor, targets: Tensor, variant: str) -> pd.DataFrame:
    """Return how probable classes are, and how many are more so, on images and masked."""
    rows = []
    for part, images, _ in batches(subject):
        shown = mask(images, saliency(maps[part], images.shape[-2:]), images.new_zeros(1))
        row: dict[str, object] = {"image": range(part.start, part.stop), "target": targets[part]}
        for name, seen in {"p": images, "o": shown}.items():
            with torch.no_grad():
                logits = subject.classifier(seen)
            own = logits.gather(1, targets[part, None])
            row[name] = subject.classifier.probability(logits, targets[part])
            row[f"above {name}"] = (logits > own).sum(1)
        rows.append(pd.DataFrame(row))
    labels = {"network": subject.name, "variant": variant}
    return pd.concat(rows, ignore_index=True).assign(**labels)


STUDIES = {"searches": Study(searches, 100, {})}
