"""Pictures of CIFAR-10 come out of an archive class by class in turn."""

import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from xaibook.cifar.dataset import CLASSES, read_cifar10


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two pictures of each class and split, each of one colour of its own."""
    folder = tmp_path_factory.mktemp("cifar")
    for split, first in (("train", 0), ("test", 100)):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for place in range(2):
                grey = np.full((32, 32, 3), first + 2 * label + place, np.uint8)
                Image.fromarray(grey).save(folder / split / name / f"{place}.png")
    with tarfile.open(folder / "all.tar.xz", "w:xz") as files:
        for split in ("train", "test"):
            files.add(folder / split, split)
    return folder / "all.tar.xz"


def test_images_come_class_by_class_in_turn(archive):
    images, labels = read_cifar10(archive, {"test": 20, "train": 10}).tensors
    assert images.shape == (30, 3, 32, 32)
    assert labels.tolist() == [*range(10)] * 3
    greys = (255 * images[:, 0, 0, 0]).round().long() // 2
    assert greys.tolist() == [*range(50, 60)] * 2 + [*range(10)]
    assert len({float(image[0, 0, 0]) for image in images[:20]}) == 20
    assert torch.equal(images[20:], read_cifar10(archive, {"train": 10}).tensors[0])


@pytest.mark.parametrize(
    ("count", "message"),
    [(15, "no multiple of the ten classes"), (0, "no multiple"), (30, "holds 10 pictures fewer")],
)
def test_counts_that_cannot_be_met_are_refused(archive, count, message):
    with pytest.raises(ValueError, match=message):
        read_cifar10(archive, {"train": count})
