"""Pictures of any bands and bits: read as the numbers they hold, or refused in a sentence."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

import xaicore as xc
from xaicore.classifier import to_pixels
from xaicore.cli.main import main
from xaicore.evaluation.folder import read_records
from xaicore.pictures import load_image, pictures


def numbers(channels: int, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Numbers from 0 to high, ``(channels, 20, 30)``."""
    return np.random.default_rng(seed).uniform(0, high, (channels, 20, 30))


def classifier(channels: int, transform: Any = None) -> xc.Classifier:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    return xc.Classifier(
        net.eval(), (0.5,) * channels, (0.25,) * channels, layer="1", transform=transform
    )


def six() -> xc.Classifier:
    """A network of six channels, for ``--model tests.xaicore.test_bands:six``."""
    return classifier(6, to_pixels(v2.Resize((16, 16), antialias=True)))


def save(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, scene=values)
    else:
        pytest.importorskip("tifffile").imwrite(path, values)
    return path


class TestNumbers:
    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif"])
    @pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
    @pytest.mark.parametrize("channels", [2, 4, 5, 13])
    def test_floats_of_a_declared_range_are_kept(
        self, tmp_path: Path, suffix: str, last: bool, channels: int
    ) -> None:
        values = numbers(channels, 10_000).astype(np.float32)
        path = save(tmp_path / f"scene{suffix}", values.transpose(1, 2, 0) if last else values)
        found = xc.read_image(path, classifier(channels), (0, 10_000))
        assert found.shape == (1, channels, 20, 30)
        np.testing.assert_allclose(found[0].numpy(), values / 10_000, atol=1e-6)

    @pytest.mark.parametrize("suffix", [".npy", ".tif"])
    @pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
    def test_whole_numbers_have_a_usual_range(
        self, tmp_path: Path, suffix: str, kind: Any, white: int
    ) -> None:
        values = numbers(6, white).astype(kind)
        found = xc.read_image(save(tmp_path / f"scene{suffix}", values), classifier(6))
        np.testing.assert_allclose(found[0].numpy(), values / white, atol=1e-6)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_arrays_do_for_grey_and_colour_too(self, tmp_path: Path, channels: int) -> None:
        values = numbers(channels, 4095).astype(np.uint16)
        given = values[0] if channels == 1 else values
        found = xc.read_image(save(tmp_path / "x.npy", given), classifier(channels), (0, 4095))
        np.testing.assert_allclose(found[0].numpy(), values / 4095, atol=1e-6)
        assert torch.equal(xc.read_image(given, classifier(channels), (0, 4095)), found)

    @pytest.mark.parametrize(
        ("mode", "bands"), [("LA", 2), ("RGBA", 4), ("CMYK", 4)], ids=["LA", "RGBA", "CMYK"]
    )
    def test_bands_do_not_mix_when_they_are_resized(
        self, tmp_path: Path, mode: str, bands: int
    ) -> None:
        """Where the last band is zero the others are not: it is no transparency."""
        values = np.full((20, 30, bands), 200, np.uint8)
        values[..., -1] = 0
        Image.fromarray(values, mode).save(tmp_path / "scene.tif")
        found = xc.read_image(tmp_path / "scene.tif", classifier(bands, to_pixels(v2.Resize(10))))
        assert found.shape == (1, bands, 10, 15)
        np.testing.assert_allclose(found[0, :-1].numpy(), 200 / 255, atol=1e-3)
        assert not found[0, -1].any()

    def test_colours_of_16_bits_are_scaled_from_their_range(self, tmp_path: Path) -> None:
        values = numbers(3, 4095).astype(np.uint16)
        path = save(tmp_path / "deep.tif", values.transpose(1, 2, 0))
        found = xc.read_image(path, classifier(3), (0, 4095))
        np.testing.assert_allclose(found[0].numpy(), values / 4095, atol=1e-6)

    def test_a_picture_of_pillow_has_a_range_as_its_file_has(self, tmp_path: Path) -> None:
        values = numbers(1, 4095)[0].astype(np.uint16)
        picture = Image.fromarray(values)
        picture.save(tmp_path / "deep.png")
        for given in (picture, tmp_path / "deep.png"):
            found = xc.read_image(given, classifier(1), (0, 4095))
            np.testing.assert_allclose(found[0, 0].numpy(), values / 4095, atol=0.003)
        with pytest.warns(UserWarning, match="nowhere above 4095 of 65535, so nearly black"):
            assert xc.read_image(picture, classifier(1)).max() < 0.07


class TestRefused:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (numbers(6), r"64-bit values .* nobody knows: declare the range"),
            (numbers(6).astype(np.float32), r"32-bit values"),
            (numbers(6, 9).astype(np.int16), r"16-bit values"),
            (numbers(6) > 0.5, "holds bool, no numbers of pixels"),
            (numbers(5), r"neither \(6, H, W\) nor \(H, W, 6\): the network takes 6 channels"),
            (numbers(6)[0], r"neither \(6, H, W\)"),
            (np.zeros((6, 9, 6), np.uint8), r"either end may be the 6 channels"),
            (np.zeros((6, 1, 9), np.uint8), "at least 2x2"),
            (np.array(["a"]), "no numbers of pixels"),
            (np.array([None]), "is damaged, or holds no array of numbers"),
        ],
    )
    def test_arrays_of_other_shapes_or_numbers(
        self, tmp_path: Path, values: np.ndarray, message: str
    ) -> None:
        path = tmp_path / "scene.npy"
        np.save(path, values, allow_pickle=True)
        with pytest.raises(ValueError, match=message) as refusal:
            xc.read_image(path, classifier(6))
        assert str(refusal.value).startswith(str(path))

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda v: v.__setitem__((0, 0, 0), np.nan), "NaN or infinity"),
            (lambda v: v.__setitem__((0, 0, 0), 2), "outside the range 0 to 1"),
            (lambda v: v.__setitem__((0, 0, 0), -1), "outside the range 0 to 1"),
        ],
    )
    def test_numbers_outside_the_range(self, spoil: Any, message: str) -> None:
        values = numbers(6)
        spoil(values)
        with pytest.raises(ValueError, match=message):
            xc.read_image(values, classifier(6), (0, 1))

    def test_files_that_hold_no_array(self, tmp_path: Path) -> None:
        for name in ("a.npy", "a.npz"):
            (tmp_path / name).write_bytes(b"no array")
            with pytest.raises(ValueError, match="is damaged, or holds no array"):
                load_image(tmp_path / name)
            (tmp_path / name).write_bytes(b"")
            with pytest.raises(ValueError, match="is empty"):
                load_image(tmp_path / name)
        np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
        with pytest.raises(ValueError, match="holds 2 arrays, a, b"):
            load_image(tmp_path / "two.npz")
        with pytest.raises(FileNotFoundError, match="does not exist"):
            load_image(tmp_path / "none.npy")

    def test_a_tiff_of_many_bands_needs_tifffile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save(tmp_path / "scene.tif", numbers(6, 255).astype(np.uint8))
        known = builtins.__import__

        def missing(name: str, *given: Any, **more: Any) -> Any:
            if name == "tifffile":
                raise ImportError(name)
            return known(name, *given, **more)

        monkeypatch.setattr(builtins, "__import__", missing)
        with pytest.raises(ValueError, match=r"needs tifffile .*: pip install tifffile"):
            load_image(path, 6)

    def test_a_cut_tiff_of_many_bands(self, tmp_path: Path) -> None:
        path = save(tmp_path / "scene.tif", numbers(6, 255).astype(np.uint8))
        path.write_bytes(path.read_bytes()[:900])
        with pytest.raises(ValueError, match="damaged or incomplete"):
            load_image(path, 6)

    def test_a_range_for_what_pillow_cuts_to_8_bits(self, tmp_path: Path) -> None:
        cv2 = pytest.importorskip("cv2")
        cv2.imwrite(str(tmp_path / "deep.png"), numbers(3, 4095).astype(np.uint16).T)
        with pytest.raises(ValueError, match="no range applies to PNG: save it as TIFF"):
            load_image(tmp_path / "deep.png", 3, (0, 4095))

    def test_a_transform_of_pillow_alone(self) -> None:
        model = classifier(6, lambda picture: to_pixels()(picture.convert("RGB")))
        with pytest.raises(ValueError, match=r"use transforms of torchvision\.transforms\.v2"):
            xc.read_image(numbers(6), model, (0, 1))

    def test_things_that_are_no_pictures(self) -> None:
        for given in (torch.rand(3, 8, 8), [1], None):
            with pytest.raises(ValueError, match="picture: give the path of a file"):
                xc.read_image(given, classifier(3))


def test_of_several_pictures_in_a_file_the_first_is_read_aloud(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for suffix in ("gif", "tif"):
        frames[0].save(tmp_path / f"two.{suffix}", save_all=True, append_images=frames[1:])
        with pytest.warns(UserWarning, match="holds several pictures: the first is read"):
            assert load_image(tmp_path / f"two.{suffix}").getpixel((0, 0)) == (255, 0, 0)


def test_what_is_drawn_is_grey_for_two_bands_and_the_first_three_of_more() -> None:
    for channels in (2, 6):
        values = numbers(channels)
        found = xc.explain_picture(classifier(channels), values, "grad-cam", 1, (0, 1))
        drawn = np.asarray(found.photograph) / 255
        expected = values[:3] if channels > 2 else np.repeat(values.mean(0)[None], 3, 0)
        np.testing.assert_allclose(drawn, expected.transpose(1, 2, 0), atol=0.003)
        assert found.overlay().size == (30, 20)
        found.figure()


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder of arrays of six bands, of three classes, and a note beside them."""
    for number in range(6):
        place = tmp_path / "scenes" / str(number % 3)
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{number}.npy", numbers(6, 4095, number).astype(np.uint16))
    (tmp_path / "scenes" / "note.txt").write_text("satellite")
    return tmp_path / "scenes"


MODEL = ["--model", "tests.xaicore.test_bands:six"]


def test_a_folder_of_arrays_is_a_data_set(scenes: Path) -> None:
    data = pictures(scenes, six().transform, channels=6, scale=(0, 4095))
    assert [label for _, label in data] == [0, 0, 1, 1, 2, 2]
    assert data[0][0].shape == (6, 16, 16)
    assert "1 other file left aside, the first note.txt" in data.notes
    Image.new("RGB", (8, 8)).save(scenes / "0" / "photo.png")
    assert list(pictures(scenes, to_pixels()).names) == ["0/photo.png"]


def test_the_command_line_explains_and_evaluates_six_bands(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, range_ = str(scenes / "1"), ["--range", "0,4095"]
    out = ["-o", str(tmp_path / "map.png"), "--overlays", str(tmp_path / "maps")]
    assert main(["explain", folder, *MODEL, *range_, "--method", "grad-cam,score-cam", *out]) == 0
    assert len(list((tmp_path / "maps").iterdir())) == 4
    run = ["--methods", "grad-cam", "--metrics", "ad", "-o", str(tmp_path / "run")]
    assert main(["evaluate", "--images", str(scenes), *MODEL, *range_, *run]) == 0
    records = read_records(tmp_path / "run")
    assert (records["failed"] == "").all()
    assert len(records) == 6
    image = xc.read_image(scenes / "1" / "1.npy", six(), (0, 4095))
    maps = xc.GradCAM(six())(image, 1)
    p, _ = xc.confidence(six(), image, maps, 1)
    assert records.loc[records["file"] == "1/1.npy", "p"].item() == pytest.approx(
        p.item(), rel=1e-5
    )
    capsys.readouterr()
    assert main(["explain", folder, *MODEL, "--range", "0", "--method", "noise", *out]) == 2
    assert "is not LOW,HIGH" in capsys.readouterr().err
    assert main(["explain", folder, *MODEL, "--range", "0,10", "--method", "noise", *out]) == 2
    assert "outside the range 0 to 10" in capsys.readouterr().err
