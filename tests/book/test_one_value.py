"""One quantity has one value in the book, wherever it is stated."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driver.reading import page

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "book" / "xaibook" / "records"
POINTS = 0.05
"""What rounding to a tenth can hide, in points."""

ELSEWHERE = {"run_it": "a folder of two dozen pictures, as a reader's own"}
"""Chapters whose values are of other pictures, and of which."""

FLOWERS = ["benchmark.flowers-seed0", "benchmark.flowers-seed1", "benchmark.flowers-seed2"]
SAME = {
    "flowers": [*FLOWERS, "opti_cam.baselines", "opti_cam.rectifier"],
    "photographs": [
        "benchmark.resnet18",
        "opti_cam.photographs",
        "opti_cam.real",
        "opti_cam.rectifier",
    ],
}
"""Records of the same networks, pictures and methods, measured for different tables."""

CLOSE = 2e-6
ROUGH = {"squeezenet1_0": 4e-6, "resnet50": 4e-6}
"""How far probabilities of one picture lie apart that were computed on two machines."""


def stated():
    """Return what framed chapters publish: for each name, its value by chapter."""
    found = defaultdict(dict)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        path = RECORDS / f"{notebook.stem}.book.json"
        if path.is_file() and notebook.stem not in ELSEWHERE and page(notebook).framed:
            for name, value in json.loads(path.read_text(encoding="utf-8")).items():
                if isinstance(value, dict):
                    found[name][notebook.stem] = value["value"]
    return found


def contradictions(found):
    """Return the names that stand for two values, with both."""
    return {
        name: by_chapter
        for name, by_chapter in found.items()
        if max(by_chapter.values()) - min(by_chapter.values()) > POINTS
    }


def test_a_name_that_two_chapters_publish_has_one_value():
    assert contradictions(stated()) == {}
    assert contradictions({"AG (%)": {"background": 4.4, "opti_cam": 4.0}}) != {}


def kept(name):
    """Return p and o of a set of records, of pixels replaced by black."""
    table = pd.read_csv(RECORDS / f"{name}.csv.gz")
    if "baseline" in table:
        table = table[table["baseline"] == "black"]
    if "network" not in table:
        table["network"] = name.removeprefix("benchmark.")
    return table[["network", "method", "image", "p", "o"]].assign(records=name)


@pytest.mark.parametrize("place", SAME)
def test_records_of_one_quantity_agree(place):
    rows = pd.concat([kept(name) for name in SAME[place]])
    p = rows.groupby(["network", "image"])["p"].agg(np.ptp)
    allowed = p.index.get_level_values("network").map(lambda name: ROUGH.get(name, CLOSE))
    assert (p < allowed).all()
    means = _means(rows)
    apart = means.groupby(["network", "method"])[["AD", "AG", "AI"]].agg(np.ptp).max(axis=1)
    measured_twice = means.groupby(["network", "method"]).size() > 1
    assert measured_twice.sum() > 2
    assert apart[apart > POINTS].to_dict() == {}


def _means(rows):
    """Return AD, AG and AI of each method, on the pictures that all its records hold."""
    sets = rows.groupby(["network", "method"])["records"].transform("nunique")
    of_image = rows.groupby(["network", "method", "image"])["records"].transform("nunique")
    rows = rows[sets == of_image]
    p, o = rows["p"], rows["o"]
    values = {
        "AD": 100 * (p - o).clip(lower=0) / p,
        "AG": 100 * (o - p).clip(lower=0) / (1 - p),
        "AI": 100.0 * (o > p),
    }
    return rows.assign(**values).groupby(["network", "method", "records"])[[*values]].mean()
