"""Max-Sensitivity and ADCC: against captum, by hand, at their edges, and at their cost."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from captum.metrics import sensitivity_max
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.networks import classifier, pictures
from xaicore.attribution import FakeCAM, GradCAM
from xaicore.attribution.explainer import Explainer
from xaicore.metrics import average_drop, confidence
from xaicore.metrics.robustness import adcc, coherency, complexity, harmonic, max_sensitivity

TARGETS = torch.tensor([1, 4, 0])


class Brightness(Explainer):
    """The grey image as a map; counts the images it explains."""

    cost: ClassVar[str] = "0"
    seen = 0

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        self.seen += len(images)
        return images.mean(1, keepdim=True)


@pytest.mark.parametrize("method", [Brightness, GradCAM])
def test_max_sensitivity_equals_captum_on_the_same_draws(method: type[Explainer]) -> None:
    explain, images = method(classifier()), pictures()
    generator = torch.Generator().manual_seed(5)
    draws = torch.stack(
        [torch.rand(1, 3, 16, 16, generator=generator)[0] * 2 - 1 for _ in range(6)]
    )

    def perturb(inputs: Tensor) -> Tensor:
        return (inputs + 0.1 * draws.repeat(3, 1, 1, 1)).clamp(0, 1)

    peer = sensitivity_max(
        lambda x, target: (explain(x[0] if isinstance(x, tuple) else x, target),),
        images,
        perturb,
        n_perturb_samples=6,
        target=TARGETS,
    )
    ours = max_sensitivity(explain, images, TARGETS, radius=0.1, samples=6, seed=5)
    assert ours.min() > 0
    torch.testing.assert_close(ours, peer.double(), rtol=1e-5, atol=1e-6)


def test_what_does_not_look_at_the_image_is_not_sensitive() -> None:
    assert not max_sensitivity(FakeCAM(classifier()), pictures(), TARGETS).any()
    assert not max_sensitivity(Brightness(classifier()), pictures(), TARGETS, radius=0).any()


def test_a_map_of_zeros_is_not_divided_by() -> None:
    black = torch.zeros(1, 3, 16, 16)
    found = max_sensitivity(Brightness(classifier()), black, 0)
    assert found.isfinite().all()
    assert found > 1


def test_more_draws_never_lower_the_maximum() -> None:
    explain = Brightness(classifier())
    few, many = (max_sensitivity(explain, pictures(), TARGETS, samples=n) for n in (2, 9))
    assert (many >= few).all()
    assert (many > few).any()


def test_the_class_of_the_clean_image_is_explained() -> None:
    model, images = classifier(), pictures()
    predicted = model(images).argmax(1)
    assert torch.equal(
        max_sensitivity(GradCAM(model), images, samples=3),
        max_sensitivity(GradCAM(model), images, predicted, samples=3),
    )


def test_costs_are_those_stated() -> None:
    explain, images = Brightness(classifier()), pictures()
    max_sensitivity(explain, images, TARGETS, samples=4)
    assert explain.seen == 3 * 5
    explain.seen = 0
    maps = explain(images)
    adcc(explain, images, TARGETS, maps)
    assert explain.seen == 3 * 2


def test_adcc_by_its_definition() -> None:
    model, images = classifier(), pictures()
    explain = GradCAM(model)
    found = adcc(explain, images, TARGETS)
    maps = explain(images, TARGETS)
    again = explain(images * maps, TARGETS)
    for i in range(3):
        pair = torch.stack([maps[i].flatten(), again[i].flatten()]).double()
        coherent = (torch.corrcoef(pair)[0, 1].item() + 1) / 2
        assert found.coherency[i].item() == pytest.approx(coherent, abs=1e-6)
        simple = 1 - maps[i].mean().item()
        p, o = (v[i] for v in confidence(model, images, maps, TARGETS))
        kept = 1 - average_drop(p, o).item()
        assert found.complexity[i].item() == pytest.approx(1 - simple, abs=1e-6)
        assert found.drop[i].item() == pytest.approx(1 - kept, abs=1e-6)
        expected = 3 / (1 / coherent + 1 / simple + 1 / kept)
        assert found.adcc[i].item() == pytest.approx(expected, abs=1e-6)


def test_maps_given_are_the_maps_made() -> None:
    explain, images = GradCAM(classifier()), pictures()
    for a, b in zip(
        adcc(explain, images), adcc(explain, images, maps=explain(images)), strict=True
    ):
        assert torch.equal(a, b)


def test_fake_cam_is_refuted_by_its_complexity() -> None:
    found = adcc(FakeCAM(classifier()), pictures())
    assert (found.drop < 0.05).all()
    assert (found.adcc < 0.03).all()


def test_constant_maps_have_no_coherency() -> None:
    maps = torch.full((1, 1, 3, 3), 0.1)
    assert coherency(maps, torch.rand(1, 1, 3, 3)) == 0
    assert complexity(torch.ones(2, 1, 3, 3)).tolist() == [1, 1]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_harmonic_mean_lies_between_its_parts(parts: list[float]) -> None:
    found = harmonic(*(torch.tensor([p], dtype=torch.float64) for p in parts)).item()
    assert found <= max(parts) + 1e-12
    assert found >= min(parts) - 1e-12 or min(parts) == 0
    assert found == 0 or min(parts) > 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_batch_gives_what_its_images_give_in_every_grad_mode(mode: type) -> None:
    explain, images = GradCAM(classifier()), pictures(3, 16, 19)
    with mode():
        whole = (
            max_sensitivity(explain, images, TARGETS, samples=2),
            *adcc(explain, images, TARGETS),
        )
        for i in range(3):
            one, target = images[i : i + 1], TARGETS[i : i + 1]
            alone = max_sensitivity(explain, one, target, samples=2), *adcc(explain, one, target)
            for a, b in zip(whole, alone, strict=True):
                torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-5)


def test_an_empty_batch_has_no_values() -> None:
    explain, none = Brightness(classifier()), pictures(3)[:0]
    assert max_sensitivity(explain, none).shape == (0,)
    assert adcc(explain, none).adcc.shape == (0,)


def test_what_cannot_be_used_is_refused() -> None:
    explain = Brightness(classifier())
    for bad in ({"radius": -1.0}, {"samples": 0}):
        with pytest.raises(ValueError, match="radius must be"):
            max_sensitivity(explain, pictures(), 0, **bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out of range"):
        adcc(explain, pictures(), 9)
