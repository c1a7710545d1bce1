"""What a map inside the boxes of the class is worth, and what outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import center_crop

from studies.benchmark import NETWORKS, Benchmark
from studies.scoring import batches, saliency
from studies.subjects import LITE, SIDE, Subject, photographs
from xaibook.variants import box_study, sliced_boxes
from xaicore import attribution as methods
from xaicore.attribution import Explainer
from xaicore.evaluation.dataset import Truth
from xaicore.masking import mask
from xaicore.metrics import confidence

STUDIED = ("grad-cam", "score-cam", "opti-cam")
OF_BOXES = ("B", "I∖B")
"""Masks that are the same for every method."""


def box_records(benchmark: Benchmark) -> pd.DataFrame:
    """Measure maps, their parts inside and outside the boxes, and the boxes, on photographs."""
    subject = benchmark.subject
    raw = {name: benchmark.explain(name)[name]["maps"] for name in STUDIED}
    boxes = subject.truth.boxes or []
    rows = []
    for part, images, targets in batches(subject):
        maps = {name: saliency(kept[part], images.shape[-2:]) for name, kept in raw.items()}
        maps["fake-cam"] = methods.FakeCAM(subject.classifier)(images, targets)
        for name, of_method in maps.items():
            for variant, masks in box_study(of_method, boxes[part]).items():
                if variant in OF_BOXES and name != "fake-cam":
                    continue
                p, o = confidence(subject.classifier, images, masks, targets)
                identity = {"image": range(part.start, part.stop), "method": name}
                rows.append(pd.DataFrame({**identity, "part": variant, "p": p, "o": o}))
    return pd.concat(rows, ignore_index=True)


DRAWN: dict[str, Callable[..., Tensor]] = {
    "right": partial(sliced_boxes, swapped=False, clipped=True),
    "swapped": partial(sliced_boxes, clipped=True),
    "not clipped": partial(sliced_boxes, swapped=False),
    "as released": sliced_boxes,
}
"""How the boxes become masks: rows and columns swapped or not, cut to the picture or not."""

CROPPED = (*NETWORKS, LITE)
"""The networks that see boxes drawn right and as released."""

STUDIED_PARTS = {"grad-cam": ("B∩S", "S∖B"), "fake-cam": OF_BOXES}
CAUSES = ("swapped", "not clipped")
"""Of these the boxes alone are measured, as masks."""


@dataclass(frozen=True)
class Cropped(Dataset[tuple[Tensor, int]]):
    """Pictures as the paper shows them: the shorter side to 224 pixels, then the square amid it.

    Attributes:
        squashed: the pictures and their classes; the source has made them square.
        ratios: width over height that each picture had.
    """

    squashed: Dataset[tuple[Tensor, int]]
    ratios: Tensor

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.ratios)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """Return a picture and its class."""
        image, target = self.squashed[i]
        width, height = _sides(self.ratios[i])
        shown = interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]
        return center_crop(shown, [SIDE, SIDE]).clamp(0, 1), target


def cropped(network: str, data: Path, count: int) -> Subject:
    """Return photographs in the paper's geometry; their boxes may reach beyond the picture."""
    subject = photographs(network, data, count)
    folder = data / "imagenet_val1300"
    pictures = pd.read_csv(folder / "labels.csv")[:count]
    ratios = torch.tensor((pictures["orig_width"] / pictures["orig_height"]).to_numpy())
    pairs = zip(subject.truth.boxes or [], ratios, strict=True)
    boxes = [in_crop(found / SIDE, ratio) for found, ratio in pairs]
    shown = Cropped(subject.dataset, ratios)
    return replace(subject, dataset=shown, truth=Truth(boxes=boxes))


def in_crop(shares: Tensor, ratio: Tensor) -> Tensor:
    """Return boxes in pixels of the square amid a picture; they may reach beyond it.

    Args:
        shares: ``x0, y0, x1, y1`` as shares of the whole picture, ``(n, 4)``.
        ratio: the width of the picture over its height.
    """
    width, height = _sides(ratio)
    shift = torch.tensor([(width - SIDE) // 2, (height - SIDE) // 2] * 2)
    return shares * torch.tensor([width, height] * 2) - shift


@torch.no_grad()
def drawn_boxes(subject: Subject) -> Iterator[pd.DataFrame]:
    """Boxes, and maps inside and outside of them, as the boxes are and as released code draws them.

    ``area`` is the share of the picture that the mask of the boxes covers, and so the energy of a
    uniform map in it; ``EP`` is the energy of the map.
    """
    classifier, black = subject.classifier, torch.zeros(1)
    explainers: dict[str, Explainer] = {
        "grad-cam": methods.GradCAM(classifier),
        "fake-cam": methods.FakeCAM(classifier),
    }
    for part, images, targets in batches(subject):
        p = classifier.probability(classifier(images), targets)
        whole = {"network": subject.name, "image": range(part.start, part.stop), "p": p}
        for name, explain in explainers.items():
            maps = explain(images, targets)
            for how, draw in DRAWN.items():
                if how in CAUSES and name != "fake-cam":
                    continue
                masks = draw((subject.truth.boxes or [])[part], maps)
                study = box_study(maps, masks)
                energy = study["B∩S"].flatten(1).sum(1) / maps.flatten(1).sum(1)
                known = {"method": name, "boxes": how, "area": masks.flatten(1).mean(1)}
                for kind in STUDIED_PARTS[name]:
                    logits = classifier(mask(images, study[kind], black))
                    found = {"part": kind, "o": classifier.probability(logits, targets)}
                    yield pd.DataFrame({**whole, **known, **found, "EP": energy})


def _sides(ratio: Tensor) -> tuple[int, int]:
    """Width and height of a picture whose shorter side is 224 pixels."""
    share = float(ratio)
    return (round(SIDE * share), SIDE) if share >= 1 else (SIDE, round(SIDE / share))
