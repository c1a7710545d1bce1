"""One bar for all ranks: images, their speed, the time left, and the means so far."""

from __future__ import annotations

import pandas as pd
from tqdm import tqdm


class Progress:
    """Shows what is finished; silent where there is no terminal.

    Args:
        images: how many there are.
        shown: whether to show a bar at all; ``None``: if the errors go to a terminal.
    """

    def __init__(self, images: int, shown: bool | None = None) -> None:
        self.bar = tqdm(
            total=images,
            unit="image",
            disable=None if shown is None else not shown,
            dynamic_ncols=True,
        )
        self.sums = pd.DataFrame()
        self.done = self.opened = self.failed = 0

    def resume(self, records: pd.DataFrame) -> None:
        """Count records of an earlier run, which say nothing of the speed of this one."""
        self._count(records)
        if not self.bar.disable:
            self.bar.initial = self.bar.n = self.done

    def open(self, images: int) -> None:
        """Show more images of a chunk that is not finished."""
        self.opened += images
        self.bar.update(self.done + self.opened - self.bar.n)

    def add(self, records: pd.DataFrame) -> None:
        """Count the records of a finished chunk."""
        self._count(records)
        self.opened = 0
        self.bar.set_postfix_str(self.means(), refresh=False)
        self.bar.update(self.done - self.bar.n)

    def means(self) -> str:
        """Return the mean of the first metric for every method, and how many images failed."""
        if self.sums.empty:
            return ""
        first = self.sums.index[0][1]
        of_first = self.sums.xs(first, level="metric")
        means = (of_first["sum"] / of_first["count"]).dropna()
        text = f"{first} " + " ".join(f"{name} {mean:.3g}" for name, mean in means.items())
        return f"{text}, failed {self.failed}" if self.failed else text

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def _count(self, records: pd.DataFrame) -> None:
        groups = records.groupby(["method", "metric"], sort=False)["value"]
        found = groups.agg(["sum", "count"])
        self.sums = found if self.sums.empty else self.sums + found
        self.done += records["image"].nunique()
        self.failed += records.loc[records["failed"] != "", "image"].nunique()
