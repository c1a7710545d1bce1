"""Opti-CAM's options against a literal re-implementation, with torch's own Adam."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from tests.networks import Counter, classifier, pictures
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution import OptiCAM, explain_all, opticam
from xaicore.attribution.ascent import natural_gradient
from xaicore.attribution.capture import capture
from xaicore.attribution.opticam import FAST, NORMALIZATIONS, OBJECTIVES, PAPER, PRESETS
from xaicore.classifier import Classifier

TARGETS = torch.tensor([1, 4])
STEPS = 8


def vit() -> Classifier:
    """A transformer, whose maps are of both signs; its norms are not at their initial ones."""
    torch.manual_seed(0)
    net = models.VisionTransformer(16, 4, 2, 2, 12, 16, num_classes=5).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return Classifier(net)


NETWORKS = {"cnn": classifier, "vit": vit}


def literal_mask(raw: Tensor, normalization: str, size: torch.Size) -> Tensor:
    """The mask of one raw map, from the equations."""
    high = F.interpolate(raw[None, None], size, mode="bilinear")[0, 0]
    if normalization == "range":
        return (high - high.min()) / (high.max() - high.min())
    if normalization == "sigmoid":
        return 1 / (1 + torch.exp(-high))
    if high.max() <= 0:
        return high * 0
    return torch.where(high > 0, high, 0) / high.max()


def literal_objective(
    model: Classifier, image: Tensor, s: Tensor, c: int, objective: str
) -> Tensor:
    """The objective of one image under one mask, from the equations."""

    def g(pixels: Tensor) -> Tensor:
        return model(pixels[None])[0, c]

    if objective == "mask":
        return g(image * s)
    if objective == "diff":
        return -torch.abs(g(image) - g(image * s))
    if objective == "iomask":
        return g(image * s) - g(image * (1 - s))
    return -torch.abs(g(image) - g(image * s)) + torch.abs(g(image) - g(image * (1 - s)))


def literal(
    model: Classifier,
    image: Tensor,
    c: int,
    features: Tensor,
    start: Tensor,
    normalization: str = "range",
    objective: str = "mask",
    **adam: Any,
) -> tuple[Tensor, list[float]]:
    """The mask of one image and the path of its objective."""
    u = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([u], maximize=True, **{"lr": 0.1, **adam})

    def mask() -> Tensor:
        raw = (torch.softmax(u, 0)[:, None, None] * features).sum(0)
        return literal_mask(raw, normalization, image.shape[-2:])

    path = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        value = literal_objective(model, image, mask(), c, objective)
        value.backward()
        path.append(value.item())
        optimiser.step()
    return mask().detach(), path


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("normalization", "objective"), list(product(NORMALIZATIONS, OBJECTIVES)))
def test_every_option_equals_a_literal_reimplementation(
    network: str, normalization: str, objective: str
) -> None:
    model, images = NETWORKS[network]().double(), pictures(2).double()
    features = capture(model, images).features
    explain = OptiCAM(model, STEPS, normalization=normalization, objective=objective)
    maps, found = explain(images, TARGETS), explain.optimise(images, TARGETS)
    for i, c in enumerate(TARGETS.tolist()):
        start = torch.zeros(features.shape[1], dtype=torch.float64)
        expected, path = literal(model, images[i], c, features[i], start, normalization, objective)
        torch.testing.assert_close(maps[i, 0], expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.objective[:, i], torch.tensor(path).double())


def test_the_start_and_the_moments_are_those_given() -> None:
    model, images = classifier().double(), pictures(2).double()
    features = capture(model, images).features
    start = torch.randn(features.shape[:2], dtype=torch.float64)
    explain = OptiCAM(model, STEPS, 0.2, betas=(0.7, 0.95), initial=start)
    for i, c in enumerate(TARGETS.tolist()):
        expected, _ = literal(model, images[i], c, features[i], start[i], lr=0.2, betas=(0.7, 0.95))
        torch.testing.assert_close(explain(images, TARGETS)[i, 0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1,), (6,), (1, 6), (2, 1)])
def test_the_start_is_broadcast_and_a_constant_is_the_uniform_one(shape: tuple[int, ...]) -> None:
    model, images = classifier().double(), pictures(2).double()
    start = torch.full(shape, 0.5)
    found = OptiCAM(model, 5, initial=start).optimise(images, TARGETS)
    uniform = OptiCAM(model, 5).optimise(images, TARGETS)
    torch.testing.assert_close(found.weights, uniform.weights)
    assert torch.equal(start, torch.full(shape, 0.5))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_map_returned_is_the_one_optimised(network: str, normalization: str) -> None:
    """The last objective of a run is the logit of the image behind the map of the run before."""
    model, images = NETWORKS[network]().double(), pictures(2).double()
    explain = OptiCAM(model, 4, normalization=normalization)
    path = OptiCAM(model, 5, normalization=normalization).optimise(images, TARGETS).objective
    for maps in (explain(images, TARGETS), explain_all({"o": explain}, images, TARGETS)["o"]):
        assert ((maps >= 0) & (maps <= 1)).all()
        logits = model(images * maps).gather(1, TARGETS[:, None])[:, 0]
        torch.testing.assert_close(path[4], logits)


def test_the_maximum_normalises_what_is_positive() -> None:
    maps = torch.tensor([[[[-3.0, 0.0], [1.0, 4.0]]], [[[-3.0, -1.0], [-2.0, 0.0]]]])
    expected = torch.tensor([[[[0.0, 0.0], [0.25, 1.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    assert torch.equal(opticam.relative(maps), expected)


def test_a_map_that_is_nowhere_positive_is_finished_at_once_under_the_maximum() -> None:
    model = Classifier(nn.Sequential(classifier().net[:6], Negative(), classifier().net[6:]).eval())
    model = Classifier(model.net, layer=model.net[1])
    explain = OptiCAM(model, normalization="max")
    found = explain.optimise(pictures(2), TARGETS)
    assert len(found.objective) == 2
    assert not explain(pictures(2), TARGETS).any()


class Negative(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return -1 - features


@pytest.mark.parametrize(
    ("objective", "passes"), [("mask", 1), ("diff", 1), ("iomask", 2), ("iodiff", 2)]
)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_passes_are_those_stated(objective: str, passes: int, preset: str) -> None:
    counter = Counter(classifier().net).eval()
    model = Classifier(counter, layer="net.5")
    explain = OptiCAM(model, 7, objective=objective, preset=preset)
    explain(pictures(3), 1)
    assert counter.forwards == 3 * (1 + explain.forwards((16, 16), 6))
    assert explain.forwards((16, 16), 6) == (7 + (preset == "cone")) * passes
    assert counter.backwards == 3 * 7 * passes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalization": "min-max"}, "normalization must be one of range, max, sigmoid"),
        ({"objective": "iodif"}, "did you mean iodiff"),
        ({"preset": "slow"}, "preset must be one of paper, fast"),
        ({"betas": (0.9, 1.0)}, r"two betas in \[0, 1\)"),
        ({"betas": (0.9,)}, "two betas"),
        ({"initial": torch.tensor([0.0, float("nan")])}, "initial must be finite"),
    ],
)
def test_bad_options_are_refused_at_the_door(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OptiCAM(classifier(), **options)


def test_a_start_of_the_wrong_shape_or_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"initial \(7,\) does not broadcast to \(2, 6\)"):
        OptiCAM(classifier(), initial=torch.zeros(7))(pictures(2))
    with pytest.raises(TypeError, match="initial must be a torch tensor or None, not list"):
        OptiCAM(classifier(), initial=[0.0])  # type: ignore[arg-type]


def literal_fast(model: Classifier, image: Tensor, c: int, features: Tensor, T: int) -> Tensor:
    """The fast preset's map of one image in float64: natural gradient, Nesterov, coming to rest."""
    u = torch.zeros(features.shape[0], dtype=torch.float64)
    m, v = torch.zeros_like(u), torch.zeros_like(u)
    rate, (a, b) = FAST.learning_rate, FAST.betas

    def mask(weights: Tensor) -> Tensor:
        return literal_mask((weights[:, None, None] * features).sum(0), "range", image.shape[-2:])

    for t in range(1, T + 1):
        w = torch.softmax(u, 0).requires_grad_()
        (g,) = torch.autograd.grad(model((image * mask(w))[None])[0, c], w)
        w = w.detach()
        d = g - (w @ g)
        d /= (w @ d**2).sqrt()
        m, v = a * m + (1 - a) * d, b * v + (1 - b) * d**2
        ahead = a * m / (1 - a ** (t + 1)) + (1 - a) * d / (1 - a**t)
        eta = rate * min(1, 2 * (T - t + 1) / T)
        u = u + eta * ahead / ((v / (1 - b**t)).sqrt() + 1e-8)
    return mask(torch.softmax(u, 0))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_fast_preset_equals_a_literal_reimplementation_in_float64(network: str) -> None:
    model, images = NETWORKS[network]().double(), pictures(2).double()
    features = capture(model, images).features
    found = OptiCAM(model, STEPS, preset="fast")(images, TARGETS)
    for i, c in enumerate(TARGETS.tolist()):
        expected = literal_fast(model, images[i], c, features[i], STEPS)
        torch.testing.assert_close(found[i, 0], expected, rtol=0, atol=1e-6)


def test_the_natural_gradient_undoes_the_softmax() -> None:
    """The Fisher information of softmax takes it back to the gradient by u, up to its length."""
    u = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    weights = u.softmax(1)
    value = (weights**2 @ torch.randn(7, dtype=torch.float64)).sum()
    by_weights, by_u = torch.autograd.grad(value, [weights, u])
    w = weights.detach()
    fisher = torch.diag_embed(w) - w[:, :, None] * w[:, None]
    direction = natural_gradient(by_weights, w)
    back = (fisher @ direction[..., None])[..., 0]
    torch.testing.assert_close(F.normalize(back), F.normalize(by_u))
    torch.testing.assert_close((w * direction**2).sum(1), torch.ones(3).double())
    torch.testing.assert_close((w * direction).sum(1), torch.zeros(3).double())
    assert not natural_gradient(torch.zeros(2, 7), w[:2].float()).any()


def test_the_other_presets_reach_the_papers_objective_in_fewer_passes() -> None:
    model = flower_classifier()
    flowers = Flowers("species", "validation", n=4)
    reached = {}
    for preset in PRESETS:
        maps = OptiCAM(model, preset=preset)(flowers.images, flowers.targets)
        logits = model(flowers.images * maps).gather(1, flowers.targets[:, None])
        reached[preset] = logits.mean()
    assert reached["fast"] > 0.95 * reached["paper"]
    assert reached["cone"] > reached["paper"]
    for preset in ("fast", "cone"):
        assert PRESETS[preset].iterations < PRESETS["paper"].iterations / 3


def test_explicit_arguments_override_the_preset() -> None:
    assert OptiCAM(classifier()).settings == PAPER
    assert OptiCAM(classifier(), preset="fast").settings == FAST
    own = replace(FAST, iterations=3, betas=(0.5, 0.6), tolerance=0.1, learning_rate=2)
    given = OptiCAM(classifier(), 3, 2, 0.1, betas=(0.5, 0.6), preset="fast")
    assert given.settings == own
    assert OptiCAM(classifier(), preset=own).settings == own


class Precision(nn.Module):
    """Notes in which precision a convolution answers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.seen: list[torch.dtype] = []
        net[0].register_forward_hook(lambda _m, _i, output: self.seen.append(output.dtype))

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)


@pytest.mark.parametrize("native", [True, False])
def test_the_fast_preset_uses_bfloat16_where_the_device_has_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(opticam, "has_bfloat16", lambda _device: native)
    net = Precision(classifier().net).eval()
    explain = OptiCAM(Classifier(net, layer="net.5"), 2, preset="fast")
    found = explain.optimise(pictures(2), TARGETS)
    half = torch.bfloat16 if native else torch.float32
    assert net.seen == [torch.float32, half, half]
    assert found.weights.dtype == found.objective.dtype == torch.float32


@pytest.mark.parametrize(
    ("limit", "native"),
    [("", True), ("AVX512_CORE_BF16", True), ("avx512_core", False), ("AVX2", False)],
)
def test_where_onednn_is_kept_from_bfloat16_there_is_none(
    monkeypatch: pytest.MonkeyPatch, limit: str, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert opticam.has_bfloat16(torch.device("cpu")) is native


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("objective", ["mask", "iodiff"])
def test_a_batch_gives_what_its_images_give(preset: str, objective: str) -> None:
    explain = OptiCAM(classifier().double(), 9, preset=preset, objective=objective)
    images = pictures(3).double()
    singles = torch.cat([explain(image[None], 1) for image in images])
    torch.testing.assert_close(explain(images, 1), singles, rtol=0, atol=1e-9)
    assert explain(images[:0], 1).shape == (0, 1, 16, 16)
