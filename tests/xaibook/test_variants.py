"""The box study and selectivity: by identity."""

from __future__ import annotations

import pytest
import torch

from tests.networks import classifier, pictures
from xaibook.variants import box_study, selectivity, sliced_boxes
from xaicore.attribution import FakeCAM
from xaicore.metrics import confidence
from xaicore.metrics.localization import box_masks

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


def test_boxes_drawn_right_are_where_they_are() -> None:
    maps = torch.zeros(2, 1, 16, 16)
    drawn = sliced_boxes(BOXES, maps, swapped=False, clipped=True)
    assert torch.equal(drawn, box_masks(BOXES, maps))
    assert torch.equal(sliced_boxes(BOXES, maps), drawn.mT)  # swapped, and nothing to cut


def test_a_box_that_begins_outside_is_sliced_away() -> None:
    """By hand, on 16 columns: -3 counts from the end, so 13 to 8 is empty and 13 to 15 a strip."""
    maps = torch.zeros(1, 1, 16, 16)
    gone = torch.tensor([[-3.0, 2, 8, 10]])
    assert sliced_boxes([gone], maps, swapped=False).sum() == 0
    assert sliced_boxes([gone], maps, swapped=False, clipped=True).sum() == 8 * 8
    strip = sliced_boxes([torch.tensor([[-3.0, 2, 15, 10]])], maps, swapped=False)
    assert strip[0, 0].nonzero()[:, 1].unique().tolist() == [13, 14]
    beyond = sliced_boxes([torch.tensor([[8.0, 2, 40, 10]])], maps, swapped=False)
    assert beyond.sum() == 8 * 8


def test_masks_are_studied_as_they_are() -> None:
    maps, masks = torch.rand(2, 1, 16, 16), box_masks(BOXES, torch.zeros(2, 1, 16, 16))
    study, same = box_study(maps, BOXES), box_study(maps, masks)
    assert all(torch.equal(study[part], same[part]) for part in study)


def test_powers_keep_order_and_ends() -> None:
    maps = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    assert selectivity(maps, 2).flatten().tolist() == [0, 0.25, 1]
    assert torch.equal(selectivity(maps, 1), maps)
    for alpha in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="alpha"):
            selectivity(maps, alpha)
