"""Does the class depend on its relevant features? Silence them, and as many random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from xaicore.attribution.capture import full_precision, watched
from xaicore.attribution.explainer import check_batch_size, check_inputs, resolve_targets
from xaicore.attribution.tokens import from_grid, to_grid
from xaicore.classifier import Classifier
from xaicore.interpretation.features import RelevantFeatures
from xaicore.interpretation.responses import in_batches

if TYPE_CHECKING:
    import pandas as pd

Seen = dict[bytes, tuple[Tensor, Tensor]]


def ablation_curves(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    features: RelevantFeatures,
    most: int = 10,
    draws: int = 20,
    seed: int = 0,
    batch_size: int = 64,
    step: int = 1,
) -> pd.DataFrame:
    """Silence the k strongest features of each image's true class, and k random ones.

    The random ones are of the same layers (``RelevantFeatures.shuffled``), and as many: a class
    with fewer than k relevant features loses all of its, and as many random ones. A silent channel
    is 0 everywhere. Images that were not part of ``identify`` make the test fair.
    Cost: at most ``1 + (1 + draws) most / step`` forwards per image; a k at which no image of a
    batch has more features to lose takes none.

    Args:
        classifier: the classifier, in evaluation mode.
        dataset: yields pixels ``(channels, H, W)`` in ``[0, 1]`` and the true class.
        features: the relevant features of the classifier.
        most: the largest k.
        draws: how many times random channels are drawn.
        seed: of the draws, which count on from it.
        batch_size: images in one forward.
        step: k is 0, ``step``, twice that, …, up to ``most``.

    Returns:
        One row per image, choice and k: ``image``, ``target``, ``features``, ``"relevant"`` or
        ``"random"``, ``draw`` (0 for the relevant ones), ``k``, ``correct``, whether the target is
        still predicted, and ``p``, its probability.

    Raises:
        ValueError: a number is out of its range, or the images cannot be used.
    """
    import pandas as pd

    check_batch_size(batch_size)
    if not 1 <= step <= most or draws < 0:
        raise ValueError(
            f"ablation needs 1 <= step <= most and draws >= 0, got {step}, {most} and {draws}"
        )
    counts = range(0, most + 1, step)
    chosen = [("relevant", 0, features)]
    chosen += [("random", draw, features.shuffled(seed + draw)) for draw in range(draws)]
    rows, first = [], 0
    for images, targets in in_batches(dataset, batch_size):
        check_inputs(classifier, images, targets)
        index = range(first, first + len(images))
        seen: Seen = {}
        for name, draw, some in chosen:
            curve = _curve(classifier, images, targets, some, counts, seen)
            for k, (correct, p) in zip(counts, curve, strict=True):
                rows.append(
                    pd.DataFrame(
                        {"image": index, "target": targets, "features": name, "draw": draw, "k": k}
                        | {"correct": correct, "p": p}
                    )
                )
        first += len(images)
    if not rows:
        raise ValueError("there is nothing to ablate: the data set is empty")
    return pd.concat(rows, ignore_index=True)


@torch.no_grad()
def _curve(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    features: RelevantFeatures,
    counts: Iterable[int],
    seen: Seen,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each k whether the targets are predicted, and their probability, ``(B,)``.

    What is ``seen`` already of these images, by the channels that they keep, is not run again.
    """
    device = classifier.mean.device
    resolve_targets(targets, features.W.new_zeros(len(targets), features.W.shape[1]))
    places = _places(features)[:, targets].T
    for k in counts:
        kept = places >= k
        key = kept.numpy().tobytes()
        if key not in seen:
            with silenced(classifier, features, kept, images.shape[-2:]):
                logits = full_precision(classifier(images.to(device))).cpu().double()
            p = classifier.probability(logits, targets)
            seen[key] = logits.argmax(1) == targets, p
        yield seen[key]


@contextmanager
def silenced(
    classifier: Classifier, features: RelevantFeatures, kept: Tensor, size: Sequence[int]
) -> Iterator[None]:
    """Set channels to 0 in one forward pass, inside only.

    Args:
        classifier: the classifier that will run, once.
        features: whose layers and rows are meant.
        kept: whether each image keeps each of the m channels, ``(B, m)``.
        size: the size of the images, ``(H, W)``.
    """
    sizes = [layer.channels for layer in features.layers]
    names = [layer.name for layer in features.layers]
    masks = dict(zip(names, kept.split(sizes, dim=1), strict=True))
    touched = {name: keep for name, keep in masks.items() if not keep.all()}

    def see(name: str, output: Tensor) -> Tensor | None:
        if name not in touched:
            return None
        keep = touched[name].to(output)
        if output.ndim == 2:
            return output * keep
        return from_grid(to_grid(output, size) * keep[..., None, None], output)

    with watched(classifier, dict.fromkeys(n.partition(":")[0] for n in touched), see):
        yield


def _places(features: RelevantFeatures) -> Tensor:
    """Return each feature's place among those relevant for a class, ``(m, C)``; m if it is not."""
    places = torch.full(features.W.shape, len(features.W))
    for target in range(features.W.shape[1]):
        rows = features.of_class(target)
        places[rows, target] = torch.arange(len(rows))
    return places
