"""The report of a run, for the console and as a page, with its tables in several formats."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xaicore import plot
from xaicore.evaluation.findings import Findings
from xaicore.evaluation.folder import writing
from xaicore.evaluation.tables import heading
from xaicore.files import replacing
from xaicore.html import picture, table

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; text-wrap: balance; }
h2 { margin: 2.2rem 0 0; }
th { white-space: nowrap; }
table { border-collapse: collapse; margin: 1rem 0 0.3rem; }
caption { text-align: left; padding-bottom: 0.4rem; max-width: calc(100vw - 2rem); }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #8886; text-align: left; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
th[scope=row] { position: sticky; left: 0; background: Canvas; }
#key td:nth-child(2) { white-space: normal; min-width: 11rem; }
#failures :is(th, td) { white-space: normal; }
code { overflow-wrap: anywhere; }
.number { text-align: right; }
.xc-scroll { overflow-x: auto; }
figure { margin: 1.5rem 0; overflow-x: auto; }
img { max-width: 100%; background: white; }
.xc-scrolled { overflow-x: auto; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  th, td { padding: 0.25rem 0.4rem; }
  th[scope=row] { white-space: normal; }
  .xc-scrolled img { max-width: none; width: var(--legible); min-width: 100%; }
}
@media print {
  :root { color-scheme: light; }
  body { max-width: none; font-size: 11pt; }
  .xc-csv { display: none; }
  .xc-scroll, .xc-scrolled { overflow: visible; }
  .xc-scrolled img { width: auto; min-width: 0; max-width: 100%; max-height: 235mm; }
  table { font-size: 0.8em; }
  figure, tr { break-inside: avoid; }
  h2, caption { break-after: avoid; }
}
"""

REASONS = 20
"""How many reasons for failures are shown; ``failures.csv`` holds all."""

ABREAST = 3
"""How many plots stand in a row."""

LINES = {"insertion": "-", "deletion": "--"}
"""How the curves are drawn."""

LOPSIDED = "where it would leave 0 to 100, both ends of a bootstrap's are given"


def write_report(found: Findings, folder: Path, sheet: Figure | None = None) -> list[Path]:
    """Write the report as CSV, LaTeX, Parquet, pictures and a page; return the files.

    Args:
        found: what the run found.
        folder: where the files go.
        sheet: the contact sheet, if there is one.

    Raises:
        OSError: the folder cannot be written.
    """
    with writing(folder, "choose another folder, --output"):
        return _written(found, folder, sheet)


def _written(found: Findings, folder: Path, sheet: Figure | None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, Callable[[], str]] = {
        "summary.csv": lambda: found.means.to_csv(float_format="%.6g"),
        "summary.tex": lambda: _latex(found),
        "differences.csv": lambda: found.differences.to_csv(float_format="%.6g"),
        "failures.csv": found.failures.to_csv,
        "report.html": lambda: page(found, sheet),
    }
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write_text(text(), encoding="utf-8")
    with replacing(folder / "summary.parquet") as file:
        found.intervals.reset_index().to_parquet(file)
    pictures = {"intervals.png": bars(found)}
    if len(found.curves):
        pictures["curves.png"] = curves(found)
    if sheet:
        pictures["sheet.png"] = sheet
    for name, figure in pictures.items():
        with replacing(folder / name) as file:
            figure.savefig(file, dpi=150, format="png")
    return [folder / name for name in (*texts, "summary.parquet", *pictures)]


def bars(found: Findings) -> Figure:
    """Draw the mean of every metric for every method."""
    metrics = list(found.intervals.index.unique("metric"))
    methods = len(found.intervals.index.unique("method"))
    columns, rows = min(ABREAST, len(metrics)), -(-len(metrics) // ABREAST)
    size = (3.2 * columns + 1.5, (0.32 * methods + 1.0) * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for metric, ax in zip(metrics, axes, strict=False):
        plot.intervals(found.intervals, ax, metric, heading(metric))
    for ax in axes[len(metrics) :]:
        ax.remove()
    return figure


def curves(found: Findings) -> Figure:
    """Draw the mean insertion and deletion of each method with their bands, the others in grey."""
    methods = list(found.curves.index.unique("method"))
    columns, rows = min(ABREAST, len(methods)), -(-len(methods) // ABREAST)
    figure = Figure(figsize=(3 * columns + 0.6, 2.3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    by_name = {
        name: of.droplevel(["method", "metric"])
        for name, of in found.curves.groupby(level=["method", "metric"], sort=False)
    }
    for method, ax in zip(methods, axes.flat, strict=False):
        _curves_of(by_name, ax, method)
    for ax in axes.flat[len(methods) :]:
        ax.remove()
    figure.supxlabel("pixels shown, or removed, in the order of the map (%)", fontsize=10)
    figure.supylabel("mean probability (%)", fontsize=10)
    return figure


def _curves_of(means: Mapping[tuple[str, str], pd.DataFrame], ax: Axes, method: str) -> None:
    """Draw the mean insertion and deletion of a method with their bands, all others in grey."""
    colour = plot.colors().get(method, plot.OTHER)
    for (name, metric), of in means.items():
        if name != method:
            ax.plot(of["mean"], color="#cfcfcf", linewidth=0.8, zorder=1)
        else:
            low, high = of["mean"] - of["half_width"], of["mean"] + of["half_width"]
            ax.fill_between(of.index, low.clip(0), high.clip(upper=100), color=colour, alpha=0.25)
            ax.plot(of["mean"], LINES[metric], color=colour, zorder=3)
    ax.set(title=plot.labels().get(method, method), xlim=(0, 100), ylim=(0, 100))


def as_text(found: Findings) -> str:
    """Return the report as it is printed: differences first, which the same images make sharp."""
    parts = ["\n".join([found.title, found.state, *found.remarks])]
    counts, differences, failures = found.counts, found.compared, found.failures
    if len(differences):
        parts.append(f"minus {found.reference}, on the same images:")
        parts.append(differences.to_string())
    parts += [f"{found.unit}; {LOPSIDED}:", found.shown.to_string()]
    parts += ["ranks, shared where no difference is sure:", found.ranks.to_string()]
    if len(counts):
        parts += ["the images behind each mean:", counts.to_string()]
    if len(failures):
        shown = failures.head(REASONS).itertuples(name=None)
        lines = [f"{images} × {reason} (the first: {first})" for reason, images, first in shown]
        parts.append("\n".join(["failed images, and why:", *lines]))
    if len(failures) > REASONS:
        parts.append(f"{len(failures) - REASONS} other reasons are in failures.csv")
    return "\n\n".join(parts)


def _latex(found: Findings) -> str:
    signs = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "−": "$-$"}
    text = found.shown.to_latex(escape=True)
    for sign, command in signs.items():
        text = text.replace(sign, command)
    return f"% \\usepackage{{booktabs}}; {found.unit}\n{text}"


def page(found: Findings, sheet: Figure | None = None) -> str:
    """Return the report as one HTML file that needs nothing else."""
    title = escape(found.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
        f"{body(found, sheet)}</body></html>\n"
    )


def body(found: Findings, sheet: Figure | None = None) -> str:
    """Return what stands on the page."""
    used = "; ".join(f"{name} {number}" for name, number in found.manifest["versions"].items())
    program, *given = shlex.split(found.manifest["command"])
    remarks = (remark[:1].upper() + remark[1:] for remark in found.remarks)
    return (
        f"<h1>{escape(found.title)}</h1>\n<p>{escape(found.state)}.</p>\n"
        + "".join(f"<p>{escape(remark)}.</p>\n" for remark in remarks)
        + "\n".join(_sections(found, sheet))
        + f"\n<p><small>{escape(used)}; commit {found.manifest['commit'] or 'unknown'}; "
        f"<code>{escape(shlex.join([Path(program).name, *given]))}</code></small></p>\n"
    )


def _sections(found: Findings, sheet: Figure | None) -> list[str]:
    """The tables and figures in the order in which they are read."""
    parts = []
    differences, failures = found.compared, found.failures
    if len(differences):
        reference = plot.labels().get(found.reference, found.reference)
        caption = f"Difference to {reference} on the same images, {found.unit}."
        parts += ["<h2>Differences</h2>", table(differences, "differences", caption).html]
    ties = "Ranks by each measure; methods of which none is surely better share one."
    alt = "Bars with intervals: the mean of every metric for every method, as in the table."
    parts += [
        "<h2>Ranks</h2>",
        table(found.ranks, "ranks", ties).html,
        "<h2>Means</h2>",
        table(found.shown, "summary", f"Means, {found.unit}; {LOPSIDED}.").html,
        picture(bars(found), f"Means, {found.unit}.", alt).html,
    ]
    if len(found.curves):
        said = (
            "Insertion (full line) and deletion (dashed) of each method: the mean probability of "
            "the predicted class over images, with its 95 % interval; the other methods in grey."
        )
        alt = "Curves for every method: insertion rises and deletion falls; areas as in the table."
        parts += ["<h2>Curves</h2>", picture(curves(found), said, alt).html]
    if len(found.counts):
        parts.append(table(found.counts, "counts", "The images behind each mean.").html)
    if sheet:
        said = (
            "The image on which each method did best, the median one, and the worst; maps of "
            "gradients, of which few pixels hold most, are drawn by their root."
        )
        parts += ["<h2>Pictures</h2>", picture(sheet, said, f"{said} Maps over the images.").html]
    if len(failures):
        caption = "What failed, and why."
        if len(failures) > REASONS:
            caption += f" {len(failures) - REASONS} other reasons are in failures.csv."
        shown = table(failures.head(REASONS), "failures", caption).html
        parts += ["<h2>Failures</h2>", shown]
    return [
        *parts,
        "<h2>Key</h2>",
        table(found.key, "key", "What the measures ask of a map.").html,
        "<h2>Seconds</h2>",
        table(found.seconds, "seconds", "How long a map takes, in seconds.", ".3g").html,
    ]
