"""One bar for all ranks: images, their speed, the time left, and the means so far."""

from __future__ import annotations

import pandas as pd
from tqdm import tqdm

FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
"""A bar that always tells images a second, never seconds an image."""


class Progress:
    """Shows what is finished; silent where there is no terminal.

    Args:
        images: how many there are.
        shown: whether to show a bar at all; ``None``: if the errors go to a terminal.
    """

    def __init__(self, images: int, shown: bool | None = None) -> None:
        self.bar = tqdm(
            total=images,
            unit=" images",
            bar_format=FORMAT,
            disable=None if shown is None else not shown,
            dynamic_ncols=True,
        )
        self.sums = pd.DataFrame()
        self.done = self.failed = 0
        self.example = ""
        self.opened: list[pd.DataFrame] = []

    def resume(self, records: pd.DataFrame) -> None:
        """Count records of an earlier run, which say nothing of the speed of this one."""
        self._count(records)
        if not self.bar.disable:
            self.bar.initial = self.bar.n = self.done

    def open(self, records: pd.DataFrame) -> None:
        """Show a batch of a chunk that is not finished."""
        self.opened.append(records)
        self._show()

    def add(self, records: pd.DataFrame) -> None:
        """Count the records of a finished chunk."""
        self._count(records)
        self.opened.clear()
        self._show()

    def means(self) -> str:
        """Return the mean of the first metric for every method, and how many images failed."""
        sums = self.sums
        for records in self.opened:
            sums = _added(sums, records)
        if sums.empty:
            return ""
        first = sums.index[0][1]
        of_first = sums.xs(first, level="metric")
        means = (of_first["sum"] / of_first["count"]).dropna()
        text = f"{first} " + " ".join(f"{name} {mean:.3g}" for name, mean in means.items())
        return f"{text}, failed {self.failed}" if self.failed else text

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def _show(self) -> None:
        if self.bar.disable:
            return
        shown = self.done + sum(records["image"].nunique() for records in self.opened)
        self.bar.set_postfix_str(self.means(), refresh=False)
        self.bar.update(shown - self.bar.n)

    def _count(self, records: pd.DataFrame) -> None:
        self.sums = _added(self.sums, records)
        self.done += records["image"].nunique()
        if (bad := records["failed"] != "").any():
            self.failed += records.loc[bad, "image"].nunique()
            self.example = self.example or first_failure(records)


def first_failure(records: pd.DataFrame) -> str:
    """Return what failed first, and why, in words; empty if nothing did."""
    for row in records[records["failed"] != ""].head(1).itertuples():
        return f"image {row.image}, {row.method}, {row.metric}: {row.failed}"
    return ""


def _added(sums: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The sum and number of the values of each method and metric, with those of more records."""
    found = records.groupby(["method", "metric"], sort=False)["value"].agg(["sum", "count"])
    return found if sums.empty else sums + found
