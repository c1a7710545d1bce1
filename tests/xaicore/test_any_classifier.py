"""Classifiers as people have them: any number of channels, any activation, any wrapping of logits.

Each case writes down the right value, found without the package.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import xaicore as xc
from tests.networks import QUICK
from tests.xaicore.inputs.subjects import Halves
from xaicore.attribution import METHODS
from xaicore.classifier import Classifier

NO_TOKENS = [name for name, method in METHODS.items() if method.family != "attention"]


def network(channels: int = 3, classes: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    ).eval()


def images(channels: int = 3, n: int = 2) -> Tensor:
    return torch.rand(n, channels, 12, 16, generator=torch.Generator().manual_seed(1))


def classifier(net: nn.Module, channels: int = 3, **more: object) -> Classifier:
    return Classifier(net, (0.5,) * channels, (0.25,) * channels, layer="1", **more)


class TestChannels:
    @pytest.mark.parametrize("channels", [1, 2, 4, 7])
    @pytest.mark.parametrize("name", NO_TOKENS)
    def test_every_method_explains_any_number_of_channels(self, name, channels):
        model = classifier(network(channels), channels)
        maps = METHODS[name](model, **QUICK.get(name, {}))(images(channels), 1)
        assert maps.shape == (2, 1, 12, 16)
        assert 0 <= maps.min() <= maps.max() <= 1

    @pytest.mark.parametrize("channels", [1, 4])
    def test_every_measure_takes_any_number_of_channels(self, channels):
        model = classifier(network(channels), channels)
        data = [(image, 1) for image in images(channels)]
        metrics = ["AD", "AI", "AG", "insertion", "deletion", "AOPC", "MS", "ADCC"]
        records = xc.evaluate(model, data, {"grad-cam": xc.GradCAM(model)}, metrics)
        assert (records["failed"] == "").all()
        assert records["value"].notna().all()

    @pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
    def test_a_grey_network_measures_what_its_wrapper_in_colours_does(self, baseline):
        class First(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x[:, :1]

        grey = network(1)
        wrapped = Classifier(nn.Sequential(First(), grey).eval(), (0.5,) * 3, (0.25,) * 3, "1.1")
        own, shown = classifier(grey, 1), images(1)
        maps = xc.GradCAM(own)(shown, 2)
        torch.testing.assert_close(xc.GradCAM(wrapped)(shown.expand(-1, 3, -1, -1), 2), maps)
        ours = xc.confidence(own, shown, maps, 2, baseline)
        theirs = xc.confidence(wrapped, shown.expand(-1, 3, -1, -1), maps, 2, baseline)
        torch.testing.assert_close(ours, theirs)

    def test_overlays_of_grey_images_are_grey(self):
        for channels in (1, 2, 3, 4):
            picture = xc.plot.picture(images(channels)[0])
            assert picture.shape == (12, 16, 3)
        assert (xc.plot.picture(images(1)[0])[..., 0] == images(1)[0, 0].numpy()).all()
        xc.plot.overlay(images(1), torch.rand(2, 1, 12, 16))

    @pytest.mark.parametrize(
        ("shown", "message"),
        [
            (torch.rand(2, 4, 8, 8), "4 channels and the classifier 3"),
            (torch.rand(2, 8, 9, 3), r"channels last\? images\.permute"),
            (torch.rand(1, 1, 8, 8, 8), "volumes cannot be explained"),
            (torch.rand(3, 8, 8), r"add a batch dimension"),
        ],
    )
    def test_other_images_are_refused(self, shown, message):
        with pytest.raises(ValueError, match=message):
            xc.GradCAM(classifier(network()))(shown)

    @pytest.mark.parametrize(("mean", "std"), [((), ()), ((0.5,), (0.5,) * 3), ((0.5,), (0.0,))])
    def test_mean_and_std_have_one_number_for_each_channel(self, mean, std):
        with pytest.raises(ValueError, match="one number for each channel"):
            Classifier(network(), mean, std)


class TestActivation:
    def test_one_logit_explains_both_classes(self):
        net = network(classes=1)
        model = classifier(net, activation="sigmoid")
        with torch.no_grad():
            z = net((images() - 0.5) / 0.25)[:, 0]
        torch.testing.assert_close(model(images()), torch.stack([-z, z], 1))
        maps = xc.GradCAM(model)(images(), 1)
        p, o = xc.confidence(model, images(), maps, 1)
        torch.testing.assert_close(p, z.double().sigmoid())
        with torch.no_grad():
            masked = net((images() * maps - 0.5) / 0.25)[:, 0]
        torch.testing.assert_close(o, masked.double().sigmoid())
        p, _ = xc.confidence(model, images(), maps, 0)
        torch.testing.assert_close(p, 1 - z.double().sigmoid())
        raw = [xc.HiResCAM(model).raw(images(), target) for target in (0, 1)]
        gradients = [xc.Saliency(model)(images(), target) for target in (0, 1)]
        assert not torch.equal(raw[0], raw[1])
        torch.testing.assert_close(gradients[0], gradients[1])  # their length has no sign

    def test_one_logit_under_a_softmax_is_refused_with_the_cure(self):
        model = classifier(network(classes=1))
        for use in (
            lambda: xc.GradCAM(model)(images()),
            lambda: xc.confidence(model, images(), torch.rand(2, 1, 12, 16), None),
            lambda: xc.RISE(model, masks=4)(images(), 0),
        ):
            with pytest.raises(ValueError, match="activation='sigmoid'"):
                use()

    def test_labels_of_one_logit_are_0_and_1(self):
        model = classifier(network(classes=1), activation="sigmoid")
        with pytest.raises(ValueError, match="class 2 is out of range, the classes are 0…1"):
            xc.GradCAM(model)(images(), 2)

    def test_two_things_in_one_picture_do_not_compete(self):
        """Both classes are surely there; the map of one hides the other, and nothing is gained."""
        net = Halves().eval()
        model = Classifier(net, (0, 0, 0), (1, 1, 1), "feat", activation="sigmoid")
        shown, maps = torch.ones(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
        maps[..., :8] = 1
        p, o = xc.confidence(model, shown, maps, 0)
        expected = torch.tensor([5.0], dtype=torch.float64).sigmoid()
        torch.testing.assert_close((p, o), (expected, expected))
        assert xc.average_increase(p, o).item() == xc.average_gain(p, o).item() == 0
        curves = xc.metrics.insertion_deletion(model, shown, maps, 0)
        torch.testing.assert_close(curves.insertion[:, -1], expected)
        occlusion = xc.Occlusion(model, window=8, stride=8).raw(shown, 0)
        drop = expected - torch.tensor(-3.0 + 8 * 0.5, dtype=torch.float64).sigmoid()
        torch.testing.assert_close(occlusion[..., 0, 0].flatten().double(), drop, atol=1e-6, rtol=0)
        assert occlusion[..., -1, -1].abs().max() < 1e-6

    @pytest.mark.parametrize(
        ("last", "activation", "told"),
        [
            (nn.Softmax(1), "softmax", "sum to 1"),
            (nn.Softmax(1), "sigmoid", "sum to 1"),
            (nn.Sigmoid(), "sigmoid", "lie between 0 and 1"),
        ],
    )
    def test_probabilities_instead_of_logits_are_named_once(self, last, activation, told):
        model = classifier(nn.Sequential(*network(), last).eval(), activation=activation)
        with pytest.warns(UserWarning, match=told):
            model(images())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model(images())

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    def test_logits_are_taken_without_a_word(self, activation):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier(network(), activation=activation)(images())

    def test_an_unknown_activation_is_refused(self):
        with pytest.raises(ValueError, match="activation must be one of softmax, sigmoid"):
            classifier(network(), activation="softmx")


class Returning(nn.Module):
    """A network that returns its logits as its author liked."""

    def __init__(self, form: object) -> None:
        super().__init__()
        self.form, self.net = form, network()

    def forward(self, x: Tensor) -> object:
        return self.form(self.net(x))


class TestOutput:
    @pytest.mark.parametrize(
        "form",
        [
            lambda y: SimpleNamespace(logits=y, loss=None),
            lambda y: {"logits": y, "features": y[:1]},
            lambda y: OrderedDict(features=y[:1], logits=y),
            lambda y: (y, y[:1]),
            lambda y: [y],
        ],
    )
    @pytest.mark.parametrize(
        "name", ["grad-cam", "opti-cam", "saliency", "rise", "guided-backprop"]
    )
    def test_logits_are_found_where_they_are(self, form, name):
        plain = classifier(network())
        wrapped = Classifier(Returning(form).eval(), (0.5,) * 3, (0.25,) * 3, layer="net.1")
        maps = [METHODS[name](m, **QUICK.get(name, {}))(images(), 1) for m in (plain, wrapped)]
        assert torch.equal(*maps)
        values = [xc.confidence(m, images(), maps[0], 1) for m in (plain, wrapped)]
        assert torch.equal(values[0][1], values[1][1])

    @pytest.mark.parametrize(
        ("form", "what"),
        [
            (lambda y: y[:, 0], r"shape \(2,\) for 2 images"),
            (lambda y: y[:, :, None, None], r"shape \(2, 4, 1, 1\)"),
            (lambda y: y[:, :, None, None].expand(-1, -1, 5, 5), r"shape \(2, 4, 5, 5\)"),
            (lambda y: y[:1], r"shape \(1, 4\) for 2 images"),
            (lambda y: {"scores": y}, "returns a dict"),
            (lambda y: (), "returns a tuple"),
            (lambda y: None, "returns a NoneType"),
            (lambda y: y.detach().numpy(), "returns a ndarray"),
        ],
    )
    @pytest.mark.parametrize("name", ["grad-cam", "opti-cam", "saliency", "rise"])
    def test_anything_else_is_refused_with_the_wrapper(self, form, what, name):
        model = Classifier(Returning(form).eval(), (0.5,) * 3, (0.25,) * 3, layer="net.1")
        method = METHODS[name](model, **QUICK.get(name, {}))
        with pytest.raises(ValueError, match=rf"Returning returns .*{what.split('returns ')[-1]}"):
            method(images(), 1)
        with pytest.raises(ValueError, match=r"class Logits\(torch\.nn\.Module\)"):
            xc.confidence(model, images(), torch.rand(2, 1, 12, 16), 1)


class Mine(models.ResNet):
    """A network of the user's own that derives from torchvision's."""


def small_resnet(kind: type[models.ResNet] = models.ResNet) -> models.ResNet:
    torch.manual_seed(0)
    return kind(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=4).eval()


class TestLayer:
    @pytest.mark.parametrize(
        ("wrap", "name"),
        [
            (lambda net: net, "layer4"),
            (nn.DataParallel, "module.layer4"),
            (lambda net: nn.Sequential(nn.Identity(), net), "1.layer4"),
            (lambda net: torch.compile(net, backend="eager"), "_orig_mod.layer4"),
            (lambda net: nn.DataParallel(nn.Sequential(net)), "module.0.layer4"),
        ],
    )
    def test_wrappers_are_seen_through(self, wrap, name):
        net = small_resnet()
        plain, wrapped = Classifier(net), Classifier(wrap(net).eval())
        assert wrapped.layer_name == name
        shown = torch.rand(2, 3, 64, 64)
        torch.testing.assert_close(xc.GradCAM(wrapped)(shown, 1), xc.GradCAM(plain)(shown, 1))

    def test_a_class_that_derives_from_a_known_one_is_known(self):
        assert Classifier(small_resnet(Mine)).layer_name == "layer4"

    def test_of_two_networks_none_is_guessed(self):
        both = nn.ModuleList([small_resnet(), small_resnet()])
        with pytest.raises(ValueError, match="no CAM layer is known for ModuleList"):
            _ = Classifier(both).layer

    def test_a_list_of_one_layer_is_that_layer(self):
        net = small_resnet()
        assert Classifier(net, layer=[net.layer3]).layer_name == "layer3"
        with pytest.raises(ValueError, match="a CAM looks at one layer, not at 2"):
            Classifier(net, layer=[net.layer3, net.layer4])


@pytest.fixture(scope="module")
def hugging():
    """Image classifiers of Hugging Face, made from a configuration."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vit = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 5}
    vit |= {"intermediate_size": 64, "image_size": 32, "patch_size": 8}
    swin = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_labels": 5}
    stages = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 5}
    settings = {
        "ViT": vit,
        "DeiT": vit,
        "Swin": swin | {"num_heads": [2, 2], "window_size": 4},
        "ResNet": stages | {"embedding_size": 8, "layer_type": "basic"},
        "ConvNext": stages | {"num_stages": 2},
    }
    made = {}
    for name, values in settings.items():
        config = getattr(transformers, f"{name}Config")(**values)
        made[name] = getattr(transformers, f"{name}ForImageClassification")(config).eval()
    return made


class TestHuggingFace:
    @pytest.mark.parametrize("kind", ["ViT", "DeiT", "Swin", "ResNet", "ConvNext"])
    @pytest.mark.parametrize("name", ["grad-cam", "opti-cam", "saliency", "rise"])
    def test_image_classifiers_work_as_they_are(self, hugging, kind, name):
        """The layer is known, and what is explained are the logits."""
        net, shown = hugging[kind], torch.rand(2, 3, 32, 32)
        model = Classifier(net, (0.5,) * 3, (0.5,) * 3)
        with torch.no_grad():
            assert torch.equal(model(shown), net((shown - 0.5) / 0.5).logits)
        maps = METHODS[name](model, **QUICK.get(name, {}))(shown, 1)
        assert maps.shape == (2, 1, 32, 32)
        if kind in ("ViT", "Swin") or name in ("saliency", "rise"):
            assert maps.amax() == 1

    @pytest.mark.parametrize("kind", ["ViT", "DeiT"])
    def test_attention_is_what_the_network_says_it_is(self, hugging, kind):
        net, shown = hugging[kind], torch.rand(2, 3, 32, 32)
        model = Classifier(net, (0.5,) * 3, (0.5,) * 3)
        raw = xc.RawAttention(model).raw(shown)
        rollout = xc.AttentionRollout(model).raw(shown)
        before = net.config._attn_implementation
        net.set_attn_implementation("eager")
        with torch.no_grad():
            attentions = net((shown - 0.5) / 0.5, output_attentions=True).attentions
        net.set_attn_implementation(before)
        prefix = attentions[0].shape[-1] - 16
        torch.testing.assert_close(raw.flatten(1), attentions[-1].mean(1)[:, 0, prefix:])
        mixed = [(a.mean(1) + torch.eye(a.shape[-1])) / 2 for a in attentions]
        expected = (mixed[1] @ mixed[0])[:, 0, prefix:]
        torch.testing.assert_close(rollout.flatten(1), expected)
        assert xc.TIBAV(model)(shown, 1).amax() == 1


class TestTargets:
    """A class is a number or a name; anything else is refused in one sentence."""

    @pytest.fixture
    def model(self) -> Classifier:
        return classifier(network(), classes=["ant", "bee", "cat", "bee"])

    @pytest.mark.parametrize(
        ("targets", "numbers"),
        [
            ("cat", [2, 2]),
            (["cat", "Ant"], [2, 0]),
            (("ant", 3), [0, 3]),
            (np.array(["cat", "ant"]), [2, 0]),
            ("3", [3, 3]),
            (np.int64(2), [2, 2]),
            (np.array(2), [2, 2]),
            (torch.tensor([2, 1], dtype=torch.uint8), [2, 1]),
        ],
    )
    def test_names_and_numbers(self, model: Classifier, targets: object, numbers: list) -> None:
        expected = xc.GradCAM(model)(images(), torch.tensor(numbers))
        assert torch.equal(xc.GradCAM(model)(images(), targets), expected)
        p, _ = xc.confidence(model, images(), expected, targets)
        assert torch.equal(p, xc.confidence(model, images(), expected, torch.tensor(numbers))[0])

    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            ("dog", "no class is called 'dog'"),
            (["cat", "ants"], "no class is called 'ants'; did you mean ant"),
            ("bee", r"2 classes are called 'bee': give one number of \[1, 3\]"),
            ("4", "class 4 is out of range"),
            ([1, None], r"number or the name of a class, or one for each of the 2 .* \[1, None\]"),
            ([None, None], "number or the name of a class"),
            (["cat", None], r"number or the name of a class.* \[2, None\]"),
            ({"cat": 1}, "number or the name of a class"),
            ([[1], [2, 3]], "number or the name of a class"),
            (True, "integers"),
            ([True, False], "integers"),
            (1.0, "integers"),
            (np.array([1.0, 2.0]), "integers"),
            (torch.eye(4)[:2], r"shape \(2, 4\).*targets\.argmax\(1\)"),
            (np.eye(4)[:2], r"shape \(2, 4\).*targets\.argmax\(1\)"),
            (torch.tensor([[1], [2]]), r"shape \(2, 1\): give one class for each image"),
            ([1, 2, 3], r"one class for each of the 2 images, not shape \(3,\)"),
            (-1, "class -1 is out of range"),
        ],
    )
    @pytest.mark.parametrize("name", ["grad-cam", "rise"])
    def test_anything_else(
        self, model: Classifier, targets: object, message: str, name: str
    ) -> None:
        method = METHODS[name](model, **QUICK.get(name, {}))
        with pytest.raises(ValueError, match=message):
            method(images(), targets)

    def test_names_need_a_classifier_that_knows_them(self) -> None:
        with pytest.raises(ValueError, match=r"has no names for its classes: .*classes=…"):
            xc.GradCAM(classifier(network()))(images(), "tabby")


@pytest.mark.parametrize("name", ["grad-cam", "saliency", "score-cam", "rise"])
def test_a_network_of_other_channels_is_named_with_the_cure(name: str) -> None:
    model = classifier(network(1))
    with pytest.raises(ValueError, match=r"takes 1 channel, not 3: give mean and std.* --mean"):
        METHODS[name](model, **QUICK.get(name, {}))(images(), 1)


class Lazy(nn.Module):
    """A network of lazy layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last, self.head = nn.LazyConv2d(8, 3), nn.ReLU(), nn.LazyLinear(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.conv(x)).mean((2, 3)))


class Blind(nn.Module):
    """A network that gives NaN for one class of the first image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        spoilt = torch.zeros(len(x), 4)
        spoilt[0, 2] = torch.nan
        return self.net(x) + spoilt


SOME = ["grad-cam", "opti-cam", "score-cam", "saliency", "integrated-gradients", "rise"]


@pytest.mark.filterwarnings("ignore:.*torch.jit")
class TestNetworksAsTheyCome:
    """Each gives the map of the plain network, or says in a sentence why there is none."""

    @pytest.mark.parametrize("name", SOME)
    @pytest.mark.parametrize(
        "wrap",
        [
            torch.fx.symbolic_trace,
            lambda net: net.double(),
            lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
            lambda net: Returning(lambda y: y.double()),
        ],
        ids=["fx", "float64", "DataParallel(compile)", "logits in float64"],
    )
    def test_the_map_is_the_same(self, wrap: object, name: str) -> None:
        net = wrap(network()).eval()
        layer = next(n for n, m in reversed([*net.named_modules()]) if isinstance(m, nn.ReLU))
        plain = classifier(network())
        other = Classifier(net, (0.5,) * 3, (0.25,) * 3, layer=layer)
        expected, found = (
            METHODS[name](model, **QUICK.get(name, {}))(images(), 1) for model in (plain, other)
        )
        torch.testing.assert_close(found.float(), expected, atol=2e-4, rtol=0)

    @pytest.mark.parametrize("name", SOME)
    def test_lazy_layers_are_run_first(self, name: str) -> None:
        net = Lazy().eval()
        model = Classifier(net, layer="last")
        with pytest.raises(
            ValueError, match=r"a lazy layer that has no size yet \('conv\.weight'\)"
        ):
            METHODS[name](model, **QUICK.get(name, {}))(images(), 1)
        net(images())
        assert METHODS[name](model, **QUICK.get(name, {}))(images(), 1).amax() == 1

    @pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, images())])
    def test_torchscript_shows_no_layer(self, make: object) -> None:
        plain, other = classifier(network()), classifier(make(network()))
        for name in ("saliency", "rise", "integrated-gradients"):
            options = QUICK.get(name, {})
            maps = [METHODS[name](m, **options)(images(), 1) for m in (plain, other)]
            torch.testing.assert_close(*maps, atol=1e-5, rtol=0)
        for name in ("grad-cam", "score-cam", "opti-cam"):
            with pytest.raises(ValueError, match="compiled by TorchScript, which shows no layer"):
                METHODS[name](other, **QUICK.get(name, {}))(images(), 1)

    def test_a_frozen_program_has_no_mode(self) -> None:
        frozen = torch.jit.freeze(torch.jit.script(network()))
        model = Classifier(frozen, (0.5,) * 3, (0.25,) * 3)
        expected = xc.Saliency(classifier(network()))(images(), 1)
        torch.testing.assert_close(xc.Saliency(model)(images(), 1), expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("target", [1, None])
    @pytest.mark.parametrize("name", SOME)
    def test_nan_is_told_for_the_image_it_is_of(self, name: str, target: int | None) -> None:
        model = Classifier(Blind().eval(), (0.5,) * 3, (0.25,) * 3, layer="net.1")
        with pytest.raises(ValueError, match=r"gives NaN for image 0 of the batch \(1 in all\)"):
            METHODS[name](model, **QUICK.get(name, {}))(images(), target)
        with pytest.raises(ValueError, match="gives NaN for image 0"):
            xc.confidence(model, images(), torch.rand(2, 1, 12, 16), target)

    @pytest.mark.parametrize("name", ["grad-cam", "saliency", "rise"])
    def test_scores_that_are_whole_numbers_are_no_logits(self, name: str) -> None:
        net = Returning(lambda y: (100 * y).long())
        model = Classifier(net.eval(), (0.5,) * 3, (0.25,) * 3, layer="net.1")
        with pytest.raises(ValueError, match=r"\(2, 4\) for 2 images, of torch\.int64, no logits"):
            METHODS[name](model, **QUICK.get(name, {}))(images(), 1)

    @pytest.mark.parametrize("name", ["grad-cam", "score-cam", "opti-cam"])
    def test_a_layer_of_one_position_is_named(self, name: str) -> None:
        model = Classifier(small_resnet())
        with pytest.warns(
            UserWarning, match="'layer4' has one position for images of 16x20 pixels"
        ):
            maps = METHODS[name](model, **QUICK.get(name, {}))(torch.rand(1, 3, 16, 20), 1)
        assert not maps.any()

    def test_a_network_may_work_on_its_input_in_place(self) -> None:
        class InPlace(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = network()

            def forward(self, x: Tensor) -> Tensor:
                x.mul_(2)
                return self.net(x / 2)

        plain, shown = classifier(network()), images()
        other = Classifier(InPlace().eval(), (0.5,) * 3, (0.25,) * 3, layer="net.1")
        for name in SOME:
            options = QUICK.get(name, {})
            maps = [METHODS[name](m, **options)(shown, 1) for m in (plain, other)]
            torch.testing.assert_close(*maps, atol=2e-4, rtol=0)
        assert torch.equal(shown, images())
