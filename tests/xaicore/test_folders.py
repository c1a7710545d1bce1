"""Reading pictures from disk: what is read, and what is refused in one sentence."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from xaibook.data import find_data
from xaicore.folders import ImageTable, load_image


@pytest.fixture
def picture(tmp_path):
    """A JPEG of 40x30 noisy pixels."""
    path = tmp_path / "picture.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    return path


# One picture --------------------------------------------------------------------------------------


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


# A table of pictures ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Three grey pictures b, a, c of rising brightness, and a file that is no picture."""
    images = tmp_path / "images"
    images.mkdir()
    for level, name in enumerate("bac"):
        Image.new("RGB", (8, 6), (100 * level,) * 3).save(images / f"{name}.PNG", format="png")
    (images / "notes.txt").write_text("none")
    return images


def test_a_folder_alone_gives_its_pictures_in_order_of_names(folder):
    data = ImageTable(folder)
    assert list(data.table["file"]) == ["a.PNG", "b.PNG", "c.PNG"]
    image, label = data[0]
    assert image.shape == (3, 6, 8)
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.full((3, 6, 8), 100 / 255))
    assert label == -1
    assert len(list(data)) == len(data) == 3


def test_a_table_gives_labels_in_its_own_order_and_keeps_its_columns(folder, tmp_path):
    rows = {"file": ["c.PNG", "b.PNG"], "label": [7, 3], "author": ["x", "y"]}
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    data = ImageTable(folder, tmp_path / "labels.csv", transform=lambda image: torch.ones(2))
    assert [label for _, label in data] == [7, 3]
    assert torch.equal(data[1][0], torch.ones(2))
    assert list(data.table["author"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\nb.PNG,1\n", "lacks the column file"),
        ("name\nb.PNG\n", "lacks the column file and label"),
        ("file,label\nb.PNG,1\nz.PNG,2\n", r"1 files of .* are not in .*, the first z.PNG"),
        ("file,label\n", "no picture is listed"),
        ("file,label\nb.PNG,\n", "without a class index"),
        ("file,label\nb.PNG,daisy\n", "without a class index"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(folder, tmp_path, table, message):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=message):
        ImageTable(folder, tmp_path / "labels.csv")


def test_what_does_not_exist_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        ImageTable(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"labels\.csv does not exist"):
        ImageTable(folder, tmp_path / "labels.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture is listed"):
        ImageTable(tmp_path / "empty")


@pytest.mark.parametrize("name", ["imagenet_val1300", "photos_cc_by"])
def test_real_pictures_are_read_with_their_labels(name):
    data = find_data()
    if data is None or not (data / name).is_dir():
        pytest.skip(f"the real pictures {name} are not here: set XAICORE_DATA")
    table = ImageTable(data / name / "images", data / name / "labels.csv")
    assert len(table) >= 300
    assert table.table["label"].between(0, 999).all()
    for index in range(0, len(table), len(table) // 10):
        image, label = table[index]
        assert image.shape[0] == 3
        assert min(image.shape[1:]) >= 200
        assert 0 <= image.min() < image.max() <= 1
        assert label == table.table["label"].iloc[index]
