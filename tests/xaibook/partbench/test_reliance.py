"""Reliance: networks that read one part, the other, or nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.networks import NEUTRAL
from tests.xaibook.partbench.oracles import reader
from xaibook.flowers.dataset import Flowers
from xaibook.partbench import reliance
from xaicore.classifier import Classifier

COUNT = 8


class Red(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(4)[:1].expand(len(images), -1)


@pytest.mark.parametrize("task", ["petal", "stem"])
def test_a_network_that_reads_the_part_relies_on_it(task: str) -> None:
    flowers = Flowers(task, "test", COUNT)
    found = reliance(reader(task, [flowers]), flowers)
    assert found.correct.all()
    assert found.follows.tolist() == [1] * COUNT
    assert found.stays.tolist() == [1] * COUNT
    assert torch.equal(found.guesses, flowers.targets == 0)
    assert found.relies.all()


def test_a_network_that_reads_the_other_part_does_not() -> None:
    flowers = Flowers("stem", "test", COUNT)
    found = reliance(reader("petal", [flowers]), flowers)
    assert (found.stays == 0).all()
    assert (found.follows < 1).all()
    assert not found.relies.any()
    petals = Flowers("petal", "test", COUNT).targets
    assert torch.equal(found.correct, petals == flowers.targets)


def test_a_network_that_always_says_the_same_follows_nothing() -> None:
    flowers = Flowers("petal", "test", COUNT)
    found = reliance(Classifier(Red().eval(), **NEUTRAL), flowers)
    assert (found.stays == 1).all()
    assert torch.equal(found.correct, flowers.targets == 0)
    expected = torch.where(flowers.targets == 0, 0.0, 1 / 3)
    torch.testing.assert_close(found.follows, expected)
    assert not found.relies.any()


def test_other_tasks_and_networks_in_training_are_refused() -> None:
    red = Classifier(Red().eval(), **NEUTRAL)
    with pytest.raises(ValueError, match=r"flowers\.task must be one of petal, stem"):
        reliance(red, Flowers("species", "test", 2))
    with pytest.raises(ValueError, match="training mode"):
        reliance(Classifier(Red().train(), **NEUTRAL), Flowers("stem", "test", 2))
