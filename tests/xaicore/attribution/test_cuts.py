"""Networks that cut their graph: what needs no gradient works, what needs one says so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import xaicore as xc
from tests.networks import ATTENTION, QUICK, pictures
from xaicore.attribution import METHODS
from xaicore.attribution.capture import capture
from xaicore.classifier import Classifier
from xaicore.interpretation.backprojection import back_project
from xaicore.training.interpretable_gradients import InterpretableGradient

FREE = {"cam", "score-cam", "ablation-cam", "rise", "occlusion"} | {
    name for name, method in METHODS.items() if method.family == "no explanation"
}
"""What needs no gradient."""

GRADIENT = sorted(set(METHODS) - FREE - ATTENTION)


class Whole(nn.Module):
    """A network that cuts nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, 1, 1))
        self.last = nn.ReLU()
        self.head = nn.Linear(6, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.last(self.body(x)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class NoGrad(Whole):
    def features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().features(x)


class Inference(Whole):
    def features(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return super().features(x)


class InferenceAll(Whole):
    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return super().forward(x)


class Detach(Whole):
    def features(self, x: Tensor) -> Tensor:
        return super().features(x).detach()


class Numpy(Whole):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(super().forward(x).detach().numpy())


class BareNumpy(Whole):
    """Runs under no_grad alone."""

    def features(self, x: Tensor) -> Tensor:
        return torch.from_numpy(super().features(x).numpy())


class InPlace(Whole):
    """Torch refuses to go back through it, for another reason."""

    def features(self, x: Tensor) -> Tensor:
        found = super().features(x).exp()
        found += found.exp()
        return found


class Untold(Whole):
    """Something that is no parameter asks for a gradient, the images' path is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(1, requires_grad=True)

    def features(self, x: Tensor) -> Tensor:
        return super().features(x).detach() * self.scale


def quantised() -> nn.Module:
    torch.backends.quantized.engine = next(
        name for name in torch.backends.quantized.supported_engines if name != "none"
    )
    return torch.ao.quantization.quantize_dynamic(Whole().eval(), {nn.Linear})


CUT = {
    "no_grad": NoGrad,
    "inference_mode": Inference,
    "inference_mode everywhere": InferenceAll,
    "detach": Detach,
    "numpy": Numpy,
    "numpy without detach": BareNumpy,
    "tensor that is no parameter": Untold,
    "quantised": quantised,
}


def model_of(net: nn.Module) -> Classifier:
    return Classifier(net.eval(), layer="last")


@pytest.mark.filterwarnings("ignore:.*quant")
@pytest.mark.parametrize("way", CUT)
class TestEveryWay:
    @pytest.mark.parametrize("name", GRADIENT)
    def test_what_needs_a_gradient_says_that_the_network_cuts_it(self, way: str, name: str) -> None:
        model = model_of(CUT[way]())
        place = "layer 'last'" if METHODS[name].family == "class activation" else "the pixels"
        with pytest.raises(ValueError, match=rf"no gradient reaches {place}.* use a method that"):
            METHODS[name](model, **QUICK.get(name, {}))(pictures(2), 1)

    @pytest.mark.parametrize("name", sorted(FREE))
    def test_what_needs_none_gives_the_map_of_the_whole_network(self, way: str, name: str) -> None:
        if (way, name) == ("quantised", "cam"):
            pytest.skip("its head is no linear layer of torch")
        maps = [
            METHODS[name](model_of(net), **QUICK.get(name, {}))(pictures(2), 1)
            for net in (CUT[way](), Whole())
        ]
        torch.testing.assert_close(*maps, rtol=0, atol=0.05 if way == "quantised" else 1e-5)
        assert not maps[0].requires_grad
        assert not maps[0].is_inference()

    def test_losses_and_back_projection_say_it_too(self, way: str) -> None:
        net = CUT[way]()
        with pytest.raises(ValueError, match="no gradient reaches the pixels"):
            InterpretableGradient(0.1)(net, pictures(2), torch.tensor([0, 1]))

    def test_a_run_measures_what_can_be_measured(self, way: str) -> None:
        model = model_of(CUT[way]())
        methods = {"score-cam": xc.ScoreCAM(model), "grad-cam": xc.GradCAM(model)}
        with pytest.warns(UserWarning, match="2 of 2 images failed"):
            records = xc.evaluate(model, [(i, 1) for i in pictures(2)], methods, ["AD"])
        of = records.set_index("method")["failed"]
        assert (of["score-cam"] == "").all()
        assert of["grad-cam"].str.contains("no gradient reaches layer 'last'").all()


def test_a_cut_right_above_the_layer_is_no_cut_for_a_map_of_it() -> None:
    """A frozen backbone under no_grad, a head on its features: the head has a gradient."""

    class Frozen(Whole):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                f = self.last(self.body(x))
            return self.head(f.mean((2, 3)))

    cut, whole = model_of(Frozen()), model_of(Whole())
    assert torch.equal(xc.GradCAM(cut)(pictures(2), 1), xc.GradCAM(whole)(pictures(2), 1))
    with pytest.raises(ValueError, match="no gradient reaches the pixels"):
        xc.Saliency(cut)(pictures(2), 1)


@pytest.mark.parametrize("name", GRADIENT)
def test_what_torch_cannot_differentiate_is_told_in_its_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"InPlace cannot be differentiated .*inplace oper"):
        METHODS[name](model_of(InPlace()), **QUICK.get(name, {}))(pictures(2), 1)


@pytest.mark.parametrize("name", ["grad-cam", "score-cam", "saliency", "opti-cam"])
def test_a_network_that_does_not_look_there_is_not_said_to_cut(name: str) -> None:
    class Blind(Whole):
        def forward(self, x: Tensor) -> Tensor:
            self.last(self.body(x))
            return self.head(torch.ones(len(x), 6))

    with pytest.raises(ValueError, match=r"the logits do not depend on (layer 'last'|the pixels)"):
        METHODS[name](model_of(Blind()), **QUICK.get(name, {}))(pictures(2), 1)


@pytest.mark.parametrize("name", ["grad-cam", "score-cam", "saliency", "opti-cam", "rise"])
def test_a_network_that_fails_anyway_fails_in_its_own_words(name: str) -> None:
    class Fails(Whole):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) @ torch.ones(7, 7)

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        METHODS[name](model_of(Fails()), **QUICK.get(name, {}))(pictures(2), 1)


def test_a_gradient_that_is_zero_is_told_from_a_layer_that_is_not_looked_at() -> None:
    class Rounded(Whole):
        def features(self, x: Tensor) -> Tensor:
            return super().features(x).mul(100).round()

    with pytest.raises(ValueError, match=r"zero everywhere .* flat there, saturated, rounded"):
        xc.GradCAM(model_of(Rounded()))(pictures(2), 1)
    assert xc.ScoreCAM(model_of(Rounded()))(pictures(2), 1).amax() == 1


def test_back_projection_from_below_a_cut_works_and_from_above_says_so() -> None:
    model = model_of(NoGrad())
    with pytest.raises(ValueError, match="no gradient reaches the pixels"):
        back_project(model, pictures(2), "last", 0)
    assert back_project(model_of(Detach()), pictures(2), "last", 0).any()


class TestTransformers:
    """A ViT whose lower blocks are frozen by no_grad, and one that is cut at the end."""

    @pytest.fixture(params=["lower blocks", "end"])
    def model(self, request: pytest.FixtureRequest) -> Classifier:
        torch.manual_seed(0)
        vit = models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=5).eval()
        nn.init.normal_(vit.heads.head.weight)
        lower, forward = vit.encoder.layers[1].forward, vit.forward
        if request.param == "end":
            vit.forward = lambda x: forward(x).detach()
        else:
            vit.encoder.layers[1].forward = torch.no_grad()(lower)
        return Classifier(vit)

    def test_relevance_is_refused(self, model: Classifier) -> None:
        with pytest.raises(ValueError, match="no gradient reaches the attention of every block"):
            xc.TIBAV(model)(pictures(2, 32, 32), 1)

    @pytest.mark.parametrize("name", ["raw-attention", "rollout", "score-cam"])
    def test_what_needs_no_gradient_works(self, model: Classifier, name: str) -> None:
        assert METHODS[name](model)(pictures(2, 32, 32), 1).amax() == 1


def test_a_capture_of_no_image_asks_nothing() -> None:
    assert len(capture(model_of(Detach()), pictures(2)[:0]).logits) == 0
