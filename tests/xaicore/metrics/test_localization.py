"""Localisation from boxes: by hand, by literal loops, and at its edges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.networks import NEUTRAL, LinearPixels, classifier, pictures
from xaicore.classifier import Classifier
from xaicore.metrics.localization import (
    best_iou,
    box_accuracy,
    box_f1,
    box_masks,
    energy_pointing_game,
    localization_error,
    max_box_accuracy,
    official_metric,
    predicted_boxes,
    saliency_metric,
    standard_pointing_game,
)


def maps_of(*cells: tuple[int, int, float], height: int = 8, width: int = 10) -> Tensor:
    """One map of zeros but for cells ``(row, column, value)``."""
    saliency = torch.zeros(1, 1, height, width)
    for y, x, value in cells:
        saliency[0, 0, y, x] = value
    return saliency


def box(*corners: float) -> Tensor:
    return torch.tensor([corners]).float()


def noise(count: int, seed: int, height: int = 12, width: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 4, 3, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


BLOB = maps_of((2, 3, 1), (2, 4, 1), (3, 3, 1), (3, 4, 1), (4, 5, 0.9), (7, 9, 1))
"""Columns 3-5 and rows 2-4, joined at a corner, and a single pixel apart."""


def test_the_predicted_box_bounds_the_largest_component() -> None:
    assert predicted_boxes(BLOB).tolist() == [[3, 2, 6, 5]]


def test_iou_and_the_errors_by_hand() -> None:
    maps = BLOB.repeat(3, 1, 1, 1)
    boxes = [box(3, 2, 6, 5), torch.cat([box(0, 0, 1, 1), box(3, 2, 5, 5)]), box(3, 2, 9, 5)]
    iou = best_iou(maps, boxes)
    assert iou.tolist() == pytest.approx([1, 2 / 3, 0.5])
    assert localization_error(iou).tolist() == [0, 0, 1]  # 0.5 does not exceed 0.5
    assert official_metric(iou, torch.tensor([True, False, True])).tolist() == [0, 1, 1]


def literal_largest(binary: Tensor) -> list[float]:
    """The box of the largest component by flooding from each pixel."""
    H, W = binary.shape
    left = {(y, x) for y in range(H) for x in range(W) if binary[y, x]}
    best: list[tuple[int, int]] = []
    while left:
        stack, part = [min(left)], []
        left.remove(stack[0])
        while stack:
            y, x = stack.pop()
            part.append((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            stack += near
        if len(part) > len(best):
            best = part
    if not best:
        return [0, 0, 0, 0]
    y, x = zip(*best, strict=True)
    return [min(x), min(y), max(x) + 1, max(y) + 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_predicted_boxes_equal_flooding(seed: int) -> None:
    maps = (
        torch.rand(3, 1, 8, 7, generator=torch.Generator().manual_seed(seed)) ** 2 * 4
    ).round() / 4
    expected = [literal_largest(m > m.double().mean()) for m in maps[:, 0].double()]
    assert predicted_boxes(maps).tolist() == expected


@example(0.17860617520075095)  # the mean of 63 of them is rounded down
@given(st.floats(0, 1))
def test_a_constant_map_shows_nothing(value: float) -> None:
    maps = torch.full((1, 1, 7, 9), value, dtype=torch.float64)
    assert predicted_boxes(maps).tolist() == [[0, 0, 0, 0]]
    assert best_iou(maps, [box(0, 0, 9, 7)]).tolist() == [0]


def test_energy_f1_and_pointing_by_hand() -> None:
    maps = maps_of((1, 1, 1.0), (1, 2, 0.5), (6, 6, 0.5))
    boxes = [torch.cat([box(1, 1, 3, 2), box(1, 1, 2, 3)])]  # union of 3 pixels
    assert energy_pointing_game(maps, boxes).tolist() == [0.75]
    assert box_f1(maps, boxes).item() == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert standard_pointing_game(maps, boxes).tolist() == [1]
    assert standard_pointing_game(maps_of((1, 1, 1), (6, 6, 1)), boxes).tolist() == [0.5]


def test_maps_without_order_or_mass() -> None:
    boxes = [box(0, 0, 5, 4)]
    ones, zeros = torch.ones(1, 1, 8, 10), torch.zeros(1, 1, 8, 10)
    assert standard_pointing_game(ones, boxes).tolist() == [0.25]
    assert standard_pointing_game(zeros, boxes).tolist() == [0.25]
    assert energy_pointing_game(ones, boxes).tolist() == [0.25]
    assert box_f1(ones, boxes).tolist() == pytest.approx([2 * 0.25 / 1.25])
    assert energy_pointing_game(zeros, boxes).tolist() == box_f1(zeros, boxes).tolist() == [0]
    assert not box_accuracy(zeros, [box(0, 0, 10, 8)]).any()
    assert box_accuracy(ones, [box(0, 0, 10, 8)]).all()


def test_the_box_itself_as_a_map_is_perfect() -> None:
    boxes = [box(2, 1, 6, 5), box(0, 0, 3, 8)]
    maps = box_masks(boxes, torch.zeros(2, 1, 8, 10))
    for score in (best_iou, box_f1, energy_pointing_game, standard_pointing_game):
        assert score(maps, boxes).tolist() == [1, 1]
    assert max_box_accuracy(box_accuracy(maps, boxes)) == 1


def test_pixels_belong_to_a_box_by_their_centres() -> None:
    inside = box_masks([box(0.4, 0.6, 2.5, 1.6)], torch.zeros(1, 1, 3, 4))
    expected = torch.zeros(3, 4)
    expected[1, :2] = 1
    assert torch.equal(inside[0, 0], expected)
    beyond = box_masks([box(-5, -5, 2, 99)], torch.zeros(1, 1, 3, 4))
    assert beyond.sum() == 6


@pytest.mark.parametrize("every", [True, False])
def test_box_accuracy_equals_a_literal_loop(every: bool) -> None:
    maps = noise(4, 3)
    boxes = [
        box(0, 0, 5, 6),
        torch.cat([box(1, 1, 4, 9), box(5, 5, 9, 12)]),
        box(2, 3, 9, 9),
        box(0, 6, 9, 12),
    ]
    thresholds, deltas = (0.0, 0.3, 0.5, 0.62, 0.8, 0.95), (0.3, 0.5, 0.7)
    table = box_accuracy(maps, boxes, thresholds, deltas, every)
    assert 0 < table.mean() < 1
    for i, saliency in enumerate(maps[:, 0].double()):
        for t, eta in enumerate(thresholds):
            found = boxes_of(saliency > eta * saliency.max(), every)
            best = max(overlap(f, b) for f in found for b in boxes[i].tolist())
            assert table[i, t].tolist() == [float(best >= d) for d in deltas]
    means = table.mean(0)
    assert max_box_accuracy(table) == pytest.approx(sum(max(c) for c in means.T.tolist()) / 3)


def boxes_of(binary: Tensor, every: bool) -> list[list[float]]:
    found, left = [], binary.clone()
    while left.any():
        found.append(literal_largest(left))
        x0, y0, x1, y1 = (int(v) for v in found[-1])
        left[y0:y1, x0:x1] = False  # holds for these smooth maps: no component within another's box
        if not every:
            break
    return found


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / area


def test_box_accuracy_of_every_component_or_of_the_largest() -> None:
    """The true box fits the single pixel, not the larger component."""
    settings = {"thresholds": (0.0,), "deltas": (0.5,)}
    assert box_accuracy(BLOB, [box(9, 7, 10, 8)], **settings).item() == 1
    assert box_accuracy(BLOB, [box(9, 7, 10, 8)], every_component=False, **settings).item() == 0
    assert box_accuracy(BLOB, [box(3, 2, 6, 5)], every_component=False, **settings).item() == 1


def test_saliency_metric_by_hand() -> None:
    """The left half is white in channel 0: cut to it, the whole image is white there."""
    model = Classifier(LinearPixels().eval(), **NEUTRAL)
    images = torch.zeros(2, 3, 4, 4)
    images[:, 0, :, :2] = 0.25
    maps = torch.zeros(2, 1, 4, 4)
    maps[0, 0, :, :2] = 1  # the second map is empty: black, smallest area
    p = math.exp(4) / (math.exp(4) + 2)
    expected = [math.log(0.5) - math.log(p), math.log(0.05) - math.log(1 / 3)]
    assert saliency_metric(model, images, maps, 0).tolist() == pytest.approx(expected)


def test_saliency_metric_on_the_whole_image_and_the_predicted_class() -> None:
    model, images = classifier(), pictures()
    maps = torch.ones(3, 1, 16, 16)
    maps[:, :, 8, 8] = 0
    log_p = model(images).double().log_softmax(1).amax(1)
    torch.testing.assert_close(saliency_metric(model, images, maps, None), -log_p.detach())


def test_a_batch_gives_what_its_images_give() -> None:
    maps = noise(4, 5)
    boxes = [box(i, i, 6 + i, 8) for i in range(4)]
    scores = (best_iou, box_f1, energy_pointing_game, standard_pointing_game, box_accuracy)
    for score in scores:
        alone = torch.cat([score(maps[i : i + 1], boxes[i : i + 1]) for i in range(4)])
        assert torch.equal(score(maps, boxes), alone)
        assert len(score(maps[:0], [])) == 0
    model, images = classifier(), pictures(4, 12, 9)
    alone = torch.cat(
        [saliency_metric(model, images[i : i + 1], maps[i : i + 1], 1) for i in range(4)]
    )
    torch.testing.assert_close(saliency_metric(model, images, maps, 1), alone)
    assert saliency_metric(model, images[:0], maps[:0], None).shape == (0,)


def test_what_cannot_be_used_is_refused() -> None:
    maps = noise(2, 0)
    good = box(0, 0, 3, 3)
    with pytest.raises(ValueError, match="one tensor for each of the 2 images"):
        best_iou(maps, [good])
    with pytest.raises(ValueError, match=r"boxes\[1\] is empty"):
        best_iou(maps, [good, torch.zeros(0, 4)])
    for bad in (box(3, 0, 3, 3), box(20, 0, 30, 5), box(float("nan"), 0, 3, 3)):
        with pytest.raises(ValueError, match=r"boxes\[0\] must be x0, y0"):
            energy_pointing_game(maps, [bad, good])
    with pytest.raises(ValueError, match=r"shape \(n, 4\)"):
        box_f1(maps, [good[0], good])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        predicted_boxes(maps * 5)
    with pytest.raises(ValueError, match="N > 0"):
        max_box_accuracy(torch.zeros(0, 100, 3))
