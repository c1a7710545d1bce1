"""Data sets, truth and maps as users make them: measured as what they are, or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import xaicore as xc
from tests.networks import classifier, pictures

COUNT = 5
IMAGES = pictures(COUNT)
DATA = [(image, 1) for image in IMAGES]


def measured(
    data: Any = DATA, metrics: Any = ("AD",), method: Any = None, truth: Any = None
) -> Tensor:
    model = classifier()
    methods = {"m": xc.GradCAM(model) if method is None else method}
    records = xc.evaluate(model, data, methods, metrics, truth=truth)
    assert (records["failed"] == "").all()
    return torch.tensor(records["value"].to_numpy())


ITEMS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "bytes": (lambda i: ((i * 255).byte(), 1), "divide by 255"),
    "0 to 255": (lambda i: (i * 255, 1), r"pixels in \[0, 1\]"),
    "normalised": (lambda i: ((i - 0.5) / 0.25, 1), "normalises them itself"),
    "channels last": (lambda i: (i.permute(1, 2, 0), 1), r"channels last\?"),
    "an array": (lambda i: (i.numpy(), 1), "must be a torch tensor, not ndarray"),
    "a batch": (lambda i: (i[None], 1), "not \\(1, 1, 3, 16, 16\\)"),
    "no class": (lambda i: (i,), "not a tuple of 1"),
    "pixels alone": (lambda i: i, r"must be \(pixels, class\).*, not a Tensor"),
    "a dictionary": (lambda i: {"image": i, "label": 1}, "not a dict"),
    "a third thing": (lambda i: (i, 1, "cat.png"), "not a tuple of 3"),
    "a name": (lambda i: (i, "cat"), "a class must be a number, .*, not 'cat'"),
    "a float": (lambda i: (i, 1.0), "a class must be a number, .*, not 1.0"),
    "a row": (lambda i: (i, torch.eye(5)[1]), "a class must be a number"),
    "below -1": (lambda i: (i, -5), "class -5 is out of range"),
    "beyond": (lambda i: (i, 9), "class 9 is out of range, the classes are 0…4"),
    "a box": (lambda i: (i, 1, {"boxes": torch.ones(4)}), r"boxes must be tensors \(n, 4\)"),
}


@pytest.mark.parametrize("kind", ITEMS)
def test_items_of_another_form_stop_the_run_with_the_reason(kind: str) -> None:
    item, told = ITEMS[kind]
    with pytest.raises(ValueError, match=rf"the first 5 images all fail.*{told}"):
        measured([item(image) for image in IMAGES])


def test_classes_may_be_numbers_of_any_kind() -> None:
    expected = measured()
    for one in (torch.tensor(1), np.int64(1), np.uint8(1)):
        assert torch.equal(measured([(image, one) for image in IMAGES]), expected)


@pytest.mark.parametrize("make", [iter, DataLoader])
def test_what_cannot_be_indexed_is_no_data_set(make: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be indexed: give .*loader\.dataset"):
        measured(make(DATA))


def test_a_bare_network_and_a_list_of_methods_are_refused() -> None:
    model = classifier()
    with pytest.raises(TypeError, match=r"xaicore\.Classifier, not Sequential: wrap it"):
        xc.evaluate(model.net, DATA, {"m": xc.GradCAM(model)})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="wrap it"):
        xc.confidence(model.net, IMAGES, torch.rand(5, 1, 16, 16), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="explainers must be a dictionary"):
        xc.evaluate(model, DATA, [xc.GradCAM(model)])  # type: ignore[arg-type]


def test_one_metric_may_be_a_word() -> None:
    assert torch.equal(measured(metrics="AD"), measured())


BOX = torch.tensor([[1.0, 1, 9, 9]])
TRUTH: dict[str, tuple[dict[str, Any], str]] = {
    "fewer boxes": ({"boxes": [BOX] * 3}, "3 boxes for 5 images"),
    "fewer masks": ({"masks": torch.ones(3, 1, 16, 16)}, "3 masks for 5 images"),
    "flat boxes": ({"boxes": [BOX[0]] * 5}, r"tensors \(n, 4\) .*, not \(4,\)"),
    "no boxes": ({"boxes": [BOX[:0]] * 5}, r"not \(0, 4\)"),
    "lists": ({"boxes": [[1, 1, 9, 9]] * 5}, "not list"),
    "fractions": ({"boxes": [BOX / 16] * 5}, "these are fractions, not pixels"),
    "masks without a channel": ({"masks": torch.ones(5, 16, 16)}, r"\(N, 1, H, W\)"),
}


@pytest.mark.parametrize("kind", TRUTH)
def test_truth_of_another_form_is_refused_at_once(kind: str) -> None:
    given, told = TRUTH[kind]
    with pytest.raises(ValueError, match=told):
        measured(metrics=["EP"], truth=xc.Truth(**given))


FINE = torch.rand(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SAME: dict[str, Callable[[], Any]] = {
    "three axes": lambda: FINE[:, 0],
    "an array": FINE.numpy,
    "of another byte order": lambda: FINE.numpy().astype(">f4"),
    "of negative strides": lambda: FINE.numpy()[..., ::-1].copy()[..., ::-1],
    "that cannot be written": lambda: readonly(FINE.numpy()),
    "with a gradient": lambda: FINE.clone().requires_grad_(),
    "in float64": FINE.double,
    "of another scale": lambda: 3 * FINE - 7,
}


def readonly(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.filterwarnings("error")
def test_maps_made_elsewhere_are_taken_as_they_are(kind: str) -> None:
    torch.testing.assert_close(measured(method=SAME[kind]()), measured(method=FINE))


OTHER: dict[str, tuple[Callable[[], Any], str]] = {
    "channels last": (lambda: FINE.permute(0, 2, 3, 1), r"not \(5, 8, 8, 1\)"),
    "three channels": (lambda: FINE.expand(-1, 3, -1, -1), r"not \(5, 3, 8, 8\)"),
    "without pixels": (lambda: FINE[:, :, :0], r"not \(5, 1, 0, 8\)"),
    "fewer": (lambda: FINE[:4], "4 maps for 5 images"),
    "NaN": (lambda: FINE / 0 * 0, "5 of 5 maps hold NaN or infinity"),
    "beyond float32": (lambda: FINE.double() * 1e300, "5 of 5 maps hold numbers beyond float32"),
    "objects": (lambda: np.array([None] * 5), "must be numbers, not object"),
    "complex": (lambda: FINE + 0j, "must be real numbers, not torch.complex64"),
    "complex arrays": (lambda: FINE.numpy() + 0j, "must be numbers, not complex64"),
    "sparse": (FINE.to_sparse, "dense tensors of numbers, not sparse"),
    "meta": (lambda: FINE.to("meta"), "dense tensors of numbers, not on the meta device"),
    "a list": (lambda: list(FINE), "not a list"),
    "a class": (lambda: xc.GradCAM, r"GradCAM is a class: make one, GradCAM\(model\)"),
    "a function": (lambda: torch.rand, "not a builtin"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_maps_of_another_form_are_refused_at_once(kind: str) -> None:
    made, told = OTHER[kind]
    with pytest.raises(ValueError, match=told):
        measured(method=made())
