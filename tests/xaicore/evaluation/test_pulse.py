"""A process that is at work says so, however long a batch takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from torch import Tensor

from tests.networks import classifier
from tests.xaicore.evaluation.subject import Some, run
from xaicore.attribution.explainer import Explainer
from xaicore.evaluation import engine
from xaicore.evaluation.folder import Folder

PATIENCE = 60.0
"""Seconds after which a claim is surely not renewed."""


class Slow(Explainer):
    """Explains a batch until the claim of its chunk was renewed, some times."""

    cost = "time"

    def __init__(self, folder: Path) -> None:
        super().__init__(classifier())
        self.chunks = folder / "chunks"
        self.renewed = 0

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        claims = list(self.chunks.glob(".*.claim"))
        if not claims:  # it is tried on the first image, before the run begins
            return images.mean(1, keepdim=True)
        (claim,) = claims
        given_up = time.monotonic() + PATIENCE
        told = claim.stat().st_mtime_ns
        while self.renewed < 3 and time.monotonic() < given_up:
            if (now := claim.stat().st_mtime_ns) != told:
                told, self.renewed = now, self.renewed + 1
            time.sleep(0.01)
        return images.mean(1, keepdim=True)


def test_a_claim_is_renewed_during_a_long_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STALE", 0.2)
    slow = Slow(tmp_path)
    run(tmp_path, dataset=Some(4), methods={"slow": slow}, metrics=["AD"], model=slow.classifier)
    assert slow.renewed == 3
    assert not list((tmp_path / "chunks").glob(".*"))


def test_a_claim_that_is_given_up_is_not_made_again(tmp_path: Path) -> None:
    """What renews it comes too late where the chunk is finished meanwhile."""
    run(tmp_path, dataset=Some(4), metrics=["AD"])
    folder = Folder(tmp_path)
    folder.renew(0)
    assert folder.idle(0) == float("inf")
