"""Explanations against interventions: every part and every object of a picture removed in turn.

The protocol of FunnyBirds (Hesse et al., ICCV 2023) on rendered flowers. What it asks of a picture,
that each part can be left out and nothing else changes, the renderer gives exactly; what it asks of
a network, that such pictures are nothing new, its training gives (``train_flowers(removed=0.5)``).
Unlike the paper's, the threshold is chosen on validation pictures, and all measures look at the
pictures that the network gets right.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import compress

import pandas as pd
import torch
from torch import Tensor

from xaibook.flowers.dataset import FLOWER_PARTS, Flowers, class_parts
from xaibook.flowers.rendering import Scene
from xaibook.partbench.measures import REMOVALS, THRESHOLD, RemovalCase
from xaibook.partbench.parts import (
    THRESHOLDS,
    background_independence,
    completeness,
    important_parts,
    overall,
    part_importances,
    removal,
    rival_classes,
    sufficient_sets,
    target_sensitivity,
)
from xaibook.partbench.reliance import in_batches, logits_of
from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier
from xaicore.masking import upsample

SUBSETS = 2 ** len(FLOWER_PARTS)
COMPLETENESS = {name: row for name, row in REMOVALS.items() if row.needs == THRESHOLD}


@dataclass(frozen=True, eq=False)
class Interventions:
    """What a network says of pictures after every removal; the same for all explanations.

    Attributes:
        classifier: the network.
        indices: which pictures of the data set it gets right, ``(B,)``.
        images: the pictures it gets right, ``(B, 3, H, W)``.
        targets: their classes, ``(B,)``.
        parts: the coverage of each part, ``(B, 4, H, W)``, in the order of ``FLOWER_PARTS``.
        objects: the coverage of each object of the background, ``(B, K, H, W)``.
        present: whether a picture has such an object, ``(B, K)``.
        logits: the logits without each subset of the parts, ``(B, 16, C)``.
        clear: the class's logit without each object, ``(B, K)``.
        accuracy: the share of all pictures that it gets right.
        task: the task of the pictures.
    """

    classifier: Classifier
    indices: Tensor
    images: Tensor
    targets: Tensor
    parts: Tensor
    objects: Tensor
    present: Tensor
    logits: Tensor
    clear: Tensor
    accuracy: float
    task: str

    @property
    def whole(self) -> Tensor:
        """The class's logit on the whole pictures, ``(B,)``."""
        return self.logits[:, 0].gather(1, self.targets[:, None])[:, 0]

    @property
    def without_parts(self) -> Tensor:
        """The class's logit without each part, ``(B, 4)``."""
        alone = self.logits[:, [2**p for p in range(len(FLOWER_PARTS))]]
        return alone.gather(2, self.targets[:, None, None].expand(-1, alone.shape[1], 1))[..., 0]

    @property
    def background_independence(self) -> float:
        """BI: how rarely an object of the background is needed."""
        return background_independence(self.whole, self.clear, self.present)

    def every(self, step: int, first: int = 0) -> Interventions:
        """Return one picture in ``step``, from the one numbered ``first``, for costly methods.

        Raises:
            ValueError: no picture is left.
        """
        _check_share(step, first, len(self.images))
        of_pictures = {
            field.name: getattr(self, field.name)[first::step]
            for field in fields(self)
            if isinstance(getattr(self, field.name), Tensor)
        }
        return replace(self, **of_pictures)


def _check_share(step: int, first: int, count: int) -> None:
    if step < 1 or not 0 <= first < count:
        raise ValueError(
            f"one picture in {step} from number {first} of {count}: take one in 1 or more, from "
            "a picture that is there"
        )


def intervene(
    classifier: Classifier, flowers: Flowers, every: int = 1, first: int = 0
) -> Interventions:
    """Render every removal and ask the network.

    Cost: 16 renderings and forwards of each picture, and one for each object of its background.

    Args:
        classifier: the network of the task, trained on pictures that lost parts.
        flowers: pictures of a task whose classes are told by the four parts: ``"variety"``.
        every: take one picture in so many, from the one numbered ``first``.
        first: the first picture to take.

    Raises:
        ValueError: the task's classes are told by other parts, no picture is taken, or none of
            them is classified right.
    """
    if set(class_parts(flowers.task)[0]) != set(FLOWER_PARTS):
        raise ValueError(f"flowers.task must be 'variety', told by four parts, not {flowers.task}")
    _check_share(every, first, len(flowers))
    right = logits_of(classifier, flowers.images).argmax(1) == flowers.targets
    accuracy = right.double().mean().item()
    right &= torch.isin(torch.arange(len(right)), torch.arange(len(right))[first::every])
    scenes = [flowers.scene(i) for i in right.nonzero()[:, 0].tolist()]
    if not scenes:
        raise ValueError("the network classifies no picture right: there is nothing to explain")
    targets, size = flowers.targets[right], flowers.size
    logits = [logits_of(classifier, _render(scenes, some, size)) for some in _subsets()]
    objects, present = _objects(scenes, size)
    return Interventions(
        classifier=classifier,
        indices=right.nonzero()[:, 0],
        images=flowers.images[right],
        targets=targets,
        parts=torch.cat([flowers.masks[part][right] for part in FLOWER_PARTS], dim=1),
        objects=objects,
        present=present,
        logits=torch.stack(logits, dim=1),
        clear=_cleared(classifier, scenes, targets, present, size),
        accuracy=accuracy,
        task=flowers.task,
    )


def _subsets() -> list[list[str]]:
    """Return the parts to remove for each number whose bits name them."""
    return [
        [part for p, part in enumerate(FLOWER_PARTS) if number >> p & 1]
        for number in range(SUBSETS)
    ]


def _picture(scene: Scene, size: int) -> Tensor:
    return torch.from_numpy(scene.render(size).image).permute(2, 0, 1).float() / 255


def _render(scenes: list[Scene], removed: list[str], size: int) -> Tensor:
    return torch.stack([_picture(scene.without(*removed), size) for scene in scenes])


def _objects(scenes: list[Scene], size: int) -> tuple[Tensor, Tensor]:
    """Return the masks of all objects, padded to the largest number, and which there are."""
    masks = [torch.from_numpy(scene.objects(size)) for scene in scenes]
    most = max(map(len, masks))
    objects = torch.zeros(len(masks), most, size, size)
    present = torch.zeros(len(masks), most, dtype=torch.bool)
    for i, own in enumerate(masks):
        objects[i, : len(own)], present[i, : len(own)] = own, True
    return objects, present


def _cleared(
    classifier: Classifier, scenes: list[Scene], targets: Tensor, present: Tensor, size: int
) -> Tensor:
    """Return the class's logit without each object there is, ``(B, K)``."""
    clear = torch.zeros(present.shape)
    for i, scene in enumerate(scenes):
        count = int(present[i].sum())
        views = torch.stack([_picture(scene.clear(k), size) for k in range(count)])
        clear[i, :count] = logits_of(classifier, views)[:, targets[i]]
    return clear


def protocol(
    explainer: Explainer, test: Interventions, held: Interventions, batch_size: int = 32
) -> pd.DataFrame:
    """Score an explainer by interventions; the threshold is the best on validation pictures.

    Raw maps are scored, upsampled and with their signs, where a method has signs.

    Args:
        explainer: of the network that ``test`` and ``held`` belong to.
        test: the pictures to score.
        held: the pictures to choose the threshold on.
        batch_size: pictures explained at once.

    Returns:
        One row per picture and measure: ``image``, its place in the data set, ``metric``,
        ``value``. Measures are those of ``REMOVALS`` where they are defined, and for each part its
        signed importance, as a share of all that is attributed: ``PI petal`` and so on.
        ``threshold`` is in ``attrs``.

    Raises:
        ValueError: the explainer is of another network.
    """
    if not explainer.classifier is test.classifier is held.classifier:
        raise ValueError("explainer, test and held must be of one and the same classifier")
    best = _best(_explain(explainer, held, batch_size)[0])
    found, of_whole = _explain(explainer, test, batch_size)
    found = replace(found, contrast=_contrast(explainer, test, batch_size))
    values = {
        name: row.take(found)[:, best] if name in COMPLETENESS else row.take(found)
        for name, row in REMOVALS.items()
    }
    shares = zip(FLOWER_PARTS, of_whole.T, strict=True)
    values |= {f"PI {part}": share for part, share in shares}
    rows = [
        pd.DataFrame({"image": test.indices, "metric": metric, "value": value})
        for metric, value in values.items()
    ]
    records = pd.concat(rows).dropna().reset_index(drop=True)
    records.attrs["threshold"] = THRESHOLDS[best]
    return records


def means_of(records: pd.DataFrame) -> pd.Series:
    """Return the means of a method's records, with completeness, correctness, contrastivity."""
    means = records.groupby("metric")["value"].mean()
    com = completeness(*(means[metric] for metric in COMPLETENESS))
    means["Com"], means["Cor"], means["Con"] = com, means["SD"], means["TS"]
    means["overall"] = overall(com, means["SD"], means["TS"])
    return means


def _best(found: RemovalCase) -> int:
    """Return the threshold of the highest completeness; of equals the lowest."""
    means = [row.take(found).nanmean(0) for row in COMPLETENESS.values()]
    return int(((means[0] + means[1] + means[2]) / 3 + means[3]).argmax())


def _attribution(explainer: Explainer, images: Tensor, targets: Tensor, batch_size: int) -> Tensor:
    """Return raw maps at the size of the images, ``(B, 1, H, W)``, on the CPU."""
    size, device = images.shape[-2:], explainer.classifier.mean.device

    def at_full_size(some: Tensor, own: Tensor) -> Tensor:
        return upsample(explainer.raw(some, own), size)

    return in_batches(at_full_size, batch_size, device, images, targets)


def _explain(
    explainer: Explainer, on: Interventions, batch_size: int
) -> tuple[RemovalCase, Tensor]:
    """Return what an explainer gives parts and objects; and the parts' shares of all it gives."""
    attribution = _attribution(explainer, on.images, on.targets, batch_size)
    importances = part_importances(attribution, torch.cat([on.parts, on.objects], dim=1))
    count = on.parts.shape[1]
    sets = sufficient_sets(_ordered(on.task))
    every = torch.ones(len(on.targets), count, dtype=torch.bool)
    found = RemovalCase(
        importances=importances[:, :count],
        important=important_parts(importances, attribution),
        sufficient=[sets[target] for target in on.targets.tolist()],
        logits=on.logits,
        whole=on.whole,
        without=torch.cat([on.without_parts, on.clear], dim=1),
        present=torch.cat([every, on.present], dim=1),
    )
    whole = attribution.double().abs().sum((1, 2, 3))[:, None]
    return found, found.importances / whole.where(whole > 0, 1)


def _ordered(task: str) -> list[dict[str, str]]:
    """Return what the parts of each class look like, in the order of ``FLOWER_PARTS``."""
    return [{part: own[part] for part in FLOWER_PARTS} for own in class_parts(task)]


def _contrast(explainer: Explainer, on: Interventions, batch_size: int) -> Tensor:
    """Return TS of each picture; NaN where no two classes fit, or the network disagrees."""
    every = [rival_classes(_ordered(on.task), target) for target in on.targets.tolist()]
    rivals = [some[i % len(some)] if some else None for i, some in enumerate(every)]
    agrees = torch.tensor(
        [r is not None and _agrees(on.logits[i], r) for i, r in enumerate(rivals)]
    )
    scores = torch.full((len(rivals),), torch.nan, dtype=torch.float64)
    chosen = [r for r in compress(rivals, agrees.tolist()) if r is not None]
    if not chosen:
        return scores
    first, second = (
        part_importances(
            _attribution(explainer, on.images[agrees], torch.tensor(classes), batch_size),
            on.parts[agrees],
        )
        for classes in ([rival[0] for rival in chosen], [rival[1] for rival in chosen])
    )
    scores[agrees] = target_sensitivity(first, second, [rival[2] for rival in chosen])
    return scores


def _agrees(logits: Tensor, rival: tuple) -> bool:
    """Whether each class loses more by what the picture shares with it than by the rest."""
    a, b, shared = rival
    gone = torch.zeros(2, len(FLOWER_PARTS), dtype=torch.bool)
    gone[0, list(shared[0])], gone[1, list(shared[1])] = True, True
    first, second = logits[removal(gone)]
    return bool(first[a] < second[a] and second[b] < first[b])
