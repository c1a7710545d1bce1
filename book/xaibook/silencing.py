"""What a class loses when channels fall silent: relevant ones, beside random ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from xaicore.evaluation.tables import paired_difference, summarize


def permuted(values: np.ndarray, rounds: int = 100_000) -> float:
    """Return how often a choice as good as column 0 comes about where every column is as likely.

    With d random choices for each of N networks it cannot be less than about ``(1 + d) ** -N``.

    Args:
        values: one row for each network: what the choice is worth, then what random ones are;
            large is good.
        rounds: how many choices are drawn.
    """
    worth = torch.tensor(np.asarray(values), dtype=torch.double)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(worth.shape[1], (rounds, len(worth)), generator=generator)
    drawn = worth[torch.arange(len(worth)), picks].mean(1)
    as_good = drawn >= worth[:, 0].mean() - 1e-12
    return ((1 + as_good.sum()) / (1 + rounds)).item()


def choices_of(records: pd.DataFrame, value: str) -> np.ndarray:
    """Return a row for each network: the relevant choice, then the random ones.

    Args:
        records: one row for each ``network``, ``features`` and ``draw``.
        value: the column that says what a choice is worth.
    """
    wide = records.pivot(index="network", columns=["features", "draw"], values=value)
    return wide[["relevant", "random"]].to_numpy(copy=True)


def compared(lost: pd.DataFrame) -> dict[str, float]:
    """Return what the class loses by either kind of channels, and the difference by pictures.

    Args:
        lost: for each ``network``, ``image`` and ``features`` what is lost of the probability,
            ``p``, and of being right, ``correct``.
    """
    apart, means = {}, {}
    for value in ("p", "correct"):
        records = lost.rename(columns={"features": "method", value: "value"})
        records = records[["network", "image", "method", "value"]].assign(metric=value)
        found = paired_difference(records, "relevant", "random", within=["network"])
        apart[value] = found.loc[value]
        means[value] = summarize(records)["mean"].droplevel("metric")
    return {
        "relevant": means["p"]["relevant"],
        "random": means["p"]["random"],
        "difference": apart["p"]["mean"],
        "± difference": apart["p"]["half_width"],
        "in accuracy": apart["correct"]["mean"],
        "± in accuracy": apart["correct"]["half_width"],
    }


def silenced(
    means: pd.DataFrame, pictures: pd.DataFrame, groups: list[str], most: int
) -> pd.DataFrame:
    """Return a row for each group: what is lost by silencing, and the chance of such a loss.

    Args:
        means: the records of every draw: the groups, ``network``, ``features``, ``draw``, ``k``
            and the probability ``p`` that is left.
        pictures: the records of every picture: the groups, ``network``, ``image``, ``features``,
            ``k``, ``p`` and ``correct``.
        groups: the columns whose groups are told apart.
        most: how many channels fall silent.
    """
    ends = means.pivot_table(
        index=[*groups, "network", "features", "draw"], columns="k", values="p"
    )
    losses = (100 * (ends[0] - ends[most])).rename("loss").reset_index()
    keys = [*groups, "network", "image", "features"]
    wide = pictures.pivot(index=keys, columns="k", values=["p", "correct"])
    lost = pd.DataFrame({m: wide[m][0] - wide[m][most] for m in ("p", "correct")}).reset_index()
    rows = []
    for group, own in lost.groupby(groups, sort=False):
        named = dict(zip(groups, group, strict=True))
        same = (losses[groups] == pd.Series(named)).all(axis=1)
        chance = permuted(choices_of(losses[same], "loss"))
        rows.append(named | compared(own) | {"P (chance)": chance})
    return pd.DataFrame(rows)
