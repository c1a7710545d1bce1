"""CA-Stream: its identities, its published sizes, and that it is a classifier like any other."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from tests.networks import ATTENTION, QUICK, classifier, pictures, state_of
from xaibook.claims import published
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution import METHODS, AblationCAM, GradCAM, ScoreCAM
from xaicore.attribution.cam import combine
from xaicore.attribution.capture import capture
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.masking import mask, normalize, upsample
from xaicore.models.ca_stream import CAStream, known_architecture

TAPS = {"taps": ["2", "5"], "head": "8"}
UNDEFINED = ATTENTION | {"cam"}
OPTIONS = {
    "plain": {},
    "projected": {"projected": True},
    "class-specific": {"class_specific": True},
    "unscaled, no bias": {"scaled": False, "bias": False},
    "sharp": {"sharpness": 4.0},
}


def stream(**options: object) -> CAStream:
    """A stream beside the small pooled network, its weights drawn at random."""
    return CAStream(classifier(), **(TAPS | options))  # type: ignore[arg-type]


def millions(module: nn.Module, digits: int = 2) -> float:
    return round(sum(p.numel() for p in module.parameters()) / 1e6, digits)


def literal(model: CAStream, image: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Equations 4, 10 and 11, patch by patch, for one image."""
    features, base = model.net._tapped(model.normalised(image[None]))
    learnt = model.stream
    token = learnt.token[base.argmax() if len(learnt.token) > 1 else 0]
    maps = []
    for stage, (grid, step) in enumerate(zip(features, learnt.steps, strict=True)):
        patches = [grid[0, :, i, j] for i in range(grid.shape[2]) for j in range(grid.shape[3])]
        keys = [learnt.keys[stage](f) for f in patches] if learnt.keys else patches
        values = [learnt.values[stage](f) for f in patches] if learnt.values else patches
        root = math.sqrt(len(token)) if model.options["scaled"] else 1
        scale = model.options["sharpness"] / root
        exponentials = [(scale * (key * token).sum()).exp() for key in keys]
        weights = [e / sum(exponentials) for e in exponentials]
        maps.append(torch.stack(weights).view(grid.shape[2:]))
        pooled = sum(w * f for w, f in zip(weights, values, strict=True))
        token = step.weight @ pooled + (0 if step.bias is None else step.bias)
    return model.net.backbone[8](token), maps


# The equations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", OPTIONS)
def test_it_computes_the_equations(case: str) -> None:
    model, images = stream(**OPTIONS[case]).double(), pictures(3, 10, 14).double()
    logits, attention = model(images), [model.attention(images, tap) for tap in (0, 1)]
    for row, image in enumerate(images):
        expected, maps = literal(model, image)
        torch.testing.assert_close(logits[row], expected)
        for found, map_ in zip(attention, maps, strict=True):
            torch.testing.assert_close(found[row, 0], map_)


def test_similarities_are_a_class_activation_map() -> None:
    """Eq. 5: before the softmax the attention is the features, weighted by the query."""
    model, images = stream(taps=["5"]).double(), pictures().double()
    features = capture(model, images).features
    query = model.stream.token.expand(len(images), -1) / math.sqrt(features.shape[1])
    cam = combine(query, features)
    attention = model.attention(images)
    torch.testing.assert_close(cam.flatten(1).softmax(1).view_as(cam), attention)
    torch.testing.assert_close(attention.sum((1, 2, 3)), torch.ones(3).double())


def test_pooling_is_the_average_of_features_weighted_by_attention() -> None:
    """Eq. 7: soft masking in feature space, then global average pooling."""
    model, images = stream(taps=["5"]).double(), pictures().double()
    look = model.net.look(model.normalised(images))
    model.stream.steps[0].weight.data = torch.eye(6).double()
    nn.init.zeros_(model.stream.steps[0].bias)
    query, (attention,) = model.net.pool(look)
    area = attention[0].numel()
    torch.testing.assert_close(query, (area * attention * look.features[0]).mean((2, 3)))


@pytest.mark.parametrize("taps", [["5"], ["2", "5"]])
@pytest.mark.parametrize("case", OPTIONS)
def test_uniform_attention_and_identity_are_average_pooling(case: str, taps: list[str]) -> None:
    model = stream(taps=taps, initial="average", **OPTIONS[case]).double()
    images = pictures(4, 12, 20).double()
    torch.testing.assert_close(model(images), classifier().double()(images), rtol=0, atol=1e-14)
    attention = model.attention(images)
    torch.testing.assert_close(attention, torch.full_like(attention, 1 / attention[0].numel()))


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_tiny", "efficientnet_b0", "mobilenet_v2", "flowers"]
)
def test_every_known_network_can_start_as_itself(name: str) -> None:
    torch.manual_seed(0)
    plain = flower_classifier() if name == "flowers" else Classifier.from_torchvision(name, None)
    model, images = CAStream(plain, initial="average"), pictures(2, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain(images), rtol=1e-4, atol=1e-4)


def test_without_sharpness_attention_is_uniform() -> None:
    attention = stream(sharpness=0.0).attention(pictures())
    assert torch.equal(attention, torch.full_like(attention, 1 / 64))


def test_projections_are_no_new_functions() -> None:
    """PROJ→CA is CA with other weights: W, W^K and W^V multiply without a non-linearity between."""
    projected, plain = stream(projected=True).double(), stream().double()
    learnt = projected.stream
    with torch.no_grad():
        plain.stream.token.copy_(learnt.token @ learnt.keys[0].weight)
        for i, step in enumerate(learnt.steps):
            weight = step.weight @ learnt.values[i].weight
            bias = step.weight @ learnt.values[i].bias + step.bias
            key = learnt.keys[i + 1].weight.T if i + 1 < len(learnt.keys) else torch.eye(6).double()
            plain.stream.steps[i].weight.copy_(key @ weight)
            plain.stream.steps[i].bias.copy_(key @ bias)
    images = pictures(5).double()
    torch.testing.assert_close(plain(images), projected(images))
    torch.testing.assert_close(plain.attention(images), projected.attention(images))


def test_each_image_takes_the_token_of_the_class_that_the_network_predicts() -> None:
    plain, images = flower_classifier(), Flowers("species", "test", 6).images
    model, predicted = CAStream(plain, class_specific=True), plain(images).argmax(1)
    assert len(predicted.unique()) > 1
    look = model.net.look(model.normalised(images))
    assert torch.equal(look.predicted, predicted)
    assert torch.equal(model(images), model.net(look, predicted))
    assert not torch.allclose(model(images), model.net(look, (predicted + 1) % 9))


# The published sizes ------------------------------------------------------------------------------

FIGURES = published().query("paper == 'torres2024castream'")


@pytest.fixture(scope="module")
def resnet50() -> Classifier:
    return Classifier(models.resnet50(weights=None).eval())


@pytest.mark.parametrize("first", range(5))
def test_streams_of_resnet50_have_the_published_sizes(resnet50: Classifier, first: int) -> None:
    """Table 5; the paper rounds a count without biases, or one with them."""
    taps = known_architecture(resnet50.net).taps[first:]
    row = FIGURES.query(f"metric == 'stream parameters (M)' and variant == 'S{first}'")
    sizes = [millions(CAStream(resnet50, taps, bias=bias).stream) for bias in (False, True)]
    assert row["value"].item() in sizes
    assert sizes[1] - sizes[0] <= 0.01


def test_projections_and_class_tokens_have_the_published_sizes(resnet50: Classifier) -> None:
    """Tables 4 and 6; the latter counts the whole network, in whatever its caption says."""
    sizes = FIGURES[
        FIGURES["metric"].str.contains("parameters") & FIGURES["table"].isin(["4", "6"])
    ]
    sizes = sizes.set_index("variant")["value"]
    assert millions(CAStream(resnet50).stream) == pytest.approx(sizes["CA"], abs=0.011)
    assert millions(CAStream(resnet50, projected=True).stream) == sizes["PROJ→CA"]
    assert millions(CAStream(resnet50)) == sizes["class-agnostic"]
    assert millions(CAStream(resnet50, class_specific=True)) == sizes["class-specific"]


@pytest.mark.parametrize(
    ("build", "widths"),
    [
        (models.resnet18, [64, 64, 128, 256, 512]),
        (models.convnext_small, [96, 192, 384, 768]),
        (models.convnext_base, [128, 256, 512, 1024]),
        (models.efficientnet_b0, [32, 16, 24, 40, 80, 112, 192, 320, 1280]),
        (models.mobilenet_v2, [16, 24, 32, 96, 1280]),
        (models.squeezenet1_0, [96, 256, 512, 512]),
        (models.squeezenet1_1, [64, 128, 256, 512]),
        (lambda **_: SmallResNet(9), [32, 32, 64, 128]),
    ],
)
def test_known_networks_are_tapped_after_stem_and_stages(build, widths: list[int]) -> None:
    model = CAStream(Classifier(build(weights=None).eval()))
    assert [step.in_features for step in model.stream.steps] == widths
    assert [step.out_features for step in model.stream.steps] == [*widths[1:], widths[-1]]
    logits = model(pictures(2, 64, 64))
    assert logits.shape == (2, 9 if len(model.net.taps) == 4 and widths[-1] == 128 else 1000)


# A classifier in every respect --------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(set(METHODS) - UNDEFINED))
def test_every_method_explains_it(method: str) -> None:
    model, images = stream().double(), pictures(3, 16, 12).double()
    before = state_of(model)
    explain = METHODS[method](model, **QUICK.get(method, {}))
    maps = explain(images)
    assert maps.shape == (3, 1, 16, 12)
    assert ((maps >= 0) & (maps <= 1)).all()
    singles = torch.cat([explain(image[None]) for image in images])
    torch.testing.assert_close(maps, singles, rtol=0, atol=1e-9)
    assert state_of(model) == before


def test_it_is_evaluated_like_any_other() -> None:
    images = pictures(4)
    dataset = torch.utils.data.TensorDataset(images, torch.tensor([0, 1, 2, 3]))
    model = stream()
    records = evaluate(model, dataset, {"grad-cam": GradCAM(model)}, curves="paper")
    assert set(records["metric"]) == {"AD", "AG", "AI", "insertion", "deletion"}
    assert records["value"].notna().all()


def test_gradients_reach_the_layer_through_attention_and_values() -> None:
    model, image = stream().double(), pictures(1).double()
    features = [maps.detach() for maps in model.net._tapped(model.normalised(image))[0]]
    last = features[1].requires_grad_()
    logits = model.net.classify(model.stream(features).query)
    (gradient,) = torch.autograd.grad(logits[0, 2], last)
    torch.testing.assert_close(capture(model, image, torch.tensor([2])).gradient, gradient)
    _, attention = model.stream(features)
    pooled_only = torch.autograd.grad(
        model.net.classify(model.stream.steps[1]((attention[1].detach() * last).sum((2, 3))))[0, 2],
        last,
    )[0]
    assert not torch.allclose(gradient, pooled_only)


def test_ablation_runs_the_layers_above_for_each_channel() -> None:
    model, image = stream().double(), pictures(1).double()
    look = model.net.look(model.normalised(image))
    drops = []
    for channel in range(6):
        without = look.features[1].clone()
        without[:, channel] = 0
        logits = model.net.classify(model.stream([look.features[0], without]).query)
        drops.append((model(image) - logits)[0, 1])
    expected = combine(torch.stack(drops)[None], look.features[1]).relu()
    torch.testing.assert_close(AblationCAM(model).raw(image, 1), expected)


def test_masks_pass_through_the_whole_stream() -> None:
    """Score-CAM's weights are logits of the stream for masked images."""
    model, image = stream().double(), pictures(1).double()
    features = model.net.look(model.normalised(image)).features[1]
    masked = mask(image, normalize(upsample(features[0, :, None], (16, 16))), image.new_zeros(1))
    expected = combine(model(masked)[:, 1].softmax(0)[None], features).relu()
    torch.testing.assert_close(ScoreCAM(model).raw(image, 1), expected)


def test_cam_needs_average_pooling() -> None:
    with pytest.raises(ValueError, match="linear layer on the globally averaged"):
        METHODS["cam"](stream())(pictures())


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("case", OPTIONS)
def test_few_images_will_do(case: str, count: int) -> None:
    model, images = stream(**OPTIONS[case]), pictures(2, 9, 15)[:count]
    assert model(images).shape == (count, 5)
    assert model.attention(images).shape == (count, 1, 5, 8)
    assert GradCAM(model)(images).shape == (count, 1, 9, 15)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_changes_nothing(mode: type) -> None:
    model, images = stream(), pictures()
    expected = GradCAM(model)(images), model.attention(images), model(images).detach()
    with mode():
        found = GradCAM(model)(images), model.attention(images), model(images)
    assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_runs_in_half_precision(dtype: torch.dtype) -> None:
    images = pictures()
    expected = stream()(images)
    assert (stream().to(dtype)(images) - expected).abs().max() < 0.2
    with torch.autocast("cpu", dtype):
        assert (stream()(images) - expected).abs().max() < 0.2


def test_the_classifier_it_is_made_from_is_not_touched() -> None:
    plain = classifier()
    before = state_of(plain)
    model = CAStream(plain, **TAPS)  # type: ignore[arg-type]
    model.train()
    model(pictures()).sum().backward()
    assert state_of(plain) == before
    assert not any(module.training for module in model.net.backbone.modules())
    assert model.stream.training
    with pytest.raises(ValueError, match="training mode"):
        model.attention(pictures())
    graded = {name for name, p in model.named_parameters() if p.grad is not None}
    assert graded == {f"net.stream.{name}" for name, _ in model.stream.named_parameters()}


def test_initial_weights_follow_from_the_seed_alone() -> None:
    plain = classifier()
    torch.manual_seed(5)
    random = torch.get_rng_state()
    first, same, other = (
        CAStream(plain, **TAPS, seed=seed).stream.state_dict()  # type: ignore[arg-type]
        for seed in (0, 0, 1)
    )
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    wide = CAStream(flower_classifier(), class_specific=True, seed=3).stream.token
    assert wide.mean().item() == pytest.approx(1, abs=0.2)
    assert wide.std().item() == pytest.approx(1, abs=0.2)


def test_it_survives_pickling_and_copying() -> None:
    model, images = stream(class_specific=True), pictures()
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(twin(images), model(images))


@pytest.mark.parametrize("case", OPTIONS)
def test_a_stored_stream_comes_back(case: str, tmp_path) -> None:
    model, images = stream(seed=7, **OPTIONS[case]), pictures()
    model.save(tmp_path / "stream.pt")
    assert torch.equal(CAStream.load(classifier(), tmp_path / "stream.pt")(images), model(images))
    assert [path.name for path in tmp_path.iterdir()] == ["stream.pt"]


# What is refused ----------------------------------------------------------------------------------


def test_a_file_that_is_no_stream_of_this_network_is_refused(tmp_path) -> None:
    file = tmp_path / "stream.pt"
    with pytest.raises(FileNotFoundError, match="no file"):
        CAStream.load(classifier(), file)
    for content in (b"", b"text", pickle.dumps({"options": {}}, protocol=2)):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold a stream for this Sequential"):
            CAStream.load(classifier(), file)
    stream().save(file)
    with pytest.raises(ValueError, match="does not hold a stream for this SmallResNet"):
        CAStream.load(flower_classifier(), file)


BAD = {
    "unknown architecture": ({}, "taps and head of a Sequential are not known"),
    "unknown head": ({"taps": ["5"]}, "taps and head of a Sequential are not known"),
    "no such tap": ({"taps": ["2", "nine"], "head": "8"}, "no module called 'nine'"),
    "no such head": ({"taps": ["2"], "head": "fc"}, "no module called 'fc'"),
    "no tap": ({"taps": [], "head": "8"}, "taps is empty"),
    "wrong order": ({"taps": ["5", "2"], "head": "8"}, "run in the order 2, 5, not 5, 2"),
    "no map": ({"taps": ["7"], "head": "8"}, r"'7' must run once and give a feature map"),
    "negative sharpness": (TAPS | {"sharpness": -1.0}, "finite number from 0, not -1"),
    "unknown initial": (TAPS | {"initial": "zeros"}, "'paper' or 'average', not 'zeros'"),
}


@pytest.mark.parametrize("case", BAD)
def test_settings_that_cannot_work_are_refused(case: str) -> None:
    settings, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        CAStream(classifier(), **settings)  # type: ignore[arg-type]


def test_a_bare_network_and_one_in_training_are_refused() -> None:
    with pytest.raises(TypeError, match="wrap it"):
        CAStream(classifier().net)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="training mode"):
        CAStream(classifier().train(), **TAPS)  # type: ignore[arg-type]
