"""Runs: explainers by metrics over a data set, in parts that are kept as they are finished."""

from xaicore.runs.api import evaluate
from xaicore.runs.folder import Records, read_records

__all__ = ["Records", "evaluate", "read_records"]
