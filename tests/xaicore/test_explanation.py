"""A photograph explained from Python: read, looked at once, placed over the whole, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms as v1
from torchvision.transforms import v2

import xaicore as xc
from xaicore.classifier import to_pixels
from xaicore.framing import framed


class Counted(nn.Module):
    """A small network that counts its forwards."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(6, classes)
        self.forwards = 0

    def forward(self, images: Tensor) -> Tensor:
        self.forwards += 1
        return self.head(self.body(images).mean((2, 3)))


def classifier(channels: int = 3, transform: Any = None, classes: int = 4) -> xc.Classifier:
    return xc.Classifier(
        Counted(channels, classes).eval(),
        (0.5,) * channels,
        (0.25,) * channels,
        layer="body",
        classes=["ant", "bee", "cat", "dog"] if classes == 4 else None,
        transform=transform,
    )


def resized(side: int = 24, kept: int = 16) -> v2.Compose:
    return to_pixels(v2.Resize(side, antialias=True), v2.CenterCrop(kept))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    bands = [Image.effect_noise((90, 60), 80) for _ in range(3)]
    Image.merge("RGB", bands).save(path)
    return path


# Reading ------------------------------------------------------------------------------------------


def test_a_file_is_read_as_the_network_takes_it(photo: Path) -> None:
    model = classifier(transform=resized())
    with Image.open(photo) as picture:
        expected = model.preprocess(picture)
        given = xc.read_image(picture, model)
    assert expected.shape == (1, 3, 16, 16)
    assert torch.equal(given, expected)
    assert torch.equal(xc.read_image(photo, model), expected)
    assert torch.equal(xc.read_image(str(photo), model), expected)


def test_a_network_of_one_channel_takes_a_picture_as_grey(photo: Path) -> None:
    pixels = xc.read_image(photo, classifier(1))
    with Image.open(photo) as picture:
        grey = np.asarray(picture.convert("L"))
    assert pixels.shape == (1, 1, 60, 90)
    np.testing.assert_allclose(pixels[0, 0], grey / 255, atol=1e-6)


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (6, 6), (255, 0, 0, 0))
    assert xc.read_image(clear, classifier()).min() == 1


def test_a_picture_has_no_four_channels(photo: Path) -> None:
    with pytest.raises(ValueError, match="has the bands RGB, not 4 channels"):
        xc.read_image(photo, classifier(4))


# Explaining ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["grad-cam", "saliency"])
def test_an_explanation_is_what_its_parts_give(method: str, photo: Path) -> None:
    model = classifier(transform=resized())
    found = xc.explain_picture(model, photo, method, "cat")
    images = xc.read_image(photo, model)
    explainer = xc.METHODS[method](model)
    maps = explainer(images, 2)
    p, o = xc.confidence(model, images, maps, 2)
    torch.testing.assert_close(found.saliency, maps[0])
    torch.testing.assert_close(found.raw, explainer.raw(images, 2)[0])
    assert torch.equal(found.image, images[0])
    assert (found.target, found.name) == (2, "cat")
    assert found.p == pytest.approx(p.item(), rel=1e-6)
    assert found.o == pytest.approx(o.item(), rel=1e-5)
    probabilities = model(images).softmax(1)[0]
    for name, index, value in found.top:
        assert name == model.classes[index]
        assert value == pytest.approx(probabilities[index].item(), rel=1e-5)
    assert [index for _, index, _ in found.top] == probabilities.topk(3).indices.tolist()


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_the_network_runs_on_the_whole_image_once(method: str, photo: Path) -> None:
    """What a class activation map starts from gives the logits too; the other is the masked one."""
    model = classifier()
    xc.explain_picture(model, photo, method)
    assert model.net.forwards == 2


@pytest.mark.parametrize(("target", "index"), [(None, None), ("dog", 3), ("3", 3), (3, 3)])
def test_a_target_is_a_name_or_a_number(
    target: str | int | None, index: int | None, photo: Path
) -> None:
    model = classifier()
    found = xc.explain_picture(model, photo, "grad-cam", target)
    predicted = int(model(xc.read_image(photo, model)).argmax())
    assert found.target == (predicted if index is None else index)


def test_a_method_is_given_with_its_settings(photo: Path) -> None:
    model = classifier()
    found = xc.explain_picture(model, photo, xc.OptiCAM(model, iterations=2))
    assert found.label == "Opti-CAM"
    with pytest.raises(ValueError, match="explains another classifier"):
        xc.explain_picture(model, photo, xc.GradCAM(classifier()))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "gradcam"}, "no method is called 'gradcam'; did you mean grad-cam"),
        ({"method": "vebi"}, "fitted to a data set first"),
        ({"target": "cow"}, "no class is called 'cow'"),
        ({"target": 9}, "out of range"),
        ({"target": -1}, "no class is called '-1'"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    given: dict[str, Any], words: str, photo: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        xc.explain_picture(classifier(), photo, **({"method": "grad-cam"} | given))


def test_a_number_beyond_the_logits_is_refused_where_classes_have_no_names(photo: Path) -> None:
    with pytest.raises(ValueError, match="class 7 is out of range, the classes are 0…4"):
        xc.explain_picture(classifier(classes=5), photo, "grad-cam", 7)


# Placing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (81, 203), (64, 64)])
@pytest.mark.parametrize(
    "steps",
    [
        [],
        [v2.Resize(48)],
        [v2.Resize((30, 50))],
        [v2.CenterCrop(41)],
        [v2.Resize(48), v2.CenterCrop(40)],
        [v2.Resize([48]), v2.CenterCrop((20, 30))],
        [v1.Resize(48), v1.CenterCrop(33)],
        [v2.CenterCrop(50), v2.Resize(25)],
        [v2.Resize(30), v2.CenterCrop(40)],
    ],
    ids=str,
)
def test_the_frame_is_where_the_transform_looks(
    steps: list[nn.Module], size: tuple[int, int]
) -> None:
    """In a photograph whose colours are its coordinates, what is kept says where it was."""
    width, height = size
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    places = torch.from_numpy(np.stack([across, down, np.ones_like(down)])).float()
    frame = framed(v1.Compose([*steps, v1.ToTensor()]), width, height)
    assert frame is not None
    kept = places
    for step in steps:
        kept = step(kept)
    left, top, right, bottom = frame
    y, x = kept.shape[1] // 2, kept.shape[2] // 2
    expected = (
        left + (x + 0.5) * (right - left) / kept.shape[2],
        top + (y + 0.5) * (bottom - top) / kept.shape[1],
    )
    assert kept[:2, y, x].tolist() == pytest.approx(expected, abs=0.6)
    inside = kept[2] > 0.99
    assert (left < 0) == (not inside[y].all())
    assert (top < 0) == (not inside[:, x].all())


@pytest.mark.parametrize(
    "step", [v2.RandomCrop(8), v2.Pad(3), v2.Lambda(lambda x: x), v2.Resize(24, max_size=30)]
)
def test_a_frame_that_cannot_be_told_is_none(step: nn.Module, photo: Path) -> None:
    assert framed(v2.Compose([step]), 90, 60) is None
    model = classifier(transform=to_pixels(step, v2.Resize((20, 30))))
    found = xc.explain_picture(model, photo, "grad-cam")
    assert found.frame is None
    assert found.overlay().size == (30, 20)


def test_the_overlay_has_the_size_of_the_photograph(photo: Path) -> None:
    found = xc.explain_picture(classifier(transform=resized()), photo, "grad-cam")
    overlay = np.asarray(found.overlay())
    assert overlay.shape == (60, 90, 3)
    assert found.frame == pytest.approx((25, 10, 65, 50), abs=1)
    grey = found.whole().convert("RGB")
    outside = np.asarray(grey)[:, :20].mean(-1) / 2
    np.testing.assert_allclose(overlay[:, :20].mean(-1), outside, atol=1)
    inside = overlay[12:48, 27:63].astype(int)
    assert (inside.max(-1) - inside.min(-1)).max() > 50


def test_an_overlay_is_made_of_any_size_in_strips(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as small:
        small.resize((900, 601)).save(tmp_path / "large.png")
    found = xc.explain_picture(classifier(transform=resized()), tmp_path / "large.png", "grad-cam")
    assert found.overlay().size == (900, 601)
    assert found.overlay(300).size == (300, 200)


def test_a_picture_of_one_channel_is_drawn_grey(photo: Path) -> None:
    found = xc.explain_picture(classifier(1, resized()), photo, "grad-cam")
    whole = np.asarray(found.whole())
    assert (whole == whole[..., :1]).all()
    assert found.overlay().size == (90, 60)


# Writing ------------------------------------------------------------------------------------------


def test_an_explanation_is_written_as_a_figure_or_as_its_raw_map(
    photo: Path, tmp_path: Path
) -> None:
    found = xc.explain_picture(classifier(transform=resized()), photo, "grad-cam")
    found.save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as figure:
        assert figure.width > figure.height > 300
    found.save(tmp_path / "map.npy")
    raw = np.load(tmp_path / "map.npy")
    assert raw.shape == (1, 1, 16, 16)
    np.testing.assert_array_equal(raw[0], found.raw)
    found.save(tmp_path / "map.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "map.npz")["grad-cam"], found.raw)
    with pytest.raises(ValueError, match=r"must end in \.png"):
        found.save(tmp_path / "map.txt")
