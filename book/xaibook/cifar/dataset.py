"""CIFAR-10 as pictures in an archive."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def read_cifar10(archive: Path, counts: Mapping[str, int]) -> TensorDataset:
    """Return so many images of each split, class by class in turn, one split after the other.

    Args:
        archive: a tar file of pictures ``<split>/<class>/<name>``, of 32 by 32 pixels.
        counts: for ``"train"`` and ``"test"``, how many images: multiples of ten.

    Returns:
        Pixels ``(N, 3, 32, 32)`` in ``[0, 1]`` and classes ``(N,)``. Reading stops at the last
        picture that is needed.

    Raises:
        ValueError: a count is no multiple of ten, or the archive holds fewer pictures.
    """
    wanted = {split: _each(split, count) for split, count in counts.items()}
    found: dict[tuple[str, int], list[Tensor]] = {
        (split, label): [] for split in wanted for label in range(len(CLASSES))
    }
    missing = sum(wanted.values()) * len(CLASSES)
    with tarfile.open(archive) as files:
        for member in files:
            split, name = Path(member.name).parts[-3:-1] if member.isfile() else ("", "")
            if split in wanted and name in CLASSES and missing:
                of_class = found[split, CLASSES.index(name)]
                if len(of_class) < wanted[split]:
                    of_class.append(_pixels(files, member))
                    missing -= 1
            if not missing:
                break
    if missing:
        raise ValueError(f"counts: {archive} holds {missing} pictures fewer than {dict(counts)}")
    order = [
        (found[split, label][place], label)
        for split, each in wanted.items()
        for place in range(each)
        for label in range(len(CLASSES))
    ]
    images, labels = zip(*order, strict=True)
    return TensorDataset(torch.stack(images), torch.tensor(labels))


def _each(split: str, count: int) -> int:
    """Images of each class."""
    if count < len(CLASSES) or count % len(CLASSES):
        raise ValueError(f"counts: {count} {split} images are no multiple of the ten classes")
    return count // len(CLASSES)


def _pixels(files: tarfile.TarFile, member: tarfile.TarInfo) -> Tensor:
    content = files.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name} cannot be read")
    return pil_to_tensor(Image.open(BytesIO(content.read())).convert("RGB")).float() / 255
