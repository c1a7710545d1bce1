"""Lines about the network: its channels, its activation, what it returns, and its layers."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import torch
from torch import nn
from torchvision import models

import xaicore as xc
from tests.xaicore.inputs.subjects import (
    Halves,
    P,
    Returning,
    classifier,
    images,
    network,
    of_one_logit,
    of_volumes,
    segmentation,
    shape,
    small_resnet,
)
from tests.xaicore.inputs.table import row
from xaicore.classifier import Classifier

CHANNELS, ACTIVATION, OUTPUT = "channels", "activation", "output"
LAYER = "layer"


@row(CHANNELS)
def _() -> str:
    """a network of one channel (X-rays, MNIST)

    Before: refused: `mean and std need three numbers`

    Now: maps of shape (2, 1, 12, 16)
    """
    return shape(classifier(network(1), 1), images(1))


@row(CHANNELS)
def _() -> str:
    """a network of two channels

    Before: refused: `mean and std need three numbers`

    Now: maps of shape (2, 1, 12, 16)
    """
    return shape(classifier(network(2), 2), images(2))


@row(CHANNELS)
def _() -> str:
    """a network of four channels (satellite)

    Before: refused: `mean and std need three numbers`

    Now: maps of shape (2, 1, 12, 16)
    """
    return shape(classifier(network(4), 4), images(4))


@row(CHANNELS)
def _() -> str:
    """a network of 13 channels, evaluated

    Before: refused: `mean and std need three numbers`

    Now: 4 values of 4
    """
    model = classifier(network(13), 13)
    data = [(image, 1) for image in images(13)]
    records = xc.evaluate(model, data, {"grad-cam": xc.GradCAM(model)}, ["AD", "insertion"])
    return f"{records['value'].notna().sum()} values of {len(records)}"


@row(CHANNELS)
def _() -> str:
    """a mean of one number, a std of three

    Before: refused: `mean and std need three numbers`

    Now: ValueError: mean and std need one number for each channel, …got (0.5,) and (0.5, 0.5,
    0.5)
    """
    return shape(Classifier(network(1), (0.5,), (0.5,) * 3, "1"), images(1))


@row(CHANNELS)
def _() -> str:
    """images of four channels for a network of three

    Before: refused: `images must have shape (B, 3, H, W)`

    Now: ValueError: images have 4 channels and the classifier 3, the numbers of its mean: …
    """
    return shape(classifier(network()), images(4))


@row(CHANNELS)
def _() -> str:
    """images with their channels last

    Before: refused: `images must have shape (B, 3, H, W)`

    Now: ValueError: images have 12 channels and the classifier 3, …(channels last?
    images.permute(0, 3, 1, 2))…
    """
    return shape(classifier(network()), images().permute(0, 2, 3, 1))


@row(CHANNELS)
def _() -> str:
    """volumes (1, 1, 8, 8, 8)

    Before: refused: `mean and std need three numbers`

    Now: ValueError: images must have shape (B, channels, H, W), not (1, 1, 8, 8, 8): volumes
    cannot be explained
    """
    return shape(classifier(of_volumes(), 1), torch.rand(1, 1, 8, 8, 8))


@row(CHANNELS)
def _() -> str:
    """mean and std for pixels of 0…255

    Before: maps, of images that are nearly black to the network, without a word

    Now: ValueError: mean (123.7, 116.3, 103.5) is none of pixels from 0 to 1: divide mean and
    std by 255
    """
    return shape(Classifier(network(), (123.7, 116.3, 103.5), (58.4, 57.1, 57.4), "1"), images())


def scores(model: Classifier, target: int) -> str:
    half = torch.zeros(1, 1, 12, 16)
    half[..., :8] = 1
    p, o = xc.confidence(model, images(n=1), half, target)
    gain = xc.average_gain(p, o).item()
    return f"p = {p.item():.3f}, masked {o.item():.3f}, average gain {gain:.3f}"


@row(ACTIVATION)
def _() -> str:
    """one logit, about -2, nothing said

    Before: p = 1.000, masked 1.000, without a word

    Now: ValueError: the network gives one logit, of which a softmax always makes 1: say
    Classifier(…, activation='sigmoid'), …
    """
    return scores(classifier(of_one_logit()), 0)


@row(ACTIVATION)
def _() -> str:
    """one logit, about -2, `activation="sigmoid"`, class 1

    Before: no such argument

    Now: p = 0.113, masked 0.113, average gain 0.000
    """
    return scores(classifier(of_one_logit(), activation="sigmoid"), 1)


@row(ACTIVATION)
def _() -> str:
    """one logit, about -2, `activation="sigmoid"`, class 0

    Before: no such argument

    Now: p = 0.887, masked 0.887, average gain 0.005
    """
    return scores(classifier(of_one_logit(), activation="sigmoid"), 0)


@row(ACTIVATION)
def _() -> str:
    """one logit, `activation="sigmoid"`, class 2

    Before: no such argument

    Now: ValueError: targets: class 2 is out of range, the classes are 0…1
    """
    return shape(classifier(of_one_logit(), activation="sigmoid"), images(), 2)


@row(ACTIVATION)
def _() -> str:
    """several labels, two of them surely there, one masked away

    Before: of a softmax: p = 0.500, masked 1.000, average gain 0.999

    Now: p = 0.993, masked 0.993, average gain 0.000
    """
    model = Classifier(Halves().eval(), (0,) * 3, (1,) * 3, "feat", activation="sigmoid")
    half = torch.zeros(1, 1, 16, 16)
    half[..., :8] = 1
    p, o = xc.confidence(model, torch.ones(1, 3, 16, 16), half, 0)
    assert abs(p.item() - P) < 1e-6
    gain = xc.average_gain(p, o).item()
    return f"p = {p.item():.3f}, masked {o.item():.3f}, average gain {gain:.3f}"


@row(ACTIVATION)
def _() -> str:
    """a softmax as last layer of the network

    Before: maps and wrong probabilities, without a word

    Now: maps of shape (2, 1, 12, 16); warning: the network's outputs sum to 1, so they seem to
    be probabilities already, …: leave the last layer out of the network
    """
    return shape(classifier(nn.Sequential(*network(), nn.Softmax(1)).eval()), images())


@row(ACTIVATION)
def _() -> str:
    """a sigmoid as last layer, `activation="sigmoid"`

    Before: no such argument

    Now: maps of shape (2, 1, 12, 16); warning: the network's outputs lie between 0 and 1, so
    they seem to be probabilities already, …
    """
    net = nn.Sequential(*network(), nn.Sigmoid()).eval()
    return shape(classifier(net, activation="sigmoid"), images())


@row(ACTIVATION)
def _() -> str:
    """activation="softmx"

    Before: no such argument

    Now: ValueError: activation must be one of softmax, sigmoid; got 'softmx'; did you mean
    softmax?
    """
    return shape(classifier(network(), activation="softmx"), images())


def returning(form: object) -> str:
    """Explain a network of any output; the maps must be those of its plain logits."""
    model = Classifier(Returning(form).eval(), (0.5,) * 3, (0.5,) * 3, layer="net.1")
    told = shape(model, images())
    plain = xc.GradCAM(classifier(network()))(images(), 1)
    assert torch.equal(xc.GradCAM(model)(images(), 1), plain)
    return f"{told}, as of the logits alone"


@row(OUTPUT)
def _() -> str:
    """an object with `.logits` (Hugging Face)

    Before: error: `no attribute 'detach'`

    Now: maps of shape (2, 1, 12, 16), as of the logits alone
    """
    return returning(lambda y: SimpleNamespace(logits=y, loss=None))


@row(OUTPUT)
def _() -> str:
    """a dict with "logits"

    Before: error: `no attribute 'detach'`

    Now: maps of shape (2, 1, 12, 16), as of the logits alone
    """
    return returning(lambda y: {"logits": y, "features": y[:1]})


@row(OUTPUT)
def _() -> str:
    """a tuple, the logits first

    Before: error: `no attribute 'detach'`

    Now: maps of shape (2, 1, 12, 16), as of the logits alone
    """
    return returning(lambda y: (y, y[:1]))


@row(OUTPUT)
def _() -> str:
    """a list of the logits

    Before: error: `no attribute 'detach'`

    Now: maps of shape (2, 1, 12, 16), as of the logits alone
    """
    return returning(lambda y: [y])


@row(OUTPUT)
def _() -> str:
    """a dict without logits

    Before: error: `no attribute 'detach'`

    Now: ValueError: Returning returns a dict, no logits (B, C): wrap it: class
    Logits(torch.nn.Module): …
    """
    return returning(lambda y: {"scores": y})


@row(OUTPUT)
def _() -> str:
    """a number for each image (B,)

    Before: error: `tuple index out of range`

    Now: ValueError: Returning returns a tensor of shape (2,) for 2 images, no logits (B, C):
    wrap it: class Logits(torch.nn.Module): …
    """
    return returning(lambda y: y[:, 0])


@row(OUTPUT)
def _() -> str:
    """a map for each class (B, C, 1, 1)

    Before: error: `Index tensor must have the same number of dimensions`

    Now: ValueError: Returning returns a tensor of shape (2, 4, 1, 1) for 2 images, no logits
    (B, C): wrap it: class Logits(torch.nn.Module): …
    """
    return returning(lambda y: y[:, :, None, None])


@row(OUTPUT)
def _() -> str:
    """a segmentation (B, C, H, W)

    Before: error: `Index tensor must have the same number of dimensions`

    Now: ValueError: Returning returns a tensor of shape (2, 4, 5, 5) for 2 images, no logits
    (B, C): wrap it: class Logits(torch.nn.Module): …
    """
    return returning(segmentation)


@row(OUTPUT)
def _() -> str:
    """a NumPy array

    Before: error: `no attribute 'detach'`

    Now: ValueError: Returning returns a ndarray, no logits (B, C): wrap it: class
    Logits(torch.nn.Module): …
    """
    return returning(lambda y: y.detach().numpy())


@row(OUTPUT)
def _() -> str:
    """nothing: its `return` was forgotten

    Before: error: `no attribute 'detach'`

    Now: ValueError: Returning returns a NoneType, no logits (B, C): wrap it: class
    Logits(torch.nn.Module): …
    """
    return returning(lambda y: None)


class Mine(models.ResNet):
    """A network of one's own that derives from torchvision's."""


def found(net: nn.Module) -> str:
    """Explain a network whose layer nobody named; tell which was found."""
    model = Classifier(net.eval())
    told = shape(model, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return f"{told}, of {model.layer_name}"


@row(LAYER)
def _() -> str:
    """a ResNet in `DataParallel`, no layer named

    Before: refused: `no CAM layer is known for DataParallel`

    Now: maps of shape (1, 1, 64, 64), of module.layer4
    """
    return found(nn.DataParallel(small_resnet()))


@row(LAYER)
def _() -> str:
    """a ResNet in `nn.Sequential`, no layer named

    Before: refused: `no CAM layer is known for Sequential`

    Now: maps of shape (1, 1, 64, 64), of 1.layer4
    """
    return found(nn.Sequential(nn.Identity(), small_resnet()))


@row(LAYER)
def _() -> str:
    """a subclass of ResNet, no layer named

    Before: refused: `no CAM layer is known for Mine`

    Now: maps of shape (1, 1, 64, 64), of layer4
    """
    return found(small_resnet(Mine))


@row(LAYER)
def _() -> str:
    """two networks in one, no layer named

    Before: the same

    Now: UnknownLayerError: no CAM layer is known for ModuleDict: name the last spatial layer, …
    """
    return found(nn.ModuleDict({"a": small_resnet(), "b": small_resnet()}))


def looking_at(layer: object) -> str:
    net = small_resnet()
    named = layer(net) if inspect.isfunction(layer) else layer
    model = Classifier(net, layer=named)  # type: ignore[arg-type]
    return f"{shape(model, torch.rand(1, 3, 64, 64))}, of {model.layer_name}"


@row(LAYER)
def _() -> str:
    """`layer=[net.layer4]`, as pytorch-grad-cam wants it

    Before: refused: `this module is not part of the network`

    Now: maps of shape (1, 1, 64, 64), of layer4
    """
    return looking_at(lambda net: [net.layer4])


@row(LAYER)
def _() -> str:
    """`layer=[net.layer3, net.layer4]`

    Before: refused: `this module is not part of the network`

    Now: ValueError: layer: a CAM looks at one layer, not at 2: name one
    """
    return looking_at(lambda net: [net.layer3, net.layer4])


@row(LAYER)
def _() -> str:
    """`layer="net.layer4"`

    Before: the same

    Now: ValueError: layer: the network has no module called 'net.layer4'; did you mean layer4
    or …
    """
    return looking_at("net.layer4")


@row(LAYER)
def _() -> str:
    """`layer="layer4[-1]"`

    Before: the same

    Now: ValueError: layer: the network has no module called 'layer4[-1]'; did you mean layer4
    or …
    """
    return looking_at("layer4[-1]")


@row(LAYER)
def _() -> str:
    """`layer=-1`

    Before: refused: `this module is not part of the network`

    Now: ValueError: layer: give a module of the network or its dotted name, not -1
    """
    return looking_at(-1)


@row(LAYER)
def _() -> str:
    """`layer=net.fc`, which gives no map

    Before: the same

    Now: ValueError: layer 'fc' gives (1, 4), not a feature map (B, K, h, w) nor tokens (B, N,
    K): choose a spatial layer
    """
    return looking_at(lambda net: net.fc)


@row(LAYER)
def _() -> str:
    """a layer of another network

    Before: the same

    Now: ValueError: layer: this module is not part of the network (see net.named_modules())
    """
    return looking_at(small_resnet().layer4)
