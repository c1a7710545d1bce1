"""What attention instead of the average changes: the chapter on CA-Stream and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

import xaicore as xc
from xaibook import style
from xaibook.chapter import stored
from xaibook.wide import to_records
from xaicore.evaluation.tables import as_table, heading
from xaicore.html import BETWEEN

STATE = ("accuracy", "entropy", "room", "length", "initial entropy")
"""What the records hold of a stream, beside what they hold of its maps."""

METRICS = ("AD", "AG", "AI")
CURVES = ("insertion", "deletion")
CAMS = ("grad-cam", "grad-cam++", "score-cam")

FORMS = {
    "GAP": "the average itself",
    "uniform": "even attention",
    "CA": "the paper's, sharpness 1",
    "sharp": "sharpness 4",
    "sharper": "sharpness 8",
    "S1": "from the first stage on",
    "S2": "from the second stage on",
    "S3": "the last stage alone",
    "PROJ→CA": "keys and values",
    "class-specific": "a token for each class",
    "average": "begun as the average",
    "unscaled": "not divided by the root",
    "unscaled, average": "the same, begun as the average",
}
"""How the forms of a stream are written; a stream attends from the stem on unless it says so."""


def scored(
    records: pd.DataFrame, variants: Iterable[str], metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Return the measures of the maps of some forms: a row per image, method and metric."""
    maps = records[(records["method"] != "none") & records["variant"].isin(list(variants))]
    found = to_records(maps.drop(columns=list(STATE), errors="ignore"))
    return found[found["metric"].isin(list(metrics))].dropna(subset="value")


def compared(
    records: pd.DataFrame,
    variants: Iterable[str],
    methods: Sequence[str] = CAMS,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Return a table with a row for each method and form."""
    found = scored(records, variants, metrics)
    found = found[found["method"].isin(list(methods))]
    order = {name: place for place, name in enumerate(style.LABELS)}
    found = found.sort_values("method", key=lambda column: column.map(order), kind="stable")
    return as_table(xc.summarize(found, by=["method", "variant"]), style.LABELS)


def change(
    records: pd.DataFrame, of: str, than: str, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Return how far a form is above another, image by image: a row per method and metric."""
    found = scored(records, (of, than), metrics)
    found = found.rename(columns={"method": "explainer", "variant": "method"})
    return xc.paired_difference(found, of, than, by=["explainer"], within=["network"]).dropna()


def rightness(records: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy of each form, with its interval."""
    alone = records[records["method"] == "none"]
    found = xc.summarize(alone.assign(metric="accuracy", value=alone["accuracy"]), by=["variant"])
    return found.xs("accuracy", level="metric")


def with_the_average() -> pd.DataFrame:
    """Return the records of all measures, of the networks as they are and with a stream."""
    names = [f"flowers-seed{number}" for number in range(3)]
    parts = [stored(f"benchmark.{name}")[0].assign(network=name) for name in names]
    parts = [part[part["method"].isin([*CAMS, "noise"])] for part in parts]
    parts.append(stored("opti_cam.iterations")[0].query("variant == 'fast'"))
    average = pd.concat(parts, ignore_index=True).assign(variant="GAP")
    kept = ["network", "image", "target", "method", "variant", "p", "o", *CURVES]
    return pd.concat([average[kept], stored("ca_stream.curves")[0][kept]], ignore_index=True)


def signed(row: pd.Series) -> str:
    """Write a difference in points, with the half-width of its interval."""
    return f"{row['mean']:+.1f}{BETWEEN}{row['half_width']:.1f}".replace("-", "−")


def state_of(pooling: pd.DataFrame) -> pd.DataFrame:
    """Return what the forms are like: entropy, length, accuracy, and Grad-CAM's measures.

    Shares are in per cent; the length is relative to that of the average.
    """
    alone = pooling[pooling["method"] == "none"]
    alone = alone.assign(sure=alone["p"] > 0.99)
    state = alone.groupby("variant")[[*STATE, "sure"]].mean()
    table = pd.DataFrame(
        {
            "entropy before (%)": 100 * state["initial entropy"],
            "entropy (%)": 100 * state["entropy"],
            "let through (%)": 100 * state["room"],
            "length": state["length"],
            "accuracy (%)": 100 * state["accuracy"],
            "p > 0.99 (%)": 100 * state["sure"],
        }
    )
    found = scored(pooling, pooling["variant"].unique())
    means = xc.summarize(found, by=["method", "variant"])["mean"]
    for metric in METRICS:
        table[heading(metric)] = means.xs(("grad-cam", metric), level=("method", "metric"))
    return table


def grad_cam_of(
    pooling: pd.DataFrame, forms: Iterable[str], first: Mapping[str, pd.Series] | None = None
) -> pd.DataFrame:
    """Return a table of forms: accuracy, evenness and Grad-CAM, with half-widths.

    Args:
        pooling: the records.
        forms: keys of ``FORMS``.
        first: columns that stand before the others, by form.
    """
    chosen, right = list(forms), rightness(pooling)
    columns = dict(first or {}) | {"accuracy (%)": right["mean"], "± accuracy": right["half_width"]}
    columns["entropy (%)"] = state_of(pooling)["entropy (%)"]
    table = pd.DataFrame(columns, index=chosen)
    found = xc.summarize(scored(pooling, chosen), by=["method", "variant"])
    for metric in METRICS:
        rows = found.xs(("grad-cam", metric), level=("method", "metric"))
        table[heading(metric)] = rows["mean"]
        table[f"± {metric}"] = rows["half_width"]
    return table.rename(index=FORMS).rename_axis("stream")
