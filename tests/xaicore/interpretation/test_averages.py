"""Average visualisations: which images, which pieces, and what their mean is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tests.networks import NEUTRAL, classifier, pictures, state_of
from xaicore.classifier import Classifier
from xaicore.interpretation import (
    Layer,
    RelevantFeatures,
    Responses,
    Unit,
    responses,
    visualise,
)
from xaicore.interpretation.averages import crop, field_boxes
from xaicore.interpretation.fields import Field


def red_detector() -> Classifier:
    """Channel 0 responds to red and channel 1 to green, over 3 x 3 pixels."""
    conv = nn.Conv2d(3, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0], conv.weight[1, 1] = 1, 1
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(net.eval(), layer="1", **NEUTRAL)


def spots() -> tuple[TensorDataset, Tensor]:
    """Images of class 0 with a red spot on faint noise; four of class 1, green all over."""
    generator = torch.Generator().manual_seed(0)
    images = 0.02 * torch.rand(10, 3, 12, 12, generator=generator)
    places = torch.tensor([[3, 4], [8, 8], [5, 2], [1, 7], [0, 0], [11, 6]])
    for i, (row, column) in enumerate(places):
        images[i, 0, row, column] = 1
    images[6:, 1] = 0.8
    return TensorDataset(images, torch.tensor([0] * 6 + [1] * 4)), places


def chosen(model: Classifier) -> tuple[RelevantFeatures, Responses]:
    W = torch.tensor([[2.0, 0.0], [0.5, 1.0]], dtype=torch.double)
    found = Responses.join(responses(model, spots()[0]))
    return RelevantFeatures(W, (Layer("1", 2),), 10.0, "true"), found


def test_pieces_are_the_receptive_fields_of_the_strongest_positions() -> None:
    model, (data, places) = red_detector(), spots()
    features, found = chosen(model)
    red, green = visualise(model, data, features, found, 0)
    assert (red.unit, red.weight) == (Unit("1", 0), 2.0)
    assert (green.unit, green.weight) == (Unit("1", 1), 0.5)
    assert red.pieces.shape == (6, 3, 3, 3)
    for index, box, piece in zip(red.images, red.boxes, red.pieces, strict=True):
        row, column = places[index].tolist()
        top, left, height, width = box.tolist()
        assert (height, width) == (3, 3)
        assert top <= row < top + 3
        assert left <= column < left + 3
        if top >= 0 and top + 3 <= 12 and left >= 0 and left + 3 <= 12:
            image = data.tensors[0][index]
            assert torch.equal(piece, image[:, top : top + 3, left : left + 3])
        assert piece[0].max() == 1


def test_images_come_in_the_order_of_their_response_and_only_of_the_class() -> None:
    model, (data, _) = red_detector(), spots()
    features, found = chosen(model)
    few = visualise(model, data, features, found, 0, count=1, pieces=3)
    assert len(few) == 1
    strength = found.x[:6, 0]
    assert few[0].images.tolist() == strength.argsort(descending=True)[:3].tolist()
    (one,) = visualise(model, data, features, found, 1)
    assert set(one.images.tolist()) == {6, 7, 8, 9}


def test_mean_and_spread_are_those_of_the_pieces() -> None:
    model, (data, _) = red_detector(), spots()
    red = visualise(model, data, *chosen(model), 0)[0]
    torch.testing.assert_close(red.mean, sum(red.pieces) / 6)
    deviation = sum((piece - red.mean) ** 2 for piece in red.pieces) / 6
    torch.testing.assert_close(red.spread, deviation.sqrt())


def test_the_batch_size_changes_nothing_and_the_model_is_left_as_it_was() -> None:
    model, (data, _) = red_detector(), spots()
    features, found = chosen(model)
    before = state_of(model)
    whole = visualise(model, data, features, found, 0)
    parts = visualise(model, data, features, found, 0, batch_size=4)
    assert all(torch.equal(a.pieces, b.pieces) for a, b in zip(whole, parts, strict=True))
    assert state_of(model) == before


def test_boxes_that_leave_the_image_keep_their_size() -> None:
    """A window of five pixels around every other pixel of seven."""
    span = torch.tensor([[0, 2], [0, 4], [2, 6], [4, 6]])
    field = Field(span, span)
    positions = torch.tensor([[0, 1], [2, 3]])
    assert field_boxes(field, positions).tolist() == [[-2, 0, 5, 5], [2, 4, 5, 5]]


def test_what_lies_outside_the_image_is_its_reflection() -> None:
    image = torch.arange(5.0).expand(1, 3, 5, 5)
    cut = crop(image, torch.tensor([[-1, -2, 4, 5]]))
    assert cut.shape == (1, 3, 4, 5)
    assert cut[0, 0, 0].tolist() == [2, 1, 0, 1, 2]
    assert crop(image, torch.tensor([[0, 2, 2, 5]]))[0, 0, 0].tolist() == [2, 3, 4, 3, 2]


def test_units_of_a_fully_connected_layer_see_the_whole_image() -> None:
    net = nn.Sequential(*classifier().net, nn.ReLU(), nn.Linear(5, 4)).eval()
    model, data = Classifier(net), TensorDataset(pictures(4), torch.zeros(4, dtype=torch.long))
    found = Responses.join(responses(model, data, ["9"]))
    W = torch.ones(5, 4, dtype=torch.double)
    features = RelevantFeatures(W, found.layers, 10.0, "true")
    shown = visualise(model, data, features, found, 0)
    assert shown
    assert all(each.pieces.shape[1:] == (3, 16, 16) for each in shown)


def test_a_feature_that_no_image_of_the_class_excites_is_left_out() -> None:
    model, (data, _) = red_detector(), spots()
    features, found = chosen(model)
    silent = found[torch.arange(10)]
    silent.x[:, 1] = 0
    assert [each.unit.channel for each in visualise(model, data, features, silent, 0)] == [0]
    silent.x[:, 0] = 0
    assert visualise(model, data, features, silent, 0) == []


def test_what_does_not_exist_is_refused() -> None:
    model, (data, _) = red_detector(), spots()
    features, found = chosen(model)
    with pytest.raises(ValueError, match="class 2 is out of range"):
        visualise(model, data, features, found, 2)
    with pytest.raises(ValueError, match="no image of the data set is of class 1"):
        visualise(model, data, features, found[torch.arange(6)], 1)
    with pytest.raises(ValueError, match="pieces must be at least 1"):
        visualise(model, data, features, found, 0, pieces=0)
