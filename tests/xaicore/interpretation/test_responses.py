"""Responses: their definition, their layers, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision import models

from tests.networks import Counter, classifier, pictures, state_of
from xaicore.classifier import Classifier
from xaicore.interpretation import Layer, Responses, responses

TRUE = torch.tensor([0, 1, 2, 3, 4, 0, 1])


def dataset(count: int = 7) -> TensorDataset:
    return TensorDataset(pictures(count), TRUE[:count])


def found(model: Classifier, **settings: object) -> Responses:
    return Responses.join(responses(model, dataset(), **settings))  # type: ignore[arg-type]


def test_responses_are_energies_shared_by_layer_and_of_length_one() -> None:
    """Squared norms per channel, shares of the layer's sum, then the whole row brought to 1."""
    model, images = classifier().double(), pictures(7).double()
    with torch.no_grad():
        first = model.net[:3]((images - model.mean) / model.std)
        maps = [first, model.net[3:6](first)]
    for i, row in enumerate(found(model).x):
        a = []
        for layer in maps:
            energies = [float((channel**2).sum()) for channel in layer[i]]
            a += [energy / sum(energies) for energy in energies]
        length = sum(share**2 for share in a) ** 0.5
        expected = torch.tensor([share / length for share in a])
        torch.testing.assert_close(row.float(), expected, rtol=1e-5, atol=1e-7)


def test_each_layer_has_the_same_sum_before_the_length_is_brought_to_one() -> None:
    blocks = found(classifier()).x.split([8, 6], dim=1)
    torch.testing.assert_close(blocks[0].sum(1), blocks[1].sum(1))


def test_layers_classes_and_labels_are_those_of_the_data() -> None:
    model = classifier()
    table = found(model)
    assert table.layers == (Layer("2", 8), Layer("5", 6))
    assert table.num_classes == 5
    assert torch.equal(table.predicted, model(pictures(7)).argmax(1))
    assert torch.equal(table.labels("true"), TRUE)
    with pytest.raises(ValueError, match="labels must be one of predicted, true"):
        table.labels("false")


def test_the_data_stream_through_in_batches_at_one_forward_each() -> None:
    counter = Counter(classifier().net).eval()
    model = Classifier(counter)
    whole = found(model, batch_size=100)
    assert counter.forwards == 7
    sizes = [len(batch) for batch in responses(model, dataset(), batch_size=3)]
    assert sizes == [3, 3, 1]
    torch.testing.assert_close(found(model, batch_size=3).x, whole.x)


def test_the_model_is_left_as_it_was_even_after_an_exception() -> None:
    model = classifier(inplace=True)
    before = state_of(model)
    found(model)
    assert state_of(model) == before

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    handle = model.net[6].register_forward_pre_hook(fail)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="boom"):
        found(model)
    assert state_of(model) == before
    handle.remove()


def test_in_place_operations_do_not_disturb_what_a_layer_put_out() -> None:
    """A convolution followed by a batch norm and a ReLU that works in place."""
    names = ["0", "1", "2", "3", "4", "5"]
    plain, inplace = (found(classifier(i), layers=names).x for i in (False, True))
    assert torch.equal(plain, inplace)


def test_a_module_that_runs_several_times_has_features_for_each_run() -> None:
    torch.manual_seed(0)
    model = Classifier(models.resnet18(weights=None).eval())
    data = TensorDataset(pictures(2, 32, 32), TRUE[:2])
    layers = Responses.join(responses(model, data)).layers
    assert Layer("layer1.0.relu", 64) in layers
    assert Layer("layer1.0.relu:1", 64) in layers
    assert len(layers) == 17


def test_units_without_positions_are_maps_of_one_pixel_if_they_are_named() -> None:
    net = nn.Sequential(*classifier().net, nn.ReLU(), nn.Linear(5, 4)).eval()
    model = Classifier(net)
    assert [layer.name for layer in found(model).layers] == ["2", "5"]
    table = found(model, layers=["5", "9"])
    assert table.layers == (Layer("5", 6), Layer("9", 5))
    x = table.x[:, 6:]
    units = net[:10]((pictures(7) - model.mean) / model.std).square()
    torch.testing.assert_close(x / x.sum(1, keepdim=True), units / units.sum(1, keepdim=True))


def test_tokens_are_read_as_maps() -> None:
    torch.manual_seed(0)
    vit = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    model = Classifier(vit)
    data = TensorDataset(pictures(2, 32, 32), TRUE[:2])
    layer = "encoder.layers.encoder_layer_0"
    assert Responses.join(responses(model, data, [layer])).layers == (Layer(layer, 16),)


def test_a_silent_layer_responds_with_zeros() -> None:
    model = classifier()
    with torch.no_grad():
        model.net[4].weight.zero_()
        model.net[4].bias.fill_(-1.0)
    x = found(model).x
    assert (x[:, 8:] == 0).all()
    torch.testing.assert_close(x.norm(dim=1), torch.ones(7))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_energies_are_summed_in_full_precision(dtype: torch.dtype) -> None:
    expected, table = found(classifier()), found(classifier().to(dtype))
    assert table.x.dtype == torch.promote_types(dtype, torch.float32)
    assert (table.x.float() - expected.x).abs().max() < 0.05


def test_the_logits_are_no_features() -> None:
    with pytest.raises(ValueError, match=r"'8' puts out the logits themselves; leave it out"):
        found(classifier(), layers=["2", "8"])


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.gelu(self.conv(x)).mean((2, 3))


def test_what_cannot_be_read_is_refused_by_name() -> None:
    model = classifier()
    with pytest.raises(ValueError, match=r"no module called '55'; did you mean 5"):
        found(model, layers=["55"])
    with pytest.raises(ValueError, match=r"Smooth has no nn\.ReLU modules: name the layers"):
        found(Classifier(Smooth().eval()))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        found(model, batch_size=0)
    with pytest.raises(ValueError, match=r"training mode"):
        found(Classifier(classifier().net.train()))
    with pytest.raises(ValueError, match="there are no responses"):
        Responses.join([])
    wide = TensorDataset(pictures(2) * 255, TRUE[:2])
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]"):
        next(responses(model, wide))


def test_a_true_class_without_a_logit_is_refused() -> None:
    data = TensorDataset(pictures(2), torch.tensor([1, 7]))
    table = Responses.join(responses(classifier(), data))
    assert len(table.labels("predicted")) == 2
    with pytest.raises(ValueError, match="a true class is outside 0…4"):
        table.labels("true")
