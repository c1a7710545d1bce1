"""What a run found: its means with intervals, ranks, paired differences, times and failures."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from xaicore import plot
from xaicore.classifier import check_name
from xaicore.evaluation.bounds import FEW, Values, intervals, per_image, ranks
from xaicore.evaluation.folder import Folder
from xaicore.evaluation.tables import as_table, heading, paired_difference, summarize
from xaicore.evaluation.tally import shift, told
from xaicore.html import typeset
from xaicore.metrics.measures import ASKS, MEASURES, in_per_cent


@dataclass(frozen=True)
class Findings:
    """What a run found; in a notebook it shows itself as the page of the report.

    Attributes:
        manifest: what the run is.
        records: the records that are there.
        reference: the method that the others are compared with.
        curves: the mean curves of insertion and deletion: ``mean``, ``half_width`` and ``n`` by
            ``method``, ``metric`` and ``share`` of the pixels, in per cent; empty if there is none.
    """

    manifest: dict[str, Any]
    records: pd.DataFrame
    reference: str
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def title(self) -> str:
        """The network, the number of images, and the folder, if there was one."""
        words = pairwise(shlex.split(self.manifest["command"]))
        named = [given for option, given in words if option == "--images"]
        place = f" of {'/'.join(Path(named[-1]).parts[-2:])}" if named else ""
        count = self.manifest["data"]["images"]
        return f"{self.manifest['model']['network']} on {count} images{place}"

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
        if shifted := shift(self.records):
            notes.append(f"warning: {shifted}")
        least = int(self.summarized["n"].min())
        if least < FEW:
            notes.append(f"with means over {least} images, intervals are a rough guide")
        return notes

    @cached_property
    def summarized(self) -> pd.DataFrame:
        """The mean of each metric for each method, its interval, and its number of images."""
        return summarize(self.records)

    @cached_property
    def _values(self) -> Values:
        return per_image(self.records)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The same with the two ends of each interval, which stay where values can be."""
        return intervals(self._values)

    @cached_property
    def means(self) -> pd.DataFrame:
        """The mean of each metric for each method, with 95 % intervals, as numbers."""
        return as_table(self.summarized, plot.labels()).rename_axis("method")

    @cached_property
    def shown(self) -> pd.DataFrame:
        """The same as it is read: ``±`` in the cell, or both ends of a lopsided interval."""
        texts = self.intervals.apply(_text, axis=1).unstack("metric", sort=False)
        return _read(texts)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """The rank of each method by each metric; those that are not surely apart share it."""
        return _read(ranks(self._values))

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
    def compared(self) -> pd.DataFrame:
        """The same as it is read, a difference and its half-width in one cell; empty if alone."""
        wide = self.differences
        columns = [name for name in wide if not name.startswith("±")]
        texts = {
            name: [
                f"{typeset(float(mean), '+.2f')} ± {half:.2f}"
                for mean, half in zip(wide[name], wide[f"± {name[:-2]}"], strict=True)
            ]
            for name in columns
        }
        return pd.DataFrame(texts, wide.index)

    @property
    def unit(self) -> str:
        """What the numbers are."""
        own = [name for name in self.records["metric"].unique() if not in_per_cent(name)]
        but = f", but for {' and '.join(own)}" if own else ""
        return f"per cent{but}; ± is the half-width of the 95 % interval over images"

    @cached_property
    def seconds(self) -> pd.DataFrame:
        """The median time of a map of each method, and the time of all its maps."""
        maps = self.records.drop_duplicates(["image", "method"])
        times = maps.groupby("method", sort=False)["seconds"]
        found = pd.DataFrame({"median, s": times.median(), "all, s": times.sum()})
        return found.rename(plot.labels())

    @cached_property
    def key(self) -> pd.DataFrame:
        """What each measure asks, and which way is better."""
        rows = [MEASURES[name] for name in self.records["metric"].unique()]
        words = {"↑": "higher", "↓": "lower"}
        asked = {row.name: (ASKS[row.name], words[row.arrow], row.unit) for row in rows}
        found = pd.DataFrame.from_dict(asked, "index", columns=["asks", "better", "unit"])
        return found.rename_axis("measure")

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

    def _repr_html_(self) -> str:
        from xaicore.evaluation.report import body  # noqa: PLC0415 - it draws, which takes a second

        return body(self)


def read_findings(path: Path | str, reference: str | None = None) -> Findings:
    """Return what a run has found so far.

    Args:
        path: the folder of the run.
        reference: the method that the others are compared with; ``None`` for the first.

    Raises:
        ValueError: it is no folder of a run, no chunk is finished, or there is no such method.
    """
    folder = Folder(Path(path))
    records, methods = folder.records(), list((folder.manifest or {})["methods"])
    if reference is not None:
        check_name("reference", reference, methods)
    manifest = folder.manifest or {}
    return Findings(manifest, records, reference or methods[0], folder.curves())


def _text(row: pd.Series) -> str:
    """A mean and its interval: ``±`` if the ends are as far from the mean, else both ends."""
    mean, low, high = row["mean"], row["low"], row["high"]
    if pd.isna(low):
        return typeset(float(mean), ".2f")
    if abs(mean - low - (high - mean)) < 1e-9 * max(1.0, abs(mean)):
        return f"{typeset(float(mean), '.2f')} ± {high - mean:.2f}"
    ends = " to ".join(typeset(float(end), ".2f") for end in (low, high))
    return f"{typeset(float(mean), '.2f')} ({ends})"


def _read(table: pd.DataFrame) -> pd.DataFrame:
    """A table of methods and metrics as it is read: labels, and arrows in the head."""
    named = table.rename(columns=heading).rename(plot.labels())
    return named.rename_axis("method").rename_axis(columns=None)
