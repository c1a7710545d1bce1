"""What the objectives of interpretable gradients change: differences with their names and units.

The chapter and the page of its tables show them. Means and half-widths are in per cent, as
`xaicore.evaluation` gives them, until they are written: cosines and ratios are then ones again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

import xaicore as xc
from xaibook import style, verdicts
from xaibook.wide import to_records
from xaicore.evaluation.tables import heading
from xaicore.html import BETWEEN
from xaicore.metrics.measures import MEASURES

LABELS = {
    "accuracy": "accuracy (%)",
    "cosine of loss": "cosine, loss",
    "cosine of log-probability": "cosine, log-prob.",
    "cosine of logit": "cosine, logit",
    "roughness": "roughness",
    "RMA": "on the head (%)",
    "insertion": "insertion (%)",
    "deletion": "deletion (%)",
    "grid": "grid",
}
"""How the measures of a network and of its gradient head a table, in its order."""

RATIOS = ("cosine of loss", "cosine of log-probability", "cosine of logit", "roughness", "grid")
"""Measures that are no shares."""

NAMES = {
    "plain": "cross-entropy alone",
    "loss 0.0075": "loss, λ = 0.0075",
    "loss 0.075": "loss, λ = 0.075",
    "loss 0.1": "loss, λ = 0.1",
    "loss 1": "loss, λ = 1",
    "log-probability 0.0075": "log-probability, λ = 0.0075",
    "log-probability 0.1": "log-probability, λ = 0.1",
    "log-probability 1": "log-probability, λ = 1",
    "log-probability 4": "log-probability, λ = 4",
    "log-probability 16": "log-probability, λ = 16",
    "logit 0.1": "logit, cosine",
    "logit histogram": "logit, histogram",
    "logit mae": "logit, absolute",
    "logit mse": "logit, squared",
    "gradient penalty": "gradient penalty",
    "gradient penalty 0.001": "weak gradient penalty",
    "adversarial": "adversarial",
    "smoothgrad": "SmoothGrad",
}
"""How what a network learnt with is written."""

CAMS = ("grad-cam", "grad-cam++", "score-cam", "ablation-cam", "opti-cam")
MEASURED = ("AD", "AG", "AI", "insertion", "deletion")


def number(value: float, metric: str, sign: str = "") -> str:
    """Write a value in its unit: a ratio with three decimals, a share in per cent with one."""
    ratio = metric in RATIOS
    text = f"{value / 100 if ratio else value:{sign}.{3 if ratio else 1}f}"
    return text.replace("-", "−")


def signed(row: pd.Series, metric: str) -> str:
    """Write a difference with the half-width of its interval."""
    return f"{number(row['mean'], metric, '+')}{BETWEEN}{number(row['half_width'], metric)}"


def tidy(records: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """Return one row per image and metric; what was learnt with takes the method's place."""
    rows = [
        records[["network", "image"]].assign(method=records["variant"], metric=m, value=records[m])
        for m in measures
    ]
    return pd.concat(rows, ignore_index=True)


def differences(
    records: pd.DataFrame, measures: Sequence[str], reference: str = "plain"
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return the mean of each variant, and how far the others are above one of them."""
    long = tidy(records, measures)
    means = xc.summarize(long)["mean"].unstack("metric", sort=False)
    others = means.index.drop(reference)
    return means, {v: xc.paired_difference(long, v, reference, within=["network"]) for v in others}


def changed(
    variants: Iterable[str],
    means: pd.DataFrame,
    changes: Mapping[str, pd.DataFrame],
    measures: Sequence[str],
    reference: str = "plain",
) -> pd.DataFrame:
    """Return a table of differences, after the row of what they are taken from."""
    rows = {NAMES[reference]: {m: number(means.loc[reference, m], m) for m in measures}}
    rows |= {NAMES[v]: {m: signed(changes[v].loc[m], m) for m in measures} for v in variants}
    table = pd.DataFrame.from_dict(rows, orient="index")[list(measures)]
    return table.rename(columns=LABELS).rename_axis("learnt with")


def agreeing(records: pd.DataFrame, variant: str, metric: str, reference: str = "plain") -> int:
    """Return in how many networks a variant is above another, on average over the images."""
    means = records.groupby(["variant", "network"])[metric].mean().unstack("network")
    return int((means.loc[variant] > means.loc[reference]).sum())


def of_networks(rows: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Return the means of each network in the place of images: intervals are then over networks."""
    means = rows.groupby([*by, "network"], as_index=False, sort=False).mean(numeric_only=True)
    return means.assign(image=means["network"], network="all")


def of_maps(records: pd.DataFrame) -> pd.DataFrame:
    """Return what maps score: one row per network, image, variant, explainer and metric."""
    scored = to_records(records[records["method"].isin(CAMS)])
    scored = scored[scored["metric"].isin(MEASURED)].drop(columns=["p", "o"], errors="ignore")
    return scored.rename(columns={"method": "explainer", "variant": "method"})


def by_objective(scores: pd.DataFrame, variants: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return how far the maps of each objective are above those of cross-entropy alone."""
    apart = partial(xc.paired_difference, reference="plain", by=["explainer"], within=["network"])
    return {variant: apart(scores, variant) for variant in variants}


def laid_out(
    scores: pd.DataFrame, found: Mapping[str, pd.DataFrame], cams: Iterable[str] = CAMS
) -> pd.DataFrame:
    """Return a table of the measures after cross-entropy alone, and the differences from them."""
    whole = xc.summarize(scores, by=["explainer", "method"])["mean"]
    rows = []
    for method in cams:
        first = {"method": style.LABELS[method], "learnt with": NAMES["plain"]}
        rows.append(first | {m: number(whole[method, "plain", m], m) for m in MEASURED})
        for variant, change in found.items():
            row = first | {"learnt with": NAMES[variant]}
            rows.append(row | {m: signed(change.loc[(method, m)], m) for m in MEASURED})
    return pd.DataFrame(rows).rename(columns={m: heading(m) for m in MEASURED})


def sure(found: pd.DataFrame, scores: pd.DataFrame, variant: str) -> pd.Series:
    """Return which comparisons are surely better (1), surely worse (-1), or neither (0).

    Sure is what survives Holm's correction for their number, on all networks with the same sign.
    """
    errors = 1.96 * found["mean"].abs() / found["half_width"]
    kept = pd.Series(verdicts.holm([math.erfc(e / math.sqrt(2)) for e in errors]), found.index)
    of_networks = scores.groupby(["method", "explainer", "metric", "network"])["value"].mean()
    apart = (of_networks[variant] - of_networks["plain"]).unstack("network").loc[found.index]
    agree = (apart > 0).all(axis=1) | (apart < 0).all(axis=1)
    metrics = found.index.get_level_values("metric")
    signs = [1 if MEASURES[metric].arrow == "↑" else -1 for metric in metrics]
    return (np.sign(found["mean"]) * signs).where(kept & agree, 0).astype(int)
