"""The contract that every method keeps."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.networks import NEUTRAL, LinearPixels, classifier, pictures
from xaicore.attribution import CAM, METHODS, Explainer, FakeCAM, GradCAM, OptiCAM
from xaicore.classifier import Classifier


def explainers(model: Classifier) -> list[Explainer]:
    return [CAM(model), GradCAM(model), OptiCAM(model, iterations=3), FakeCAM(model)]


def test_every_method_is_tested_here() -> None:
    assert {type(e) for e in explainers(classifier())} == set(METHODS.values())


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(0, 3),
    height=st.integers(8, 21),
    width=st.integers(8, 21),
    seed=st.integers(0, 99),
)
def test_saliency_has_the_promised_shape_and_range(
    count: int, height: int, width: int, seed: int
) -> None:
    images = pictures(count, height, width, seed)
    for explain in explainers(classifier()):
        maps = explain(images)
        assert maps.shape == (count, 1, height, width)
        assert not maps.requires_grad
        assert ((maps >= 0) & (maps <= 1)).all()


@pytest.mark.parametrize("method", range(4))
def test_a_batch_gives_what_its_images_give(method: int) -> None:
    model = classifier().double()
    explain, images = explainers(model)[method], pictures(5).double()
    together = explain(images)
    singles = torch.cat([explain(image[None]) for image in images])
    torch.testing.assert_close(together, singles, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", range(4))
def test_predicted_classes_are_the_default(method: int) -> None:
    model, images = classifier(), pictures()
    explain = explainers(model)[method]
    predicted = model(images).argmax(1)
    assert torch.equal(explain(images), explain(images, predicted))
    assert torch.equal(explain(images, 3), explain(images, torch.full((3,), 3)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", range(4))
def test_the_callers_grad_mode_changes_nothing(method: int, mode: type) -> None:
    model, images = classifier(inplace=True), pictures()
    expected = explainers(model)[method](images)
    model.requires_grad_(False)
    with mode():
        found = explainers(model)[method](images)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", range(4))
def test_methods_run_in_the_networks_precision(method: int, dtype: torch.dtype) -> None:
    images = pictures()
    expected = explainers(classifier())[method](images)
    found = explainers(classifier().to(dtype))[method](images)
    assert torch.isfinite(found).all()
    assert (found - expected).abs().mean() < 0.05
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(explainers(classifier())[method](images)).all()


def test_explainers_survive_pickling() -> None:
    explain, images = GradCAM(classifier()), pictures()
    assert torch.equal(pickle.loads(pickle.dumps(explain))(images), explain(images))


def test_a_constant_map_becomes_zeros() -> None:
    model = Classifier(LinearPixels().eval(), layer="features", **NEUTRAL)
    for explain in (GradCAM(model), OptiCAM(model, iterations=2)):
        assert torch.equal(explain(torch.full((1, 3, 8, 8), 0.5)), torch.zeros(1, 1, 8, 8))


BAD_IMAGES = {
    "a single image": (torch.rand(3, 8, 8), ValueError, r"\(B, 3, H, W\).*images\[None\]"),
    "grey images": (torch.rand(2, 1, 8, 8), ValueError, r"\(B, 3, H, W\)"),
    "bytes": (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ValueError, "divide by 255"),
    "NaN": (torch.full((1, 3, 8, 8), float("nan")), ValueError, "finite"),
    "infinite": (torch.full((1, 3, 8, 8), float("inf")), ValueError, "finite"),
    "normalised pixels": (torch.randn(1, 3, 8, 8) * 2, ValueError, r"\[0, 1\]"),
    "no pixels": (torch.rand(1, 3, 0, 8), ValueError, "empty"),
    "an array": ([[0.0]], TypeError, "torch tensor"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_refused_in_words(case: str) -> None:
    images, error, words = BAD_IMAGES[case]
    for explain in explainers(classifier()):
        with pytest.raises(error, match=words):
            explain(images)  # type: ignore[arg-type]


BAD_TARGETS = {
    "too few": (torch.tensor([1]), "one class for each of the 3 images"),
    "too many": (torch.tensor([1, 1, 1, 1]), "one class for each"),
    "out of range": (torch.tensor([0, 5, 0]), "class 5 is out of range"),
    "negative": (-1, "class -1 is out of range"),
    "floating point": (torch.tensor([0.0, 1.0, 2.0]), "integers"),
    "boolean": (torch.tensor([True, False, True]), "integers"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets_are_refused_in_words(case: str) -> None:
    targets, words = BAD_TARGETS[case]
    for explain in explainers(classifier())[:3]:
        with pytest.raises(ValueError, match=words):
            explain(pictures(), targets)


def test_a_network_in_training_mode_is_refused() -> None:
    model = classifier()
    model.net[1].train()
    for explain in explainers(model):
        with pytest.raises(ValueError, match=r"'net\.1'.*eval"):
            explain(pictures())


def test_a_bare_network_is_refused() -> None:
    with pytest.raises(TypeError, match="Classifier"):
        GradCAM(classifier().net)  # type: ignore[arg-type]
