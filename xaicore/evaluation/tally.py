"""What records tell besides the means: whether labels are the prediction, which maps are empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

CHANCE = 1.5
"""How many standard errors more labels must be the prediction before a shift is named."""


def told(records: pd.DataFrame) -> list[str]:
    """Return how many labels are the prediction, and how many maps are constant, a line each."""
    maps = records.drop_duplicates(["image", "method"])
    maps = maps[maps["seconds"].notna()]
    flat = {str(name): list(of) for name, of in maps.groupby("method", sort=False)["degenerate"]}
    return [*agreement(records), *constant(flat)]


def agreement(records: pd.DataFrame) -> list[str]:
    """Return for how many images the prediction is the label, in a line; none in old records."""
    if "predicted" not in records:
        return []
    images = records.drop_duplicates("image")
    if not images["labelled"].any():
        return ["no image has a label: the predicted classes are explained"]
    known = _known(images)
    right = int((known["predicted"] == known["target"]).sum())
    share = f" ({100 * right / len(known):.1f} %)" if len(known) else ""
    return [f"the prediction is the label for {right} of {len(known)} images{share}"]


def shift(records: pd.DataFrame) -> str:
    """Return a warning if more labels would be the prediction were all shifted by one; or nothing.

    More is more than chance would easily make: a test of the pairs that a shift changes.
    """
    if "predicted" not in records:
        return ""
    known = _known(records.drop_duplicates("image"))
    off = known["predicted"] - known["target"]
    right = int((off == 0).sum())
    words = {-1: "from 1: with every label one less", 1: "from -1: with every label one more"}
    for by, of in words.items():
        shifted = int((off == by).sum())
        if shifted > right and shifted - right >= CHANCE * (shifted + right) ** 0.5:
            return (
                f"labels seem to count {of}, the prediction would be the label for {shifted} of "
                f"{len(known)} images, not for {right}"
            )
    return ""


def constant(flat: Mapping[str, Sequence[bool]]) -> list[str]:
    """Return for each method that has made constant maps how many, in a line.

    Args:
        flat: of each method whether each of its maps is constant.
    """
    return [
        f"{sum(of)} of {len(of)} maps of {name} are constant: they point nowhere"
        for name, of in flat.items()
        if any(of)
    ]


def _known(images: pd.DataFrame) -> pd.DataFrame:
    """The images that have a label and that the network has seen."""
    return images[images["labelled"] & (images["predicted"] >= 0)]
