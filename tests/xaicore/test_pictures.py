"""A user's pictures: classes from folders or a table, boxes and masks cut as the pictures are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from xaibook.data import find_data
from xaicore.classifier import to_pixels
from xaicore.pictures import Pictures, pictures

WHOLE = to_pixels(v2.Resize((20, 40)))
CENTRE = to_pixels(v2.Resize((20, 40)), v2.CenterCrop(20))
CLASSES = ("tench", "crane", "maillot", "Crane bird", "maillot")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "notes.txt", "c.JPEG"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            Image.new("RGB", (80, 40), "white").save(tmp_path / name)
    return tmp_path


def labelled(folder: Path, labels: list[object]) -> Pictures:
    names = ["a.jpg", "b.png", "c.JPEG"][: len(labels)]
    pd.DataFrame({"file": names, "label": labels}).to_csv(folder / "labels.csv", index=False)
    return pictures(folder, WHOLE, CLASSES, labels=folder / "labels.csv")


def test_a_folder_without_classes_gives_pictures_in_the_order_of_names(folder: Path) -> None:
    found = pictures(folder, WHOLE, CLASSES)
    assert found.names == ["a.jpg", "b.png", "c.JPEG"]
    image, label = found[0]
    assert image.shape == (3, 20, 40)
    assert (image == 1).all()
    assert label is None
    assert len(pictures(folder, WHOLE, CLASSES, limit=2)) == 2


def test_a_table_decides_the_order(folder: Path) -> None:
    for name, level in (("b.png", 100), ("a.jpg", 0)):
        Image.new("RGB", (8, 6), (level,) * 3).save(folder / name, format="png")
    (folder / "labels.csv").write_text("file,author,label\nb.png,x,7\na.jpg,y,3\n")
    found = pictures(folder, to_pixels(), labels=folder / "labels.csv")
    assert found.names == ["b.png", "a.jpg"]
    assert [label for _, label in found] == [7, 3]
    assert torch.equal(found[0][0], to_pixels()(Image.new("RGB", (8, 6), (100,) * 3)))
    assert found[0][0].mean().item() == pytest.approx(100 / 255)
    assert not found[1][0].any()


def test_labels_are_numbers_or_names(folder: Path) -> None:
    found = labelled(folder, [3, "crane", "Tench"])
    assert [found[i][1] for i in range(3)] == [3, 1, 0]


def test_a_label_that_is_none_is_an_error_of_its_item_alone(folder: Path) -> None:
    found = labelled(folder, ["crane", "maillot", None])
    assert found[0][1] == 1
    with pytest.raises(ValueError, match="more than one class"):
        found[1]
    with pytest.raises(ValueError, match="has no label"):
        found[2]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("crane", "tench"), [1, 0]),
        (("4", "03"), [3, 4]),
        (("p", "q", "r", "s", "t"), [0, 1, 2, 3, 4]),
    ],
)
def test_folders_are_classes_by_name_number_or_place(
    names: tuple[str, ...], expected: list[int], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.png")
    found = pictures(tmp_path, WHOLE, CLASSES)
    assert [found[i][1] for i in range(len(found))] == expected
    assert found.names == [f"{name}/x.png" for name in sorted(names)]


def test_without_a_network_folders_name_the_classes(tmp_path: Path) -> None:
    for name in ("swan", "heron"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.png")
    found = pictures(tmp_path, WHOLE)
    assert found.classes == ["heron", "swan"]
    assert found.labels == [0, 1]
    assert pictures(tmp_path, WHOLE, ["1", "swan", "heron"]).labels == [2, 1]
    (tmp_path / "heron").rename(tmp_path / "1")
    named = pictures(tmp_path, WHOLE)
    assert (named.classes, named.labels) == (["1", "swan"], [0, 1])
    assert pictures(tmp_path, WHOLE, named.classes).labels == [0, 1]
    (tmp_path / "1").rename(tmp_path / "albatross")
    with pytest.raises(ValueError, match="'albatross' is no class"):
        pictures(tmp_path, WHOLE, ["heron", "stork", "swan"])


def test_folders_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "heron").mkdir()
    with pytest.raises(
        ValueError, match=r"'heron' is no class of the network: .* 5 classes, not 1"
    ):
        pictures(tmp_path, WHOLE, CLASSES)


def test_what_is_hidden_is_left_aside(tmp_path: Path) -> None:
    """Jupyter, macOS and others leave such files and folders everywhere."""
    for name in ("crane/x.png", "crane/._x.png", ".ipynb_checkpoints/x-checkpoint.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert pictures(tmp_path, WHOLE, CLASSES).names == ["crane/x.png"]


def test_pictures_beside_folders_of_pictures_are_refused(folder: Path) -> None:
    (folder / "crane").mkdir()
    assert len(pictures(folder, WHOLE, CLASSES)) == 3
    Image.new("RGB", (4, 4)).save(folder / "crane" / "x.png")
    with pytest.raises(ValueError, match=r"a\.jpg first, and folders of pictures, crane first"):
        pictures(folder, WHOLE, CLASSES)


class Logits:
    """A network of so many classes, which counts how often it is asked."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.asked += 1
        return torch.zeros(len(images), self.count)


def in_folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / name / "x.png")
    return root


def test_the_place_among_folders_is_a_class_only_for_as_many_logits(tmp_path: Path) -> None:
    in_folders(tmp_path, "cat", "dog", "horse")
    network = Logits(3)
    found = pictures(tmp_path, WHOLE, network=network)
    assert (found.labels, network.asked) == ([0, 1, 2], 1)
    assert found.notes[0] == "classes: the order of 3 folders (cat 0, dog 1, horse 2)"
    with pytest.raises(ValueError, match=r"'cat' is no class .* 5 classes, not 3"):
        pictures(tmp_path, WHOLE, network=Logits(5))
    named = pictures(tmp_path, WHOLE, ["horse", "dog", "cat", "x"], network=network)
    assert (named.labels, network.asked) == ([2, 1, 0], 1)
    assert named.notes[0] == "classes: the names of 3 folders"


@pytest.mark.parametrize(
    ("folders", "classes", "words"),
    [
        (
            ("dog", "tabby_cat"),
            ("tabby cat", "dog"),
            "'tabby_cat' is .*'dog' is.*mean tab",
        ),
        (("1", "2", "3"), None, "'3' is no class of the network .classes count from 0."),
        (("0", "1"), ("1", "2"), "'0' is the name of no class, but '1' is"),
        (("maillot", "tench"), CLASSES, "'maillot' is more than one class"),
        (("train", "val"), None, "are parts of a data set"),
    ],
)
def test_folders_of_which_some_are_no_classes_are_refused(
    folders: tuple[str, ...], classes: tuple[str, ...] | None, words: str, tmp_path: Path
) -> None:
    in_folders(tmp_path, *folders)
    with pytest.raises(ValueError, match=words):
        pictures(tmp_path, WHOLE, classes, network=Logits(len(folders)))


def test_a_name_of_a_class_comes_before_its_number(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\na.jpg,2\nb.png,1\n")
    assert pictures(folder, WHOLE, ["1", "2"], folder / "labels.csv").labels == [1, 0]
    assert pictures(folder, WHOLE, ["x", "y", "z"], folder / "labels.csv").labels == [2, 1]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file,label\nä.png,None\nb.png,NA\n", "utf-8-sig"),
        ("file,label\r\nä.png,None\r\nb.png,NA\r\n", "utf-16"),
        ("file\tlabel\nä.png\tNone\nb.png\tNA\n", "cp1252"),
        ("File; Label\nä.png;None\nb.png;NA\n", "utf-8"),
        ("file, label \n.\\ä.png, None,\nb.png , NA,\n", "utf-8"),
    ],
)
def test_tables_are_read_however_they_were_saved(text: str, encoding: str, tmp_path: Path) -> None:
    for name in ("ä.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    found = pictures(tmp_path, WHOLE, ["NA", "x", "None"], tmp_path / "labels.csv")
    assert found.labels == [2, 0]
    assert [image.shape for image, _ in found] == [(3, 20, 40)] * 2
    assert found.notes == [f"classes: the names in {tmp_path / 'labels.csv'}"]


def test_every_kind_that_pillow_opens_is_read_however_deep(tmp_path: Path) -> None:
    for name in ("a.ppm", "b.tga", "c.JP2", "d.pbm", "e.ico"):
        kind = {"c.JP2": "JPEG2000", "d.pbm": "PPM"}.get(name)
        (tmp_path / "crane" / "images").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "crane" / "images" / name, kind)
    (tmp_path / "crane" / "masks").mkdir()
    Image.new("L", (16, 16)).save(tmp_path / "crane" / "masks" / "a.png")
    (tmp_path / "crane" / "words.h5").write_text("no picture")
    found = pictures(tmp_path, WHOLE, CLASSES)
    assert [Path(name).name for name in found.names] == [
        *("a.ppm", "b.tga", "c.JP2", "d.pbm", "e.ico")
    ]
    assert [label for _, label in found] == [1] * 5
    assert found.notes[1] == "2 other files left aside, the first crane/masks/a.png"


def test_pictures_have_the_channels_of_the_network(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGBA", (4, 4), (1, 2, 3, 51)).save(tmp_path / "b.png")
    grey = pictures(tmp_path, to_pixels(), channels=1)
    assert grey[0][0].shape == (1, 4, 4)
    assert grey[0][0].unique().tolist() == pytest.approx([76 / 255])
    four = pictures(tmp_path, to_pixels(), channels=4)
    assert four[1][0][:, 0, 0].tolist() == pytest.approx([n / 255 for n in (1, 2, 3, 51)])
    with pytest.raises(ValueError, match="has the bands RGB, not 4 channels"):
        four[0]
    with pytest.raises(ValueError, match="has the bands RGB, not 13 channels"):
        pictures(tmp_path, to_pixels(), channels=13)[0]


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.uint16])
def test_numbers_of_many_bits_are_scaled_by_their_range(kind: type, tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 16).reshape(4, 4).astype(kind)
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = pictures(tmp_path, to_pixels(), scale=(0, 4095))[0][0]
    assert np.abs(found[0].numpy() - values / 4095).max() <= 0.5 / 255 + 1e-6
    plain = pictures(tmp_path, to_pixels())
    if kind is np.uint16:
        assert plain[0][0].max().item() == pytest.approx(16 / 255)
    else:
        with pytest.raises(ValueError, match=r"32-bit values from 0 to 4095, .* declare the range"):
            plain[0]
    with pytest.raises(ValueError, match="outside the range 0 to 255"):
        pictures(tmp_path, to_pixels(), scale=(0, 255))[0]


def test_masks_are_black_and_white_or_their_class_is_told(folder: Path) -> None:
    values = np.zeros((40, 80), dtype=np.uint8)
    values[:, :20], values[:, 20:30] = 2, 7
    (folder / "masks").mkdir()
    Image.fromarray(values).save(folder / "masks" / "a.png")
    for value, share in ((2, 0.25), (7, 0.125), (0, 0.625)):
        found = pictures(folder, WHOLE, masks=folder / "masks", mask_value=value)
        assert found[0][2]["mask"].mean().item() == share
    with pytest.raises(ValueError, match="has the values 0, 2, 7, not 0 and 255 alone"):
        pictures(folder, WHOLE, masks=folder / "masks")[0]


def test_boxes_that_are_doubtful_are_refused(folder: Path) -> None:
    for corners, words in (
        ({"x0": 0.1, "y0": 0.1, "x1": 0.9, "y1": 1}, "these are fractions, not pixels"),
        ({"x0_frac": 9, "y0_frac": 9, "x1_frac": 60, "y1_frac": 30}, "has 60 where fractions"),
        ({"x0": 40, "y0": 20, "x1": 30, "y1": 30}, "is turned"),
        ({"x0": 90, "y0": 20, "x1": 99, "y1": 30}, "outside the picture of 80x40 pixels"),
    ):
        with pytest.raises(ValueError, match=words):
            boxes_of(folder, WHOLE, **corners)


def boxes_of(folder: Path, transform: object, **corners: float) -> Tensor | None:
    pd.DataFrame([{"file": "a.jpg", **corners}]).to_csv(folder / "boxes.csv", index=False)
    found = pictures(folder, transform, CLASSES, boxes=folder / "boxes.csv")  # type: ignore[arg-type]
    assert found[1][2]["boxes"] is None
    return found[0][2]["boxes"]


def test_boxes_are_cut_as_the_picture_is(folder: Path) -> None:
    """80x40 becomes 40x20, of which the middle 20x20 is seen: x loses 10."""
    corners = {"x0": 10, "y0": 0, "x1": 60, "y1": 20}
    fractions = {"x0_frac": 0.125, "y0_frac": 0, "x1_frac": 0.75, "y1_frac": 0.5}
    for given in (corners, fractions):
        assert boxes_of(folder, WHOLE, **given).tolist() == [[5, 0, 30, 10]]  # type: ignore[union-attr]
        assert boxes_of(folder, CENTRE, **given).tolist() == [[0, 0, 20, 10]]  # type: ignore[union-attr]
    assert boxes_of(folder, CENTRE, x0=0, y0=0, x1=15, y1=40) is None  # nothing of it is seen


def test_masks_are_cut_as_the_picture_is(folder: Path) -> None:
    mask = Image.new("L", (80, 40))
    mask.paste(255, (10, 0, 60, 20))
    (folder / "masks").mkdir()
    mask.save(folder / "masks" / "a.png")
    found = pictures(folder, CENTRE, CLASSES, masks=folder / "masks")
    seen = found[0][2]["mask"]
    expected = torch.zeros(1, 20, 20)
    expected[:, :10] = 1
    assert seen is not None
    assert torch.equal(seen, expected)
    assert found[1][2]["mask"] is None


def test_boxes_need_a_transform_that_takes_them_along(folder: Path) -> None:
    (folder / "boxes.csv").write_text("file,x0,y0,x1,y1\na.jpg,1,1,2,2\n")
    with pytest.raises(ValueError, match=r"torchvision\.transforms\.v2"):
        pictures(folder, lambda _: torch.zeros(3, 2, 2), boxes=folder / "boxes.csv")


def test_what_identifies_pictures_changes_with_them(folder: Path) -> None:
    def identity(**options: object) -> list[object]:
        found = pictures(folder, **({"transform": WHOLE} | options))  # type: ignore[arg-type]
        return [part for place in range(len(found)) for part in found.identity(place)]

    one = identity()
    assert one == identity()
    assert one != identity(transform=CENTRE)
    assert one != identity(limit=2)
    Image.new("RGB", (81, 40)).save(folder / "a.jpg")
    assert one != identity()


@pytest.mark.parametrize("name", ["imagenet_val1300", "photos_cc_by"])
def test_real_pictures_are_read_with_their_labels(name: str) -> None:
    data = find_data()
    if data is None or not (data / name).is_dir():
        pytest.skip(f"the real pictures {name} are not here: set XAICORE_DATA")
    found = pictures(data / name / "images", to_pixels(), labels=data / name / "labels.csv")
    assert len(found) >= 300
    for index in range(0, len(found), len(found) // 10):
        image, label = found[index]
        assert image.shape[0] == 3
        assert min(image.shape[1:]) >= 200
        assert 0 <= image.min() < image.max() <= 1
        assert 0 <= label <= 999


@pytest.mark.parametrize(
    ("corners", "told"),
    [
        ([(0.1, 0.1, 0.5, 0.5)], "so these are fractions"),
        ([(0.1, 0.1, 0.5, 0.5), (0, 0, 1.02, 0.9)], r"above 1\.02, so these are fractions"),
        ([(0, 0, 1, 1)], "so these are fractions"),
    ],
)
def test_fractions_that_are_called_pixels_are_refused(
    folder: Path, corners: list[tuple[float, ...]], told: str
) -> None:
    table = pd.DataFrame(corners, columns=["x0", "y0", "x1", "y1"]).assign(file="a.jpg")
    table.to_csv(folder / "boxes.csv", index=False)
    with pytest.raises(ValueError, match=told):
        pictures(folder, WHOLE, CLASSES, boxes=folder / "boxes.csv")


@pytest.mark.parametrize(
    ("corners", "note"),
    [
        ([(0, 0, 2, 2)], "1 of 1 boxes end within 2 pixels"),
        ([(0.1, 0.1, 0.5, 0.5), (8, 8, 30, 20)], "1 of 2 boxes end within 2 pixels"),
        ([(8, 8, 30, 20), (20, 8, 3, 2)], "1 of 2 boxes are turned"),
        ([(8, 8, 30, 20)], ""),
    ],
)
def test_boxes_that_are_doubtful_are_told(
    folder: Path, corners: list[tuple[float, ...]], note: str
) -> None:
    table = pd.DataFrame(corners, columns=["x0", "y0", "x1", "y1"]).assign(file="a.jpg")
    table.to_csv(folder / "boxes.csv", index=False)
    notes = pictures(folder, WHOLE, CLASSES, boxes=folder / "boxes.csv").notes
    assert ("boxes" in " ".join(notes)) == bool(note)
    assert note in " ".join(notes)


def test_a_box_that_is_empty_fails_and_one_that_reaches_beyond_warns(folder: Path) -> None:
    boxes = folder / "boxes.csv"
    boxes.write_text("file,x0,y0,x1,y1\na.jpg,8,8,8,20\nb.png,8,8,30,90\nc.JPEG,0,0,81,41\n")
    found = pictures(folder, WHOLE, CLASSES, boxes=boxes)
    with pytest.raises(ValueError, match=r"the box \(8, 8, 8, 20\) is empty"):
        found[0]
    with pytest.warns(UserWarning, match="boxes reach beyond their pictures"):
        found[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found[2]


def test_labels_that_count_from_1_to_the_number_of_classes_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"count from 1 to 5, .* from 0 to 4: take one off"):
        labelled(folder, [1, 3, 5])
    assert [label for _, label in labelled(folder, [1, 3, 4])] == [1, 3, 4]
    assert [label for _, label in labelled(folder, [0, 3, 4])] == [0, 3, 4]


def test_a_file_that_is_listed_again_is_told(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\na.jpg,0\nb.png,1\na.jpg,2\n")
    notes = pictures(folder, WHOLE, CLASSES, labels=folder / "labels.csv").notes
    assert "1 of 3 rows list a file again, the first a.jpg" in notes


def test_pictures_that_a_table_leaves_out_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "in/c.png", "in/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    table = tmp_path / "labels.csv"
    table.write_text("file,label\na.png,0\nin/c.png,1\n", encoding="utf-8")
    read = {"transform": to_pixels(), "classes": ["x", "y"], "labels": table}
    assert (
        "2 other pictures are not in the table, the first b.png" in pictures(tmp_path, **read).notes
    )
    table.write_text("file,label\na.png,0\nb.png,0\nin/c.png,1\n", encoding="utf-8")
    assert (
        "1 other picture is not in the table, the first in/d.png"
        in pictures(tmp_path, **read).notes
    )
