"""Photographs under the maps of a vision transformer, which are stored with the book."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from xaibook.photographs import Photograph
from xaibook.style import LABELS
from xaicore import plot
from xaicore.classifier import to_pixels
from xaicore.masking import normalize

WIDEST = 14
"""Letters of a line above a photograph."""


def draw(
    records: pd.DataFrame, photographs: Sequence[Photograph], methods: Sequence[str]
) -> Figure:
    """Draw photographs and a row of maps for each method.

    Above a photograph stand the class that the network sees and its probability; below a map, the
    probability of the class on what the map keeps.

    Args:
        records: ``background.attention``.
        photographs: some that the records hold.
        methods: the names of some that the records hold.
    """
    found = records.set_index(["photograph", "method"]).sort_index()
    shown = [to_pixels()(photograph.square()) for photograph in photographs]
    rows, below, titles = {"photograph": list(map(plot.pixels, shown))}, [], []
    for photograph in photographs:
        first = found.loc[photograph.name].iloc[0]
        titles.append(f"{fill(first['class'], WIDEST)}\n{first['p']:.2f}")
    for method in methods:
        tables = [found.loc[(photograph.name, method)] for photograph in photographs]
        rows[LABELS[method]] = list(map(plot.blend, shown, map(_patches, tables)))
        below += [f"{table['o'].iloc[0]:.2f}" for table in tables]
    figure = plot.grid(rows, titles, colorbar=True)
    of_maps = figure.axes[len(photographs) : len(photographs) * len(rows)]
    for ax, text in zip(of_maps, below, strict=True):
        ax.set_xlabel(text)
    return figure


def map_of(records: pd.DataFrame, photograph: str, method: str) -> Tensor:
    """Return a stored map ``(1, h, w)`` in ``[0, 1]``.

    Args:
        records: ``background.attention``.
        photograph: the name of one that the records hold.
        method: the name of one that the records hold.
    """
    of_both = (records["photograph"] == photograph) & (records["method"] == method)
    return _patches(records[of_both])


def _patches(table: pd.DataFrame) -> Tensor:
    """A map ``(1, h, w)`` in ``[0, 1]``, of a row for each patch."""
    values = table.pivot(index="row", columns="column", values="value").to_numpy()
    return normalize(torch.tensor(values)[None, None])[0]
