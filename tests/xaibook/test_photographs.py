"""Photographs that are shown: their packages say that they may be, and whose they are."""

from __future__ import annotations

import csv
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xaicore as xc
from xaibook import photographs
from xaibook.photographs import (
    FREE,
    PHOTOGRAPHS,
    Photograph,
    free_photographs,
    licences,
    real_photographs,
)

SAID = {
    "cat": r"chelsea\b.*CC0 by the photographer \(Stefan van der Walt\)",
    "espresso": r"coffee\b.*CC0 by the photographer \(Rachel Michetti\)",
    "rocket": r"rocket\b.*captured by SpaceX and `released in the public domain",
    "astronaut": r"astronaut\b.*NASA Great Images.*released into the public domain",
    "temple": r"china\.jpg.*creative commons license.*by danielbuechele.*licenses/by/2\.0/",
    "dahlia": r"flower\.jpg.*creative commons license.*licenses/by/2\.0/.*photos/vultilion/",
}
"""What the package says of each photograph, in its own words."""


def words_of(photograph: Photograph) -> str:
    """What the package that holds a photograph says of it."""
    if photograph.place.startswith("skimage"):
        data = importlib.import_module("skimage.data")
        function = getattr(data, photograph.path.stem)
        return f"{photograph.path.stem} {inspect.getdoc(function)}"
    text = (photograph.path.parent / "README.txt").read_text(encoding="utf-8")
    (entry,) = (e for e in text.split("Image: ") if e.startswith(photograph.path.name))
    return entry


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_package_says_that_it_may_be_shown_and_whose_it_is(name: str) -> None:
    photograph = PHOTOGRAPHS[name]
    words = " ".join(words_of(photograph).split())
    assert re.search(SAID[name], words)
    if photograph.source:
        assert photograph.source.removesuffix("/") in words
    if photograph.licence == "CC BY 2.0":
        assert FREE[photograph.licence] in words
    assert min(photograph.picture.size) >= 300


def test_the_table_lists_every_photograph_once_with_its_licence() -> None:
    table = licences()
    assert table["photograph"].tolist() == list(PHOTOGRAPHS)
    assert set(table["licence"]) <= set(FREE)
    assert table["author"].str.len().min() > 0


def test_a_sheet_carries_the_credit_of_each_photograph_and_is_light() -> None:
    shown = free_photographs("cat", "temple")
    tiles = [np.asarray(photograph.square()) for photograph in shown]
    sheet = photographs.sheet(xc.plot.grid({"": tiles * 3}), [*shown, shown[0]], 'a "cat"')
    for photograph in shown:
        assert sheet.html.count(photograph.credit) == 1
    assert "a &quot;cat&quot;" in sheet.html
    assert 10_000 < len(sheet.html) < 340_000


def test_unknown_names_and_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no photograph is called 'dog': use cat"):
        free_photographs("cat", "dog")
    monkeypatch.setattr(photographs, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match="'cat' comes with scikit-image: pip install"):
        _ = PHOTOGRAPHS["cat"].picture


def test_real_photographs_are_those_whose_licence_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAICORE_DATA", "")
    assert real_photographs() == []
    monkeypatch.setenv("XAICORE_DATA", str(tmp_path))
    assert real_photographs() == []
    folder = tmp_path / "photos_cc_by"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images" / "b.jpg")
    columns = ("file", "label", "OriginalLandingURL", "License", "Author")
    rows = [
        ("a.jpg", 1, "https://a.example", "all rights reserved", "A"),
        ("b.jpg", 2, "https://b.example", FREE["CC BY 2.0"], "B & C"),
    ]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    (found,) = real_photographs()
    assert (found.name, found.label, found.licence) == ("b", 2, "CC BY 2.0")
    assert found.picture.size == (8, 8)
    assert "B &amp; C" in found.credit


def test_they_are_written_as_files_with_their_licences(tmp_path: Path) -> None:
    photographs.main(tmp_path / "photographs")
    written = {path.name for path in (tmp_path / "photographs").iterdir()}
    assert written == {f"{p.name}{p.path.suffix}" for p in PHOTOGRAPHS.values()} | {"LICENCES.txt"}
    assert "CC BY 2.0" in (tmp_path / "photographs" / "LICENCES.txt").read_text(encoding="utf-8")
