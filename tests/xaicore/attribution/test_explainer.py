"""The contract that every method keeps."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from tests.networks import ATTENTION, NEUTRAL, QUICK, LinearPixels, classifier, pictures, state_of
from xaicore.attribution import METHODS, Explainer, GradCAM, OptiCAM
from xaicore.classifier import Classifier
from xaicore.masking import degenerate

EVERY = sorted(set(METHODS) - ATTENTION)
TARGETED = [name for name in EVERY if METHODS[name].family != "no explanation"]


def vit() -> Classifier:
    """A small vision transformer with a head that is not zero, as torchvision's begins."""
    torch.manual_seed(0)
    net = models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(net.heads.head.weight)
    return Classifier(net)


def explainer(method: str, model: Classifier | None = None) -> Explainer:
    """A method at settings that are quick, on the small network unless told otherwise."""
    if model is None:
        model = vit() if method in ATTENTION else classifier()
    return METHODS[method](model, **QUICK.get(method, {}))  # type: ignore[arg-type]


def images_for(method: str, count: int = 3, seed: int = 1) -> torch.Tensor:
    side = 32 if method in ATTENTION else 16
    return pictures(count, side, side, seed)


@settings(max_examples=6, deadline=None)
@given(
    count=st.integers(0, 3),
    height=st.integers(8, 21),
    width=st.integers(8, 21),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("method", EVERY)
def test_saliency_has_the_promised_shape_and_range(
    method: str, count: int, height: int, width: int, seed: int
) -> None:
    maps = explainer(method)(pictures(count, height, width, seed))
    assert maps.shape == (count, 1, height, width)
    assert not maps.requires_grad
    assert ((maps >= 0) & (maps <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_gives_what_its_images_give(method: str) -> None:
    explain, images = explainer(method), images_for(method, 5).double()
    explain.classifier.double()
    together = explain(images)
    singles = torch.cat([explain(image[None]) for image in images])
    torch.testing.assert_close(together, singles, rtol=0, atol=1e-9)


def convolutional() -> Classifier:
    """The small network, its linear layer written as a convolution of one pixel."""
    *body, _, linear = classifier().net
    head = nn.Conv2d(linear.in_features, linear.out_features, 1)
    with torch.no_grad():
        head.weight.copy_(linear.weight[..., None, None])
        head.bias.copy_(linear.bias)
    return Classifier(nn.Sequential(*body, head, nn.Flatten()).eval(), layer="5")


def one_by_one(function: Callable, *rows: torch.Tensor) -> torch.Tensor:
    """The results of every image on its own, as a batch."""
    return torch.cat([function(*(row[i : i + 1] for row in rows)) for i in range(len(rows[0]))])


@pytest.mark.parametrize("method", EVERY)
def test_a_batch_gives_the_bits_of_its_images_where_the_network_does(method: str) -> None:
    """Where an image's logits have the same bits in every batch, so has its map.

    On a CPU torch's own convolutions are such, with one thread; oneDNN and NNPACK choose a kernel
    by the size of the batch, and so do products of matrices: a network that ends in a linear layer,
    let alone a transformer, promises equality up to rounding. So the head is a convolution here,
    except for CAM, which needs a linear layer and reads nothing but its weights.
    """
    model = classifier() if method == "cam" else convolutional()
    images, targets = pictures(5), torch.tensor([1, 4, 0, 2, 2])
    explain = explainer(method, model)
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        if method != "cam":
            assert torch.equal(model(images), one_by_one(model, images))
        for size in (3, 16):
            if hasattr(explain, "batch_size"):
                explain.batch_size = size
            for rows in ((images, targets), (images,)):
                singles = one_by_one(explain, *rows)
                for count in range(2, 6):
                    together = explain(*(row[:count] for row in rows))
                    assert torch.equal(together, singles[:count])


@pytest.mark.parametrize("method", METHODS)
def test_predicted_classes_are_the_default(method: str) -> None:
    explain, images = explainer(method), images_for(method)
    predicted = explain.classifier(images).argmax(1)
    assert torch.equal(explain(images), explain(images, predicted))
    assert torch.equal(explain(images, 3), explain(images, torch.full((3,), 3)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", METHODS)
def test_the_callers_grad_mode_changes_nothing(method: str, mode: type) -> None:
    images = images_for(method)
    model = vit() if method in ATTENTION else classifier(inplace=True)
    expected = explainer(method, model)(images)
    model.requires_grad_(False)
    with mode():
        found = explainer(method, model)(images)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was_and_pickles(method: str) -> None:
    explain = explainer(method)
    before = state_of(explain.classifier)
    random = torch.get_rng_state()
    explain(images_for(method))
    assert state_of(explain.classifier) == before
    assert torch.equal(torch.get_rng_state(), random)
    pickle.loads(pickle.dumps(explain.classifier))


@pytest.mark.parametrize("method", TARGETED)
def test_an_exception_inside_the_model_leaves_no_trace(method: str) -> None:
    explain = explainer(method)

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    handle = explain.classifier.net[6].register_forward_pre_hook(fail)
    before = state_of(explain.classifier)
    with pytest.raises(RuntimeError, match="boom"):
        explain(images_for(method))
    assert state_of(explain.classifier) == before
    handle.remove()


@pytest.mark.parametrize("method", METHODS)
def test_no_state_is_kept_between_calls(method: str) -> None:
    explain, images = explainer(method), images_for(method)
    expected = explain(images)
    explain(images_for(method, 2, seed=5), 1)
    assert torch.equal(explain(images), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_methods_run_in_the_networks_precision(method: str, dtype: torch.dtype) -> None:
    images, targets = images_for(method), torch.tensor([1, 4, 0])
    expected = explainer(method)(images, targets)
    explain = explainer(method)
    explain.classifier.to(dtype)
    found = explain(images, targets)
    assert found.isfinite().all()
    assert (found - expected).abs().mean() < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", METHODS)
def test_methods_run_under_autocast(method: str, dtype: torch.dtype) -> None:
    images, targets = images_for(method), torch.tensor([1, 4, 0])
    expected = explainer(method)(images, targets)
    with torch.autocast("cpu", dtype):
        found = explainer(method)(images, targets)
    assert found.isfinite().all()
    assert (found - expected).abs().mean() < 0.1


@pytest.fixture(scope="module")
def young_heap() -> Iterator[None]:
    """Let the garbage collector forget what is older: its searches become quick."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def left_behind(explain: Explainer, images: torch.Tensor, calls: int) -> int:
    """How many objects more, tensors and functions among them, are alive after the calls."""
    for _ in range(3):
        explain(images, 1)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(calls):
        explain(images, 1)
    gc.collect()
    return len(gc.get_objects()) - before


@pytest.mark.usefixtures("young_heap")
@pytest.mark.parametrize("method", METHODS)
def test_a_thousand_calls_leak_no_memory(method: str) -> None:
    """What a call leaves behind grows with the calls; a few objects may come and go by chance."""
    calls = 1000 if method in {"grad-cam", "saliency"} else 30
    assert left_behind(explainer(method), images_for(method, 1), calls) < 5


class KeepsItsMaps(GradCAM):
    """Leaks a tensor at every call."""

    kept: ClassVar[list[torch.Tensor]] = []

    def _raw(self, images: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        self.kept.append(super()._raw(images, targets))
        return self.kept[-1]


class KeepsItsHook(GradCAM):
    """Leaks a hook at every call."""

    def _raw(self, images: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        self.classifier.layer.register_forward_hook(lambda *_: None)
        return super()._raw(images, targets)


@pytest.mark.usefixtures("young_heap")
@pytest.mark.parametrize("leaky", [KeepsItsMaps, KeepsItsHook])
def test_a_leak_is_noticed(leaky: type[GradCAM]) -> None:
    assert left_behind(leaky(classifier()), pictures(1), 30) >= 30


def test_explainers_survive_pickling() -> None:
    explain, images = GradCAM(classifier()), pictures()
    assert torch.equal(pickle.loads(pickle.dumps(explain))(images), explain(images))


def test_a_constant_map_becomes_zeros_and_is_flagged() -> None:
    model = Classifier(LinearPixels().eval(), layer="features", **NEUTRAL)
    images = torch.cat([torch.full((1, 3, 8, 8), 0.5), pictures(1, 8, 8)])
    for explain in (GradCAM(model), OptiCAM(model, iterations=2)):
        maps = explain(images)
        assert torch.equal(maps[:1], torch.zeros(1, 1, 8, 8))
        assert degenerate(maps).tolist() == degenerate(explain.raw(images)).tolist()
        assert degenerate(maps).tolist() == [True, False]


def test_a_map_that_is_nowhere_positive_becomes_zeros_and_is_flagged() -> None:
    model = classifier()
    with torch.no_grad():
        model.net[8].weight.neg_().clamp_max_(-0.1)
    for method in ("grad-cam", "grad-cam++", "layer-cam", "hires-cam", "xgrad-cam", "ablation-cam"):
        maps = METHODS[method](model)(pictures())
        assert not maps.any()
        assert degenerate(maps).all()


def test_a_network_that_gives_nan_is_refused() -> None:
    model = classifier()
    with torch.no_grad():
        model.net[3].weight[0] = float("nan")
    for method in ("grad-cam", "saliency", "rise", "opti-cam", "score-cam"):
        with pytest.raises(ValueError, match="not finite"):
            explainer(method, model)(pictures(), 1)


BAD_IMAGES = {
    "a single image": (torch.rand(3, 8, 8), ValueError, r"\(B, channels, H, W\).*images\[None\]"),
    "grey images": (torch.rand(2, 1, 8, 8), ValueError, "1 channels and the classifier 3"),
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
    for method in METHODS:
        with pytest.raises(error, match=words):
            explainer(method)(images)  # type: ignore[arg-type]


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
    """A floor, which never asks the network, cannot know how many classes there are."""
    targets, words = BAD_TARGETS[case]
    for method in TARGETED if "out of range" in words else EVERY:
        with pytest.raises(ValueError, match=words):
            explainer(method)(pictures(), targets)


def test_a_network_in_training_mode_is_refused() -> None:
    model = classifier()
    model.net[1].train()
    for method in EVERY:
        with pytest.raises(ValueError, match=r"'net\.1'.*eval"):
            METHODS[method](model)(pictures())


def test_a_bare_network_is_refused() -> None:
    with pytest.raises(TypeError, match="Classifier"):
        GradCAM(classifier().net)  # type: ignore[arg-type]
