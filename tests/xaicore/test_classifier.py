"""The classifier: normalisation inside, the CAM layer named once, errors at the door."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

import xaicore as xc
from tests.networks import pictures, pooled_network
from xaicore.attribution.capture import capture
from xaicore.classifier import Classifier

LAYERS = {
    "resnet18": (512, 2),
    "resnet50": (2048, 2),
    "vgg16_bn": (512, 4),
    "mobilenet_v2": (1280, 2),
    "squeezenet1_0": (512, 3),
    "efficientnet_b0": (1280, 2),
    "densenet121": (1024, 2),
    "convnext_small": (768, 2),
    "convnext_base": (1024, 2),
    "swin_t": (768, 2),
}


def test_normalisation_is_inside() -> None:
    net, images = pooled_network(), pictures()
    model = Classifier(net, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    std = torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1)
    assert torch.equal(model(images), net((images - mean) / std))


@pytest.mark.parametrize("name", LAYERS)
def test_the_cam_layer_is_the_last_feature_map(name: str) -> None:
    model = Classifier.from_torchvision(name, weights=None)
    shapes = []
    model.layer.register_forward_hook(lambda _m, _i, output: shapes.append(output.shape))
    model(pictures(1, 64, 64))
    channels, cells = LAYERS[name]
    assert shapes == [(1, channels, cells, cells)]
    assert not model.training


def test_a_layer_is_given_by_module_or_by_name() -> None:
    net = pooled_network()
    assert Classifier(net, layer=net[3]).layer is net[3]
    assert Classifier(net, layer="3").layer is net[3]
    with pytest.raises(ValueError, match="not part of the network"):
        Classifier(net, layer=torch.nn.ReLU())
    with pytest.raises(ValueError, match=r"no module called 'layer5'; did you mean layer\d"):
        Classifier(models.resnet18(weights=None), layer="layer5")
    with pytest.raises(ValueError, match="no CAM layer is known for Sequential"):
        _ = Classifier(net).layer


def test_the_layer_follows_a_copy() -> None:
    model = Classifier(pooled_network(), layer="5")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.layer is other.net[5]
        assert other.layer is not model.layer
        assert torch.equal(other(pictures()), model(pictures()))


def test_bad_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="one number for each channel"):
        Classifier(pooled_network(), mean=(0.5,))
    with pytest.raises(ValueError, match="std positive"):
        Classifier(pooled_network(), std=(0.5, 0.0, 0.5))


def test_classes_are_found_by_name_or_number() -> None:
    model = Classifier.from_torchvision("resnet18", weights=None)
    assert model.class_index("tabby") == 281
    assert model.class_index("281") == 281
    with pytest.raises(ValueError, match="did you mean"):
        model.class_index("tabbie")
    with pytest.raises(ValueError, match="0…999"):
        model.class_index("1000")
    twins = Classifier(pooled_network(), classes=["crane", "heron", "crane"])
    with pytest.raises(
        ValueError, match=r"2 classes are called 'crane': give one number of \[0, 2\]"
    ):
        twins.class_index("crane")


def test_an_unknown_network_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean resnet50"):
        Classifier.from_torchvision("resnet-50", weights=None)


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = models.squeezenet1_1(weights=None).eval()
    torch.save({k: v.half() for k, v in net.state_dict().items()}, tmp_path / "net.pt")
    model = Classifier.from_torchvision("squeezenet1_1", weights=tmp_path / "net.pt")
    expected = Classifier(net.half().float())
    assert next(model.parameters()).dtype == torch.float32
    assert torch.equal(model(pictures(1, 64, 64)), expected(pictures(1, 64, 64)))


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "empty.pt").touch()
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "other.pt")
    for name in ("text.pt", "empty.pt", "tensor.pt", "other.pt"):
        with pytest.raises(ValueError, match=f"weights: .*{name}"):
            Classifier.from_torchvision("squeezenet1_1", weights=tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no file"):
        Classifier.from_torchvision("squeezenet1_1", weights=tmp_path / "missing.pt")


def test_preprocessing_gives_pixels_of_the_networks_size() -> None:
    model = Classifier.from_torchvision("resnet18", weights=None)
    pixels = model.preprocess(Image.new("L", (300, 200), 128))
    assert pixels.shape == (1, 3, 224, 224)
    torch.testing.assert_close(pixels, torch.full_like(pixels, 128 / 255))


@pytest.mark.parametrize("name", [*LAYERS, "vit_b_16"])
def test_networks_work_out_of_the_box(name: str) -> None:
    side = 224 if name.startswith("vit") else 64
    model = Classifier.from_torchvision(name, weights=None)
    if name.startswith("vit"):
        torch.nn.init.normal_(model.net.heads.head.weight)  # zero until it is trained
    images = pictures(1, side, side)
    assert xc.GradCAM(model)(images, 3).shape == (1, 1, side, side)
    captured = capture(model, images)
    assert captured.gradient.any()
    assert captured.features.shape[2:] == captured.gradient.shape[2:]


@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("deit_tiny_patch16_224", "blocks.11.norm1", 224),
        ("resnet18", "features", 64),
        ("mobilenetv3_small_050", "features", 64),
        ("swin_tiny_patch4_window7_224", "features", 224),
    ],
)
def test_any_timm_network_works_by_name(name: str, layer: str, side: int) -> None:
    pytest.importorskip("timm")
    model = xc.from_timm(name, weights=None)
    assert model.layer_name == layer
    assert not model.training
    maps = xc.GradCAM(model)(pictures(1, side, side), 3)
    assert maps.shape == (1, 1, side, side)
    assert model.preprocess(Image.new("RGB", (300, 260))).shape == (
        1,
        3,
        *(2 * [model_side(model)]),
    )


def model_side(model: Classifier) -> int:
    """The side of the pictures a classifier's transform makes."""
    return model.preprocess(Image.new("RGB", (400, 400))).shape[-1]


def test_an_unknown_timm_network_is_refused() -> None:
    pytest.importorskip("timm")
    with pytest.raises(
        ValueError, match="timm has no network called 'resnet18x'; did you mean resnet18"
    ):
        xc.from_timm("resnet18x")


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (0.5, 0.5, "a list of numbers"),
        ("0.5", "0.5", "a list of numbers"),
        ([None], [0.5], "a list of numbers"),
        ([0.5], [float("nan")], "std positive"),
        ([0.5], [float("inf")], "std positive"),
        ([float("nan")], [0.5], "none of pixels"),
        ([], [], "one number for each channel"),
        ([118.0], [58.0], "divide mean and std by 255"),
    ],
)
def test_mean_and_std_are_numbers_of_pixels(mean: Any, std: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        xc.Classifier(nn.Conv2d(1, 2, 1), mean, std)


def test_mean_and_std_may_be_tensors_or_arrays() -> None:
    for of in (torch.tensor, np.array):
        model = xc.Classifier(nn.Conv2d(1, 2, 1), of([0.25]), of([0.5]))
        assert model.mean.tolist() == [[[[0.25]]]]
        assert model.std.tolist() == [[[[0.5]]]]


def test_maps_of_numpy_are_refused_in_words() -> None:
    model = xc.Classifier(nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(TypeError, match=r"torch\.as_tensor"):
        xc.confidence(model.eval(), torch.rand(1, 3, 4, 4), np.ones((1, 1, 4, 4)), 0)
