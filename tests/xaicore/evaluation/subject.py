"""A small run, shared by the tests of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tests.networks import classifier, pictures
from xaicore.attribution import FakeCAM, GradCAM, Saliency
from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.metrics import CausalProtocol

CURVES = CausalProtocol(steps=4)
METRICS = ("AD", "AG", "AI", "insertion", "deletion")


class Some(Dataset[Any]):
    """Small pictures with classes; those at some places cannot be had."""

    def __init__(self, count: int = 12, bad: dict[int, Any] | None = None) -> None:
        self.images = pictures(count)
        self.bad = bad or {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Any:
        given = self.bad.get(place, (self.images[place], place % 5))
        if isinstance(given, Exception):
            raise given
        return given


def methods(model: Classifier) -> dict[str, Explainer | Tensor]:
    return {"grad-cam": GradCAM(model), "fake-cam": FakeCAM(model), "saliency": Saliency(model)}


def run(out: Path | None = None, count: int = 12, **options: Any) -> pd.DataFrame:
    """Evaluate the small network on the small pictures."""
    model = options.pop("model", None) or classifier()
    dataset = options.pop("dataset", None) or Some(count)
    chosen = options.pop("methods", None) or methods(model)
    options = {"batch_size": 2, "chunk_size": 4, "curves": CURVES} | options
    return evaluate(model, dataset, chosen, options.pop("metrics", METRICS), out=out, **options)


def timeless(records: pd.DataFrame) -> pd.DataFrame:
    """Records without what is never the same."""
    return records.drop(columns="seconds")


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Demand the same bits."""
    pd.testing.assert_frame_equal(timeless(one), timeless(other), check_exact=True)


class Hungry(nn.Module):
    """A network that fits into memory with so many images at once; or fails at some calls."""

    def __init__(self, most: int, calls: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.net = classifier().net
        self.most = most
        self.calls = calls
        self.seen = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.seen += 1
        if len(images) > self.most or self.seen in self.calls:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(images)
