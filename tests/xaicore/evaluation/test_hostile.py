"""Whatever a user may give: no run hangs, none gives a wrong number without a word.

A case changes a healthy folder and its command. Exit code 2: refused at once, nothing written; 1:
the run is whole, what cannot be measured says why; 0: nothing is wrong with it.
"""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from tests.networks import pictures
from tests.xaicore.evaluation.models import small
from xaicore.cli.main import main
from xaicore.evaluation.folder import read_records
from xaicore.metrics.measures import from_confidence

COUNT = 4
VICTIM = "1.png"


@dataclass
class Case:
    """A healthy run, to be spoilt.

    Attributes:
        folder: where its files are.
        table: labels and boxes of the pictures.
        options: what the command is given.
    """

    folder: Path
    table: pd.DataFrame
    options: dict[str, str] = field(default_factory=dict)

    @property
    def victim(self) -> Path:
        return self.folder / "images" / VICTIM

    def command(self) -> list[str]:
        for name, columns in (("labels", ["label"]), ("boxes", ["x0", "y0", "x1", "y1"])):
            path = self.folder / f"{name}.csv"
            if not path.exists():
                table = self.table[["file", *columns]]
                if name == "boxes":
                    table = table.dropna(how="all", subset=columns)
                table.to_csv(path)
        return ["evaluate", *(word for pair in self.options.items() for word in pair)]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for i, image in enumerate(pictures(COUNT, 24, 32)):
        to_pil_image(image).save(tmp_path / "images" / f"{i}.png")
        mask = Image.new("L", (32, 24))
        mask.paste(255, (8, 6, 24, 18))
        mask.save(tmp_path / "masks" / f"{i}.png")
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(COUNT)], "label": range(COUNT)})
    table = table.astype(object).assign(x0=8.0, y0=6.0, x1=24.0, y1=18.0)
    options = {
        "--model": "tests.xaicore.evaluation.models:small",
        "--images": str(tmp_path / "images"),
        "--labels": str(tmp_path / "labels.csv"),
        "--boxes": str(tmp_path / "boxes.csv"),
        "--masks": str(tmp_path / "masks"),
        "--methods": "grad-cam,fake-cam",
        "--metrics": "ad,ag,ai,le,rma",
        "--batch-size": "2",
        "--out": str(tmp_path / "run"),
    }
    return Case(tmp_path, table, options)


Spoil = Callable[[Case], object]


def write(content: bytes) -> Spoil:
    return lambda case: case.victim.write_bytes(content)


def cell(column: str, value: object) -> Spoil:
    return lambda case: case.table.__setitem__(
        column, [value if i == 1 else v for i, v in enumerate(case.table[column])]
    )


def option(name: str, value: str) -> Spoil:
    return lambda case: case.options.__setitem__(name, value.format(folder=case.folder))


def without(name: str) -> Spoil:
    return lambda case: case.options.pop(name)


def file(name: str, content: bytes) -> Spoil:
    return lambda case: (case.folder / name).write_bytes(content)


def truncated(case: Case) -> None:
    case.victim.write_bytes(case.victim.read_bytes()[:200])


def bomb(case: Case) -> None:
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head
    check = struct.pack(">I", zlib.crc32(b"IHDR" + head))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    case.victim.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + check + data)


def saved(mode: str, kind: str = "PNG") -> Spoil:
    def spoil(case: Case) -> None:
        noise = Image.effect_noise((32, 24), 80).convert("RGB")
        noise.convert(mode).save(case.victim, kind)

    return spoil


def deep(case: Case) -> None:
    values = np.linspace(0, 65535, 32 * 24).astype(np.uint16).reshape(24, 32)
    Image.fromarray(values).save(case.victim)


def folder_instead(case: Case) -> None:
    case.victim.unlink()
    case.victim.mkdir()


def dangling(case: Case) -> None:
    case.victim.unlink()
    case.victim.symlink_to("nowhere.png")


def strange_name(case: Case) -> None:
    name = 'ein Bild, "süß" \n & 100 %.png'
    case.victim.rename(case.victim.with_name(name))
    (case.folder / "masks" / VICTIM).rename(case.folder / "masks" / name)
    cell("file", name)(case)


def twice(case: Case) -> None:
    case.table = pd.concat([case.table, case.table.iloc[:1]], ignore_index=True)


def black_mask(case: Case) -> None:
    Image.new("L", (32, 24)).save(case.folder / "masks" / VICTIM)


def counted_mask(case: Case) -> None:
    mask = Image.new("L", (32, 24))
    mask.paste(1, (8, 6, 24, 18))
    mask.save(case.folder / "masks" / VICTIM)


def cells(column: str, value: object) -> Spoil:
    return lambda case: case.table.__setitem__(column, value)


def labels_saved(text: str, encoding: str) -> Spoil:
    return lambda case: (case.folder / "labels.csv").write_bytes(text.encode(encoding))


def saved_numbers(mode: str) -> Spoil:
    def spoil(case: Case) -> None:
        values = np.linspace(0, 4095, 32 * 24).reshape(24, 32).astype(np.float32)
        Image.fromarray(values).convert(mode).save(case.victim, "TIFF")

    return spoil


def small_mask(case: Case) -> None:
    Image.new("L", (16, 12), 255).save(case.folder / "masks" / VICTIM)


def no_box(case: Case) -> None:
    for corner in ("x0", "y0", "x1", "y1"):
        cell(corner, None)(case)


def class_folders(case: Case) -> None:
    for name in ("cat", "dog"):
        (case.folder / "classes" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(case.folder / "classes" / name / "1.png")
    case.options |= {
        "--images": str(case.folder / "classes"),
        "--model": "xaibook.flowers:flower_classifier",
    }
    del case.options["--labels"]


def both_kinds(case: Case) -> None:
    class_folders(case)
    Image.new("RGB", (9, 9)).save(case.folder / "classes" / "cover.png")


def other_masks(case: Case) -> None:
    for mask in (case.folder / "masks").iterdir():
        mask.rename(mask.with_name(f"mask_{mask.name}"))


def checkpoint(case: Case) -> None:
    state = small().net.state_dict()
    torch.save({"state_dict": state, "epoch": 3}, case.folder / "checkpoint.pt")
    case.options["--weights"] = str(case.folder / "checkpoint.pt")


def foreign_checkpoint(case: Case) -> None:
    torch.save({"state_dict": {"fc.w": torch.ones(2)}}, case.folder / "checkpoint.pt")
    case.options["--weights"] = str(case.folder / "checkpoint.pt")


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran-the-payload",)


CASES: dict[str, tuple[Spoil, int, str]] = {
    "a truncated picture": (truncated, 1, "damaged or incomplete"),
    "an empty file": (write(b""), 1, "is empty"),
    "text that calls itself a picture": (write(b"hello"), 1, "not a picture"),
    "one pixel": (lambda case: Image.new("RGB", (1, 1)).save(case.victim), 1, "at least 2x2"),
    "a decompression bomb": (bomb, 1, "too large a picture"),
    "a folder for a picture": (folder_instead, 1, "is a folder"),
    "a missing picture": (lambda case: case.victim.unlink(), 1, "does not exist"),
    "a link to nowhere": (dangling, 1, "does not exist"),
    "16 bits of grey": (deep, 0, ""),
    "CMYK": (saved("CMYK", "JPEG"), 0, ""),
    "transparency": (saved("RGBA"), 0, ""),
    "a palette": (saved("P", "GIF"), 0, ""),
    "a strange name": (strange_name, 0, ""),
    "a picture listed twice": (twice, 0, ""),
    "a class that does not exist": (cell("label", 99), 1, "class 99 is out of range"),
    "a negative class": (cell("label", -1), 1, "label -1 is no class"),
    "a class in words nobody knows": (cell("label", "dog"), 1, "label 'dog' is no class"),
    "a class that is a fraction": (cell("label", 1.5), 1, "label '1.5' is no class"),
    "no class": (cell("label", None), 1, "it has no label"),
    "labels without their column": (file("labels.csv", b"file,class\n1.png,1\n"), 2, "label"),
    "labels that are no table": (file("labels.csv", b"\x00\xff\xfe" * 99), 2, "labels"),
    "labels without a row": (file("labels.csv", b"file,label\n"), 2, "there is no picture"),
    "labels with semicolons": (
        labels_saved("file;label\n0.png;0\n1.png;1\n2.png;2\n3.png;3\n", "utf-8"),
        0,
        "",
    ),
    "labels from Windows": (
        labels_saved("File, Label\r\n0.png,0\r\n1.png,1\r\n.\\2.png,2\r\n3.png,3\r\n", "utf-16"),
        0,
        "",
    ),
    "labels of other pictures": (
        option("--images", "{folder}"),
        2,
        "labels.csv is in",
    ),
    "no labels at all": (option("--labels", "{folder}/none.csv"), 2, "there is no file"),
    "an image without a box": (no_box, 1, "no box is known"),
    "a box that is no number": (cell("x0", "left"), 1, "a corner is not a number"),
    "a box turned around": (cell("x1", 2.0), 1, "(8, 6, 2, 18) is turned"),
    "a box beside the picture": (cell("x0", 40.0), 1, "(40, 6, 24, 18) is turned"),
    "a box far beside it": (
        lambda c: [cell(k, 99.0 + k.endswith("1"))(c) for k in ("x0", "x1")],
        1,
        "(99, 6, 100, 18) lies outside the picture of 32x24",
    ),
    "boxes without corners": (
        file("boxes.csv", b"file,x,y\n1.png,1,1\n"),
        2,
        "lacks the column x0",
    ),
    "boxes of other pictures": (
        file("boxes.csv", b"file,x0,y0,x1,y1\n1,1,1,9,9\n"),
        2,
        "boxes.csv is a picture, the first is 1",
    ),
    "masks of other pictures": (other_masks, 2, "there is none for any picture"),
    "a black mask": (black_mask, 1, "mask"),
    "a mask of 0 and 1": (counted_mask, 1, "has the values 0, 1, not 0 and 255 alone"),
    "fractions called pixels": (
        lambda c: [cells(k, 0.5)(c) for k in ("x0", "y0", "x1", "y1")],
        2,
        "these are fractions, not pixels",
    ),
    "32 bits of no range": (saved_numbers("F"), 1, "whose black and white nobody knows"),
    "32 bits beyond the range": (
        lambda case: [saved_numbers("F")(case), option("--range", "0,1")(case)],
        1,
        "outside the range 0 to 1",
    ),
    "32 bits of a range": (
        lambda case: [saved_numbers("F")(case), option("--range", "0,4095")(case)],
        0,
        "",
    ),
    "a range that is none": (option("--range", "5"), 2, "is not LOW,HIGH"),
    "a range that falls": (option("--range", "5,1"), 2, "it must rise"),
    "a mask of another size": (small_mask, 1, "the mask has 16x12 pixels"),
    "an image without a mask": (
        lambda case: (case.folder / "masks" / VICTIM).unlink(),
        1,
        "no mask is known",
    ),
    "boxes asked for, none given": (without("--boxes"), 2, "for LE give --boxes"),
    "a function that returns no images": (
        lambda case: (
            [case.options.pop(name) for name in ("--labels", "--boxes", "--masks")]
            + [case.options.update({"--images": "tests.xaicore.evaluation.models:nothing"})]
        ),
        2,
        "returns NoneType, not a data set",
    ),
    "a table of classes for a function": (
        option("--images", "tests.xaicore.evaluation.models:gallery"),
        2,
        "--labels belongs to a folder of pictures",
    ),
    "a folder that does not exist": (option("--images", "{folder}/none"), 2, "is not a folder"),
    "folders that are no classes": (class_folders, 2, "is no class of the network"),
    "pictures and folders of pictures": (both_kinds, 2, "keep one or the other"),
    "a network of NaN": (
        option("--model", "tests.xaicore.evaluation.models:nan"),
        2,
        "NaN or infinity",
    ),
    "a network of NaN for some": (
        option("--model", "tests.xaicore.evaluation.models:half_nan"),
        1,
        "NaN or infinity",
    ),
    "a function that fails": (
        option("--model", "tests.xaicore.evaluation.models:failing"),
        2,
        "no such checkp",
    ),
    "a function that returns nothing": (
        option("--model", "tests.xaicore.evaluation.models:nothing"),
        2,
        "returns NoneType",
    ),
    "a module that does not exist": (option("--model", "nowhere:net"), 2, "No module named"),
    "a network without a known layer": (
        option("--model", "tests.xaicore.evaluation.models:plain"),
        2,
        "no CAM layer is known for Sequential: give --layer, for example 5",
    ),
    "a layer that does not exist": (option("--layer", "99"), 2, "no module called '99'"),
    "a layer that is no map": (option("--layer", "8"), 1, "not a feature map"),
    "weights that run code": (option("--weights", "{folder}/evil.pt"), 2, "not a file of weights"),
    "weights inside a checkpoint": (checkpoint, 0, ""),
    "a checkpoint of another network": (foreign_checkpoint, 2, "it has no 0.weight; it has fc.w"),
    "a method for another network": (option("--methods", "grad-cam,rollout"), 1, "self-attention"),
    "an unknown method": (option("--methods", "grad-kam"), 2, "did you mean grad-cam"),
    "an unknown metric": (option("--metrics", "adc"), 2, "did you mean"),
    "spaces, capitals, a method twice": (
        option("--methods", "Grad-CAM, fake-cam,grad-cam,"),
        0,
        "",
    ),
    "no method": (option("--methods", ","), 2, "at least one image and one method"),
    "a setting of another type": (
        lambda case: case.options.update(
            {"--methods": "opti-cam", "--set": "opti-cam.iterations=x"}
        ),
        2,
        "opti-cam cannot be made with iterations='x'",
    ),
    "a setting without a value": (option("--set", "grad-cam"), 2, "write METHOD.SETTING=VALUE"),
    "a setting nobody knows": (option("--set", "grad-cam.steps=3"), 2, "no setting 'steps'"),
    "a batch of nothing": (option("--batch-size", "0"), 2, "at least 1"),
    "a batch of words": (option("--batch-size", "many"), 2, "neither a number nor auto"),
    "a batch without end": (option("--batch-size", "1000000000"), 0, ""),
    "threads without end": (option("--threads", "100000"), 2, "threads must be at most 1024"),
    "workers below nothing": (option("--workers", "-1"), 2, "workers must be 0 or more"),
    "a device that does not exist": (option("--device", "gpu"), 2, "'gpu' cannot be used here"),
    "a device that computes nothing": (option("--device", "meta"), 2, "'meta' cannot be used"),
    "a file for a folder": (option("--out", "{folder}/labels.csv"), 2, "cannot be written"),
    "a damaged manifest": (
        lambda case: [(case.folder / "run").mkdir(), file("run/manifest.json", b"{")(case)],
        2,
        "is damaged",
    ),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_input_is_refused_or_recorded(
    name: str, case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, code, words = CASES[name]
    monkeypatch.chdir(case.folder)
    (case.folder / "evil.pt").write_bytes(pickle.dumps(Payload()))
    spoil(case)
    command = case.command()
    assert main(command) == code
    error = capsys.readouterr().err
    assert not (case.folder / "ran-the-payload").exists()
    if code == 2:
        assert words in error
        assert error.count("\n") == 1
        assert not (case.folder / "run" / "chunks").exists()
        return
    whole(read_records(case.folder / "run"), len(case.table), code, words)
    assert main(command) == code  # the next time too


def whole(records: pd.DataFrame, images: int, code: int, words: str) -> None:
    """Demand every row, with a number that can be or a reason, but not both."""
    assert len(records) == images * 2 * 5
    assert not records.duplicated(["image", "method", "metric"]).any()
    failed = records["failed"] != ""
    assert (records["value"].isna() == failed).all()
    assert failed.any() == bool(code)
    assert records.loc[failed, "failed"].str.contains(words, regex=False).all()
    values = records.loc[~failed, "value"]
    assert values.between(0, 1).all()
    healthy = records[~failed & records["metric"].isin(["AD", "AG", "AI"])]
    p, o = (torch.tensor(healthy[name].to_numpy()) for name in ("p", "o"))
    for name, found in from_confidence(p, o).items():
        of_it = (healthy["metric"] == name).to_numpy()
        np.testing.assert_array_equal(healthy["value"][of_it], found[of_it])


def test_what_is_wrong_with_one_image_does_not_touch_the_others(case: Case) -> None:
    """The other image of the batch is measured alone then, and so to within rounding."""
    assert main(case.command()) == 0
    healthy = read_records(case.folder / "run")
    cell("label", 99)(case)
    (case.folder / "labels.csv").unlink()
    case.options["--out"] = str(case.folder / "other")
    assert main(case.command()) == 1
    spoilt = read_records(case.folder / "other")
    apart, untouched = spoilt["image"] == 0, spoilt["image"] >= 2
    pd.testing.assert_series_equal(spoilt["value"][untouched], healthy["value"][untouched])
    np.testing.assert_allclose(spoilt["value"][apart], healthy["value"][apart], atol=1e-5)
