"""Runs: explainers by metrics over a data set, in parts that are kept as they are finished."""

from xaicore.evaluation.api import evaluate
from xaicore.evaluation.folder import Records, read_records

__all__ = ["Records", "evaluate", "read_records"]
