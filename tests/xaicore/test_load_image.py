"""Reading one picture from disk: what is read, and what is refused in one sentence."""

import itertools

import numpy as np
import pytest
from PIL import Image

from xaicore.pictures import load_image


@pytest.fixture
def picture(tmp_path):
    """A JPEG of 40x30 noisy pixels."""
    path = tmp_path / "picture.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    return path


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *itertools.product(["png", "webp", "bmp", "gif", "tiff"], ["RGB", "L", "P", "1"]),
        *itertools.product(["jpg"], ["RGB", "L", "1"]),
    ],
)
def test_every_format_and_mode_is_read_as_rgb(tmp_path, suffix, mode):
    path = tmp_path / f"picture.{suffix}"
    Image.new("RGB", (6, 4), "white").convert(mode).save(path)
    image = load_image(path)
    assert (image.mode, image.size) == ("RGB", (6, 4))
    assert np.asarray(image).min() >= 250


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_becomes_white(tmp_path, mode):
    Image.new("RGBA", (6, 4), (10, 20, 30, 0)).convert(mode).save(tmp_path / "clear.tiff")
    assert np.asarray(load_image(tmp_path / "clear.tiff")).min() == 255


def test_cmyk_is_read_as_rgb(tmp_path):
    Image.new("CMYK", (6, 4), (0, 0, 0, 0)).save(tmp_path / "print.jpg")
    assert np.asarray(load_image(tmp_path / "print.jpg")).min() >= 250


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    grey = np.asarray(load_image(tmp_path / "deep.png"))[..., 0].ravel()
    assert np.abs(grey - np.arange(256.0)).max() <= 1


def test_a_photograph_is_turned_as_the_camera_recorded(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    Image.new("RGB", (40, 30), "red").save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (30, 40)


def test_a_name_with_spaces_accents_and_no_suffix_is_read(tmp_path):
    path = tmp_path / "été à Oô"
    Image.new("RGB", (3, 2)).save(path, format="png")
    assert load_image(str(path)).size == (3, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is a text, not a picture\n" * 9, "not a picture in a known format"),
        (b"\xff\xd8\xff\xe0", "not a picture in a known format|damaged or incomplete"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path, content, message):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refusal:
        load_image(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tiff", "bmp", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, picture, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    load_image(picture).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"damaged or incomplete|not a picture"):
        load_image(path)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_a_picture_without_extent_is_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "dot.png")
    with pytest.raises(ValueError, match=rf"{size[0]}x{size[1]} pixels: at least 2x2"):
        load_image(tmp_path / "dot.png")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist: check the path"):
        load_image(tmp_path / "nothing.jpg")
    with pytest.raises(ValueError, match="is a folder: give the path of one picture"):
        load_image(tmp_path)


def test_a_picture_of_unreasonable_size_is_refused(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="too large"):
        load_image(picture)
