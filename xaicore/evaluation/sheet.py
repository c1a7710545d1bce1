"""The contact sheet of a run: where each method did best, as usual, and worst."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from xaicore import plot
from xaicore.attribution.explainer import Explainer
from xaicore.evaluation.dataset import Items
from xaicore.evaluation.run import Run
from xaicore.html import typeset
from xaicore.metrics.measures import MEASURES, in_per_cent

COLUMNS = ("best", "median", "worst")


def contact_sheet(run: Run, records: pd.DataFrame, metric: str) -> Figure:
    """Draw the maps of the best, the median and the worst image of each method by a metric.

    Cost: three maps of each method.

    Args:
        run: the run, from which network, images and methods are taken.
        records: what was measured.
        metric: one of the records' metrics.

    Raises:
        ValueError: an image cannot be explained any more.
    """
    methods = {n: it for n, it in run.job.methods.items() if isinstance(it, Explainer)}
    chosen = {name: list(_chosen(records, name, metric)) for name in methods}
    total = sum(map(len, chosen.values()))
    with tqdm(total=total, desc="contact sheet", unit="map", disable=None) as bar:
        rows = {
            name: [_explained(run.items, methods[name], row, bar) for row in of]
            for name, of in chosen.items()
        }
    titles = {name: [_title(row, metric) for row in of] for name, of in chosen.items()}
    return _drawn(rows, titles)


def _chosen(records: pd.DataFrame, method: str, metric: str) -> Iterator[pd.Series]:
    """The records of the best, the median and the worst image."""
    of = records[(records["method"] == method) & (records["metric"] == metric)]
    known = of[of["value"].notna()]
    ordered = known.sort_values("value", ascending=MEASURES[metric].arrow == "↓", kind="stable")
    for place in (0, len(ordered) // 2, len(ordered) - 1):
        if 0 <= place < len(ordered):
            yield ordered.iloc[place]


def _explained(items: Items, method: Explainer, row: pd.Series, bar: tqdm) -> np.ndarray:
    """The map of one image over it."""
    item = items[int(row["image"])]
    if item.image is None:
        raise ValueError(f"image {row['image']} cannot be read any more: {item.failed}")
    images = item.image[None].to(method.classifier.mean.device)
    saliency = method(images, int(row["target"]))[0]
    bar.update()
    return plot.blend(images[0], saliency.sqrt() if method.family == "gradient" else saliency)


def _title(row: pd.Series, metric: str) -> str:
    value = float(row["value"]) * (100 if in_per_cent(metric) else 1)
    name = str(row.get("file") or f"image {row['image']}")
    short = name if len(name) <= 22 else f"…{name[-21:]}"
    return f"{short}\n{metric} {typeset(value, '.1f')}"


def _drawn(rows: dict[str, list[np.ndarray]], titles: dict[str, list[str]]) -> Figure:
    labels = plot.labels()
    figure = Figure(figsize=(7.2, 2.55 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), len(COLUMNS), squeeze=False)
    for name, line in zip(rows, axes, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, shown, title in zip(line, rows[name], titles[name], strict=False):
            ax.imshow(shown)
            ax.set_title(title, fontsize=9)
        line[0].text(
            -0.06,
            0.5,
            labels.get(name, name),
            transform=line[0].transAxes,
            rotation=90,
            ha="right",
            va="center",
            fontsize=10,
        )
    for ax, column in zip(axes[0], COLUMNS, strict=True):
        ax.text(0.5, 1.26, column, transform=ax.transAxes, ha="center", fontsize=10, weight="bold")
    return figure
