"""What a feature stands for: the pieces of images that excite it most, and their average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from xaicore.attribution.capture import watched
from xaicore.attribution.explainer import check_batch_size, check_inputs
from xaicore.classifier import Classifier
from xaicore.interpretation.features import RelevantFeatures, Unit
from xaicore.interpretation.fields import Field, receptive_fields
from xaicore.interpretation.responses import Responses, Watcher, in_batches


@dataclass(frozen=True, eq=False)
class Visualisation:
    """The average piece of an image that excites a feature, and what the average hides.

    Attributes:
        unit: the channel.
        weight: its weight for the class.
        images: the images the pieces are of, by their index in the data set, ``(n,)``.
        boxes: where the pieces lie, ``top, left, height, width`` in pixels, ``(n, 4)``; outside the
            image it is reflected.
        pieces: the pieces, ``(n, 3, h, w)``, those of the strongest response first.
    """

    unit: Unit
    weight: float
    images: Tensor
    boxes: Tensor
    pieces: Tensor

    @property
    def mean(self) -> Tensor:
        """The average piece, ``(3, h, w)``."""
        return self.pieces.mean(0)

    @property
    def spread(self) -> Tensor:
        """The standard deviation of each pixel over the pieces, ``(3, h, w)``."""
        return self.pieces.std(0, correction=0)


def visualise(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    features: RelevantFeatures,
    found: Responses,
    target: int,
    count: int | None = None,
    pieces: int = 100,
    batch_size: int = 64,
) -> list[Visualisation]:
    """Show what the relevant features of a class stand for, the strongest feature first.

    For each feature the images of the class with the strongest responses give one piece each: the
    receptive field of the position where the channel's map is largest. Pieces are neither aligned
    nor weighted. In late layers a piece is nearly the whole image, so its average is a blur: say
    its size. Cost: one forward per image that gives a piece. Source: Oramas et al., ICLR 2019,
    whose number of pieces could not be looked up; its released code leaves this step out.

    Args:
        classifier: the classifier, in evaluation mode.
        dataset: the images of ``found``, all of one size.
        features: the relevant features.
        found: the responses that the features were identified from, or those to other images.
        target: the class.
        count: how many features at most; ``None``: all.
        pieces: how many pieces for each feature at most.
        batch_size: images in one forward.

    Raises:
        ValueError: there is no such class, or no image of it, or a number is not positive.
    """
    check_batch_size(batch_size)
    chosen = _choose(features, found, target, pieces, count)
    if not chosen:
        return []
    shown = torch.cat(list(chosen.values())).unique()
    units = {row: features.units[row] for row in chosen}
    images, peaks = _peaks(classifier, Subset(dataset, shown.tolist()), units, batch_size)
    layers = dict.fromkeys(unit.layer.partition(":")[0] for unit in units.values())
    fields = receptive_fields(classifier, images.shape[-2:], layers)
    visualisations = []
    for row, indices in chosen.items():
        places = torch.searchsorted(shown, indices)
        boxes = field_boxes(fields[units[row].layer], peaks[row][places])
        cut = crop(images[places], boxes)
        weight = features.W[row, target].item()
        visualisations.append(Visualisation(units[row], weight, indices, boxes, cut))
    return visualisations


def _choose(
    features: RelevantFeatures, found: Responses, target: int, pieces: int, count: int | None
) -> dict[int, Tensor]:
    """Return for each relevant feature of a class the images that give a piece, in order."""
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, not {pieces}")
    rows = features.of_class(target)[:count]
    members = (found.labels(features.labels) == target).nonzero()[:, 0]
    if not len(members):
        raise ValueError(f"target: no image of the data set is of class {target}")
    chosen = {row: _strongest(found.x[:, row], members, pieces) for row in rows}
    return {row: images for row, images in chosen.items() if len(images)}


def _strongest(responses: Tensor, members: Tensor, count: int) -> Tensor:
    """Return the members with the strongest responses, in order; silent ones are left out."""
    own = responses[members]
    order = own.argsort(descending=True, stable=True)[:count]
    return members[order[own[order] > 0]]


@torch.no_grad()
def _peaks(
    classifier: Classifier,
    images: Dataset[tuple[Tensor, int]],
    units: Mapping[int, Unit],
    batch_size: int,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Return images ``(n, channels, H, W)`` and where each unit's map is largest, ``(n, 2)``."""
    layers = {unit.layer for unit in units.values()}
    modules = dict.fromkeys(layer.partition(":")[0] for layer in layers)
    pixels, peaks = [], dict[int, list[Tensor]]((row, []) for row in units)
    for batch, _ in in_batches(images, batch_size):
        check_inputs(classifier, batch, None)
        watcher = Watcher(batch, keep=layers)
        with watched(classifier, modules, watcher.see):
            classifier(batch.to(classifier.mean.device))
        pixels.append(batch)
        for row, unit in units.items():
            maps = watcher.maps[unit.layer][:, unit.channel].cpu()
            flat = maps.flatten(1).argmax(1)
            peaks[row].append(torch.stack([flat // maps.shape[2], flat % maps.shape[2]], dim=1))
    return torch.cat(pixels), {row: torch.cat(parts) for row, parts in peaks.items()}


def field_boxes(field: Field, positions: Tensor) -> Tensor:
    """Return the receptive fields at positions ``(n, 2)`` as boxes ``(n, 4)``.

    A box is ``top, left, height, width``. All have one size: a field that the border cuts is
    continued beyond it.
    """
    axes = zip((field.rows, field.columns), field.size, positions.T, strict=True)
    starts = []
    for span, side, position in axes:
        first, last = span[position].T
        starts.append(torch.where(first > 0, first, last - side + 1))
    sizes = torch.tensor(field.size).expand(len(positions), 2)
    return torch.cat([torch.stack(starts, dim=1), sizes], dim=1)


def crop(images: Tensor, boxes: Tensor) -> Tensor:
    """Return what boxes ``(n, 4)`` of one size show of images, ``(n, 3, h, w)``."""
    if not len(images):
        return images
    rows = _reflect(boxes[:, :1] + torch.arange(int(boxes[0, 2])), images.shape[-2])
    columns = _reflect(boxes[:, 1:2] + torch.arange(int(boxes[0, 3])), images.shape[-1])
    each = torch.arange(len(images))[:, None, None]
    cut = images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def _reflect(index: Tensor, side: int) -> Tensor:
    """Return indices brought back into ``0…side - 1`` by reflection at the border pixels."""
    return (side - 1) - ((side - 1) - index.abs()).abs()
