"""Real photographs and a network with ImageNet weights: the whole path, where the data are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from xaibook.data import find_data
from xaicore.attribution import FakeCAM, GradCAM, OptiCAM
from xaicore.classifier import Classifier
from xaicore.metrics import average_drop, average_gain, confidence
from xaicore.models.efficientnet_lite import default_classifier
from xaicore.pictures import pictures


@pytest.fixture(scope="module")
def data() -> Path:
    folder = find_data()
    if folder is None:
        pytest.skip("no real images: set XAICORE_DATA to their folder")
    return folder


@pytest.fixture(scope="module")
def resnet(data: Path) -> Classifier:
    return Classifier.from_torchvision("resnet18", data / "weights" / "resnet18_pqf_small.pt")


@pytest.fixture(scope="module")
def photographs(data: Path, resnet: Classifier) -> tuple[Tensor, Tensor]:
    folder = data / "imagenet_val1300"
    table = pictures(folder / "images", resnet.transform, labels=folder / "labels.csv")
    images, targets = next(iter(DataLoader(table, batch_size=16)))
    return images, targets


def test_the_network_recognises_most_of_them(
    resnet: Classifier, photographs: tuple[Tensor, Tensor]
) -> None:
    images, targets = photographs
    with torch.no_grad():
        share = (resnet(images).argmax(1) == targets).float().mean()
    assert share > 0.5  # chance is 0.001


def test_the_default_network_recognises_most_photographs(data: Path) -> None:
    model, folder = default_classifier(), data / "photos_cc_by"
    known = pictures(folder / "images", model.transform, labels=folder / "labels.csv", limit=40)
    images, targets = next(iter(DataLoader(known, batch_size=40)))
    with torch.no_grad():
        share = (model(images).argmax(1) == targets).float().mean()
    assert share > 0.8


def test_optimised_maps_keep_more_evidence_than_grad_cam(
    resnet: Classifier, photographs: tuple[Tensor, Tensor]
) -> None:
    images, targets = (tensor[:4] for tensor in photographs)
    scores = {}
    for explain in (GradCAM(resnet), OptiCAM(resnet, iterations=20)):
        masked = images * explain(images, targets)
        with torch.no_grad():
            scores[type(explain)] = resnet(masked).gather(1, targets[:, None])
    assert (scores[OptiCAM] > scores[GradCAM]).all()


def test_fake_cam_neither_drops_nor_gains(
    resnet: Classifier, photographs: tuple[Tensor, Tensor]
) -> None:
    images, targets = photographs
    p, o = confidence(resnet, images, FakeCAM(resnet)(images), targets)
    assert average_drop(p, o).mean() < 0.01
    assert average_gain(p, o).mean() < 0.05
