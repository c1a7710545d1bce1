"""What an image is worth behind a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from studies.subjects import Subject
from xaicore.masking import mask, normalize, upsample

Finish = Callable[[Tensor, torch.Size], Tensor]


def saliency(maps: Tensor, size: torch.Size) -> Tensor:
    """Return raw maps as every method finishes them, but where it says otherwise."""
    return normalize(upsample(maps, size))


def scored(
    subject: Subject,
    kept: Mapping[str, Tensor],
    finish: Finish = saliency,
    **labels: str,
) -> pd.DataFrame:
    """Return what a masked image is worth: one row per image.

    Args:
        subject: the network and its images.
        kept: raw maps and seconds.
        finish: makes saliency of raw maps.
        **labels: columns that say what was done.

    Returns:
        ``network``, the labels, ``image``, ``target``, the probabilities ``p`` and ``o``, the
        ``objective`` (the logit of the masked image) and ``seconds``.
    """
    rows = []
    for part, images, targets in batches(subject):
        maps = finish(kept["maps"][part], images.shape[-2:])
        with torch.no_grad():
            whole = subject.classifier(images)
            masked = subject.classifier(mask(images, maps, images.new_zeros(1)))
        rows.append(
            pd.DataFrame(
                {
                    "network": subject.name,
                    **labels,
                    "image": range(part.start, part.stop),
                    "target": targets,
                    "p": subject.classifier.probability(whole, targets),
                    "o": subject.classifier.probability(masked, targets),
                    "objective": masked.gather(1, targets[:, None])[:, 0],
                    "seconds": kept["seconds"][part],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def batches(subject: Subject) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield the places of some images, the images and their true classes."""
    done = 0
    for images, targets in DataLoader(subject.dataset, batch_size=subject.batch_size):
        yield slice(done, done + len(images)), images, targets
        done += len(images)


@torch.no_grad()
def ranked(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return the classes of every image by falling logit, ``(N, C)``, and the true ones."""
    found = [(subject.classifier(images), targets) for _, images, targets in batches(subject)]
    logits, targets = (torch.cat(parts) for parts in zip(*found, strict=True))
    return logits.argsort(1, descending=True), targets
