"""The networks that were taught for their gradients are there, and differ."""

import pytest
import torch

from xaibook.flowers import Flowers
from xaibook.flowers.taught import TAUGHT, taught_classifier


def test_each_network_tells_flowers_apart_better_than_a_guess():
    flowers = Flowers("species", "test", 48)
    right = {}
    for name in TAUGHT:
        with torch.no_grad():
            found = taught_classifier(name)(flowers.images).argmax(1)
        right[name] = (found == flowers.targets).double().mean().item()
    assert right["cross-entropy"] > 0.85
    assert right["averages"] > 0.8
    assert right["log-probability"] > 0.6
    assert right["log-probability"] < right["cross-entropy"]


def test_a_network_that_was_not_taught_is_refused():
    with pytest.raises(ValueError, match="name"):
        taught_classifier("hinge")
