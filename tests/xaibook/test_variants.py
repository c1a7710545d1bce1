"""The box study and selectivity: by identity."""

from __future__ import annotations

import pytest
import torch

from tests.networks import classifier, pictures
from xaibook.variants import box_study, selectivity
from xaicore.attribution import FakeCAM
from xaicore.metrics import confidence

BOXES = [torch.tensor([[2.0, 3, 9, 12]]), torch.tensor([[0.0, 0, 4, 4], [3, 3, 16, 8]])]


def test_the_parts_make_the_map() -> None:
    maps = torch.rand(2, 1, 16, 16)
    study = box_study(maps, BOXES)
    assert torch.equal(study["B∩S"] + study["S∖B"], study["S"])
    assert torch.equal(study["B"] + study["I∖B"], torch.ones_like(maps))
    assert study["B"].flatten(1).sum(1).tolist() == [63, 16 + 65 - 1]


def test_fake_cam_within_the_box_is_the_box() -> None:
    """Table 5 of the paper: one missing pixel in the corner does not matter."""
    model, images = classifier(), pictures(2)
    study = box_study(FakeCAM(model)(images), [BOXES[0]] * 2)
    assert torch.equal(study["B∩S"], study["B"])
    _, part = confidence(model, images, study["B∩S"], 0)
    _, box = confidence(model, images, study["B"], 0)
    assert torch.equal(part, box)


def test_powers_keep_order_and_ends() -> None:
    maps = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    assert selectivity(maps, 2).flatten().tolist() == [0, 0.25, 1]
    assert torch.equal(selectivity(maps, 1), maps)
    for alpha in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="alpha"):
            selectivity(maps, alpha)
