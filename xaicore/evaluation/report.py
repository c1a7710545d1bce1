"""The report of a run: its table, paired differences, plots and failures, in several formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from xaicore import plot
from xaicore.classifier import check_name
from xaicore.evaluation.folder import Folder, writing
from xaicore.evaluation.tables import as_table, heading, paired_difference, summarize
from xaicore.evaluation.tally import shift, told
from xaicore.files import replacing
from xaicore.html import picture, table
from xaicore.metrics.measures import MEASURES, in_per_cent

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0 0.3rem; }
caption { text-align: left; padding-bottom: 0.4rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #8886; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.xc-scroll { overflow-x: auto; }
figure { margin: 1.5rem 0; overflow-x: auto; }
img { max-width: 100%; background: white; }
"""


REASONS = 20
"""How many reasons for failures are shown; ``failures.csv`` holds all."""

ABREAST = 3
"""How many plots stand in a row."""

OWN = " and ".join(name for name in MEASURES if not in_per_cent(name))
UNIT = f"per cent, but for {OWN}; ± is the half-width of the 95 % interval over images"


@dataclass(frozen=True)
class Findings:
    """What a run found.

    Attributes:
        manifest: what the run is.
        records: the records that are there.
        reference: the method that the others are compared with.
    """

    manifest: dict[str, Any]
    records: pd.DataFrame
    reference: str

    @property
    def state(self) -> str:
        """How far the run is, and what failed, in one sentence."""
        total, found = self.manifest["data"]["images"], self.records["image"].nunique()
        failed = self.records.loc[self.records["failed"] != "", "image"].nunique()
        far = f"All {total} images" if found == total else f"{found} of {total} images so far"
        if not failed:
            return f"{far} are measured"
        of_mean = self.summarized["n"]
        alike = f"; each mean is over {of_mean.iloc[0]}" * (of_mean.nunique() == 1)
        return f"{far} are measured; {failed} of them failed, at least in part{alike}"

    @property
    def remarks(self) -> list[str]:
        """What was said of the data, how many labels are the prediction, and what is doubtful."""
        notes = [*self.manifest.get("notes", ()), *told(self.records)]
        shifted = shift(self.records)
        return [*notes, f"warning: {shifted}"] if shifted else notes

    @cached_property
    def summarized(self) -> pd.DataFrame:
        """The mean of each metric for each method, its interval, and its number of images."""
        return summarize(self.records)

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean of each metric for each method, with 95 % intervals, as it is shown."""
        return as_table(self.summarized, plot.labels()).rename_axis("method")

    @cached_property
    def counts(self) -> pd.DataFrame:
        """How many images each mean is over, a row per method; empty if all are the same."""
        counts = self.summarized["n"]
        if counts.nunique() == 1:
            return pd.DataFrame()
        return counts.unstack("metric", sort=False).rename(plot.labels()).rename_axis(columns=None)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """How far each method is above the reference on the same images."""
        others = [name for name in self.records["method"].unique() if name != self.reference]
        parts = {name: paired_difference(self.records, name, self.reference) for name in others}
        if not parts:
            return pd.DataFrame()
        found = pd.concat(parts, names=["method"])
        order = list(self.records["metric"].unique())
        return as_table(found.reindex(order, level="metric"), plot.labels())

    @cached_property
    def failures(self) -> pd.DataFrame:
        """What failed and why: how many images, and which was the first."""
        failed = self.records[self.records["failed"] != ""]
        name = "file" if "file" in failed else "image"
        groups = failed.groupby("failed", sort=False)
        found = pd.DataFrame(
            {"images": groups["image"].nunique(), "the first": groups[name].first().astype(str)}
        )
        return found.rename_axis("reason").sort_values("images", ascending=False, kind="stable")

    def figure(self) -> Figure:
        """Draw the mean of every metric for every method."""
        metrics = list(self.summarized.index.unique("metric"))
        bars = len(self.summarized.index.unique("method"))
        columns, rows = min(ABREAST, len(metrics)), -(-len(metrics) // ABREAST)
        size = (3.2 * columns + 1.5, (0.32 * bars + 1.0) * rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
        for metric, ax in zip(metrics, axes, strict=False):
            plot.intervals(self.summarized, ax, metric, heading(metric))
        for ax in axes[len(metrics) :]:
            ax.remove()
        return figure


def findings_in(path: Path, reference: str | None = None) -> Findings:
    """Return what a run has found so far.

    Args:
        path: the folder of the run.
        reference: the method that the others are compared with; ``None`` for the first.

    Raises:
        ValueError: it is no folder of a run, no chunk is finished, or there is no such method.
    """
    folder = Folder(path)
    records, methods = folder.records(), list((folder.manifest or {})["methods"])
    if reference is not None:
        check_name("reference", reference, methods)
    return Findings(folder.manifest or {}, records, reference or methods[0])


def write_report(found: Findings, folder: Path) -> list[Path]:
    """Write the report as CSV, LaTeX, a picture and a page; return the files.

    Raises:
        OSError: the folder cannot be written.
    """
    with writing(folder, "choose another folder, --output"):
        return _written(found, folder)


def _written(found: Findings, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, Callable[[], str]] = {
        "summary.csv": lambda: found.means.to_csv(float_format="%.6g"),
        "summary.tex": lambda: _latex(found.means),
        "differences.csv": lambda: found.differences.to_csv(float_format="%.6g"),
        "failures.csv": found.failures.to_csv,
        "report.html": lambda: _page(found),
    }
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write_text(text(), encoding="utf-8")
    with replacing(folder / "intervals.png") as file:
        found.figure().savefig(file, dpi=150)
    return [folder / name for name in (*texts, "intervals.png")]


def as_text(found: Findings) -> str:
    """Return the report as it is printed."""
    said = "\n".join([found.state, *found.remarks])
    parts = [said, f"{UNIT}:", found.means.to_string(float_format="%.2f")]
    counts, differences, failures = found.counts, found.differences, found.failures
    if len(counts):
        parts += ["the images behind each mean:", counts.to_string()]
    if len(differences):
        parts.append(f"minus {found.reference}, on the same images:")
        formats = {name: form.format for name, form in _signed(differences).items()}
        parts.append(differences.to_string(formatters=formats))
    if len(failures):
        shown = failures.head(REASONS).itertuples(name=None)
        lines = [f"{images} × {reason} (the first: {first})" for reason, images, first in shown]
        parts.append("\n".join(["failed images, and why:", *lines]))
    if len(failures) > REASONS:
        parts.append(f"{len(failures) - REASONS} other reasons are in failures.csv")
    return "\n\n".join(parts)


def _signed(differences: pd.DataFrame) -> dict[str, str]:
    """How each column of a table of differences is written: a sign, but for half-widths."""
    return {name: "{:.2f}" if name.startswith("±") else "{:+.2f}" for name in differences}


def _latex(means: pd.DataFrame) -> str:
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"}
    text = means.to_latex(float_format="%.2f", escape=True)
    for sign, command in arrows.items():
        text = text.replace(sign, command)
    return f"% \\usepackage{{booktabs}}; {UNIT}\n{text}"


def _page(found: Findings) -> str:
    model, data = found.manifest["model"], found.manifest["data"]
    title = f"{model['network']} on {data['images']} images"
    alt = "Bars with intervals: the mean of every metric for every method, as in the table."
    parts = [
        table(found.means, "summary", f"Means, {UNIT}.").html,
        picture(found.figure(), f"Means, {UNIT}.", alt).html,
    ]
    counts, differences, failures = found.counts, found.differences, found.failures
    if len(counts):
        parts.append(table(counts, "counts", "The images behind each mean.").html)
    if len(differences):
        signs = {name: form[2:-1] for name, form in _signed(differences).items()}
        caption = f"Difference to {found.reference} on the same images, {UNIT}."
        parts.append(table(differences, "differences", caption, signs).html)
    if len(failures):
        caption = "What failed, and why."
        if len(failures) > REASONS:
            caption += f" {len(failures) - REASONS} other reasons are in failures.csv."
        parts.append(table(failures.head(REASONS), "failures", caption).html)
    used = "; ".join(f"{name} {number}" for name, number in found.manifest["versions"].items())
    command = escape(found.manifest["command"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(found.state)}.</p>\n"
        + "".join(f"<p>{escape(remark)}.</p>\n" for remark in found.remarks)
        + "\n".join(parts)
        + f"\n<p><small>{escape(used)}; commit {found.manifest['commit'] or 'unknown'}; "
        f"<code>{command}</code></small></p>\n</body></html>\n"
    )
