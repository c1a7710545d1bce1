"""Records and the wide tables that the book stores hold the same."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from tests.networks import classifier
from tests.xaicore.evaluation.subject import CURVES, Some, methods
from xaibook.wide import from_records, to_records
from xaicore.evaluation.api import evaluate
from xaicore.evaluation.dataset import Truth

IDENTITY = ["image", "target", "method", "p", "o", "seconds", "degenerate"]


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    model, masks = classifier(), torch.zeros(5, 1, 16, 16)
    masks[..., 2:9, 2:9] = 1
    truth = Truth(masks=masks)
    return evaluate(model, Some(5), methods(model), curves=CURVES, truth=truth, batch_size=2)


def test_a_wide_table_has_a_row_per_map_and_a_column_per_measure(records: pd.DataFrame) -> None:
    wide = from_records(records)
    measured = ["insertion", "deletion", "IoU-AUC", "RMA", "RRA"]
    assert list(wide) == [*IDENTITY, *measured]
    assert wide["method"].tolist() == [m for m in records["method"].unique() for _ in range(5)]
    assert wide["image"].tolist() == [*range(5)] * 3


def test_records_become_a_wide_table_and_back_to_the_bit(records: pd.DataFrame) -> None:
    keys = ["image", "method", "metric"]
    columns = [*keys, "value", "target", "p", "o", "seconds", "degenerate"]
    back = to_records(from_records(records))
    ours, theirs = (
        table[columns].sort_values(keys, ignore_index=True) for table in (records, back)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_where_nothing_was_masked_nothing_follows(records: pd.DataFrame) -> None:
    wide = from_records(records)
    wide.loc[3, "o"] = float("nan")
    found = to_records(wide).set_index(["method", "image", "metric"])["value"]
    row = wide.loc[3]
    assert found.loc[row["method"], row["image"], ["AD", "AG", "AI"]].isna().all()
    assert found.notna().sum() == len(found) - 3
