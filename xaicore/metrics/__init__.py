"""Metrics: pure functions, one value per image."""

from xaicore.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    confidence,
)

__all__ = ["average_drop", "average_gain", "average_increase", "confidence"]
