"""Explainers by metrics over a data set, in parts that are kept as they are finished."""
