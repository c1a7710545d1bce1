"""A classifier of pixels: a torch network, its normalisation, and the layer a CAM looks at."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaicore.weights import classes_in, fill, read_weights

if TYPE_CHECKING:
    from PIL import Image
    from torchvision.transforms import v2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CAM_LAYERS = {
    "DenseNet": "features",
    "EfficientNet": "features",
    "ConvNeXt": "features",
    "MobileNetV2": "features",
    "ResNet": "layer4",
    "SqueezeNet": "features",
    "SwinTransformer": "permute",
    "ConvNextForImageClassification": r"convnext\.encoder\.stages\.\d+",
    "DeiTForImageClassification": r".*\.layernorm_before",
    "ResNetForImageClassification": r"resnet\.encoder\.stages\.\d+",
    "SwinForImageClassification": r"swin\.layernorm",
    "ViTForImageClassification": r".*\.layernorm_before",
}
"""The last spatial feature map of architectures of torchvision and Hugging Face, by class name: the
last module whose dotted name is of this form."""


ACTIVATIONS = ("softmax", "sigmoid")
"""What makes probabilities of logits: one class of many, or each class by itself."""

CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
"""What torch says of a convolution that receives other images."""

WRAPPER = (
    "wrap it: class Logits(torch.nn.Module): "
    "def __init__(self, net): super().__init__(); self.net = net; "
    "def forward(self, images): return self.net(images)…, with what picks the logits (B, C)"
)


class UnknownLayerError(ValueError):
    """Nobody has said which layer of a network a CAM looks at."""


class Classifier(nn.Module):
    """A network that takes pixels in ``[0, 1]`` and returns logits.

    The normalisation lives inside, so a mask multiplies *pixels*: what it removes is black, or
    another declared baseline, never an accident of the input pipeline. Images have as many channels
    as ``mean`` has numbers: one for grey pictures, more than three for satellites'.

    Args:
        net: the network; it receives ``(images - mean) / std`` and returns logits ``(B, C)``,
            alone, as ``.logits``, under the key ``"logits"`` or first of a tuple. With one logit,
            which needs ``"sigmoid"``, the classifier has two classes: 0, whose logit is the
            negated one, and 1.
        mean: mean of each channel, in pixels of ``[0, 1]``.
        std: standard deviation of each channel.
        layer: the layer whose output ``(B, K, h, w)`` a CAM combines: a module of ``net`` or its
            dotted name. ``None`` looks the architecture up in ``CAM_LAYERS``.
        classes: the names of the C classes, in the order of the logits.
        transform: maps a PIL picture to pixels ``(channels, H, W)`` in ``[0, 1]``; used by
            ``preprocess``.
        activation: what makes probabilities of logits: ``"softmax"`` if an image has one class,
            ``"sigmoid"`` if it may have several, or there is one logit.

    Raises:
        ValueError: ``mean`` and ``std`` are not one number for each channel, a ``std`` is not
            positive, a ``mean`` is above 1, ``activation`` is unknown, or ``layer`` is not part of
            ``net``.
    """

    mean: Tensor
    std: Tensor
    _transform: Callable[..., Tensor] | None

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        layer: nn.Module | str | None = None,
        classes: Sequence[str] | None = None,
        transform: Callable[[Image.Image], Tensor] | None = None,
        activation: str = "softmax",
    ) -> None:
        super().__init__()
        mean, std = _numbers(mean, std)
        check_name("activation", activation, ACTIVATIONS)
        self.net = net
        self.activation = activation
        self.looked = False
        self.folded = False  # whether it is the copy that xaicore.folding makes
        self.training = getattr(net, "training", False)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)
        self.layer_name = _layer_name(net, layer)
        self.classes = None if classes is None else tuple(classes)
        # A setting, not a part of the network: nn.Module would register it as a submodule.
        object.__setattr__(self, "_transform", transform)

    @property
    def transform(self) -> Callable[..., Tensor]:
        """What maps a PIL picture to pixels."""
        transform = self._transform or to_pixels()
        object.__setattr__(self, "_transform", transform)
        return transform

    @property
    def size(self) -> tuple[int, int] | None:
        """The height and width that ``transform`` makes of any picture, where its steps say so."""
        sizes = (getattr(step, "size", None) for step in getattr(self._transform, "transforms", ()))
        fixed = [size for size in sizes if isinstance(size, Sequence) and len(size) == 2]
        return (fixed[-1][0], fixed[-1][1]) if fixed else None

    @property
    def layer(self) -> nn.Module:
        """The layer a CAM looks at.

        Raises:
            UnknownLayerError: none was named, and the architecture is not known.
            ValueError: it is compiled by TorchScript.
        """
        if self.layer_name is None:
            raise UnknownLayerError(
                f"no CAM layer is known for {type(self.net).__name__}: name the last spatial "
                "layer, Classifier(net, layer=net.…) or layer='…' (see net.named_modules())"
            )
        module = dict(self.net.named_modules())[self.layer_name]
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"layer '{self.layer_name}' is compiled by TorchScript, which shows no layer: give "
                "the network as it was before torch.jit, or use a method that looks at none: "
                "saliency, integrated-gradients, rise or occlusion"
            )
        return module

    @property
    def channels(self) -> int:
        """How many channels an image has."""
        return self.mean.numel()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, C)`` of images ``(B, channels, H, W)`` in ``[0, 1]``, C > 1.

        Raises:
            ValueError: the network returns no logits ``(B, C)``, or one for a softmax.
        """
        try:
            logits = _logits(self.net, self.normalised(images))
        except RuntimeError as error:
            if told := _of_channels(error, self.channels):
                raise told from error
            raise
        if logits.shape[1] == 1:
            if self.activation == "softmax":
                raise ValueError(
                    "the network gives one logit, of which a softmax always makes 1: "
                    "say Classifier(…, activation='sigmoid'), or --activation sigmoid to a command"
                )
            logits = torch.cat([-logits, logits], 1)
        if not self.looked and len(logits):
            self.looked = True
            _warn_of_probabilities(logits.detach(), self.activation)
        return logits

    def probability(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the probability of each target ``(B,)``, in float64, on the CPU.

        Logits are taken to float64 first, so that ``1 - p`` keeps its digits down to about
        ``1e-12`` where float32 would already say ``p = 1``; not every device has float64.

        Args:
            logits: the classifier's output ``(B, C)``.
            targets: the classes ``(B,)``.
        """
        return self.log_probability(logits, targets).exp()

    def log_probability(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logarithm of the probability of each target ``(B,)``, in float64, on the CPU.

        It stays finite where the probability rounds to 0. The arguments are ``probability``'s.
        """
        values, places = logits.cpu().double(), targets.cpu()[:, None]
        if self.activation == "sigmoid":
            return F.logsigmoid(values.gather(1, places)[:, 0])
        return values.log_softmax(1).gather(1, places)[:, 0]

    def normalised(self, images: Tensor) -> Tensor:
        """Return what the network receives of images: normalised, in its own precision."""
        normalised = (images - self.mean.to(images)) / self.std.to(images)
        parameter = next(self.net.parameters(), None)
        return normalised if parameter is None else normalised.to(parameter.dtype)

    def preprocess(self, picture: Image.Image) -> Tensor:
        """Return a picture as the network expects it: ``(1, channels, H, W)`` in ``[0, 1]``.

        One of other channels than 1 and 3 keeps its bands; ``xc.read_image`` checks what they are.
        """
        mode = {1: "L", 3: "RGB"}.get(self.channels, picture.mode)
        return self.transform(picture.convert(mode))[None]

    def class_index(self, name: str) -> int:
        """Return the index of a class given by name or number.

        Raises:
            ValueError: no class, or more than one, is called ``name``.
        """
        classes = self.classes or ()
        if name.isdigit():
            if classes and int(name) >= len(classes):
                raise ValueError(
                    f"class {name} is out of range: the classes are 0…{len(classes) - 1}"
                )
            return int(name)
        if not classes:
            raise ValueError(
                f"'{name}' cannot be found: this classifier has no names for its classes: give a "
                "number, or Classifier(…, classes=…)"
            )
        matches = [i for i, known in enumerate(classes) if known.lower() == name.lower()]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ValueError(
                f"{len(matches)} classes are called '{name}': give one number of {matches}"
            )
        near = hint(name.lower(), [known.lower() for known in classes])
        raise ValueError(f"no class is called '{name}'{near}")

    @classmethod
    def from_torchvision(cls, name: str, weights: str | Path | None = "DEFAULT") -> Classifier:
        """Build a torchvision ImageNet classifier by name, ready to explain (evaluation mode).

        Args:
            name: a torchvision classification network, for example ``"resnet50"``.
            weights: ``"DEFAULT"`` downloads torchvision's best weights, ``None`` leaves the network
                random, anything else is the path of a state dict saved by ``torch.save``; see
                ``read_weights``. One saved in half precision is read as float32, one of another
                number of classes makes a network of so many, whose classes have no names.

        Raises:
            ValueError: the name is unknown, or the file holds no weights of this network.
            FileNotFoundError: there is no such file.
            OSError: the download failed.
        """
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise ValueError(
                f"torchvision has no classification network called '{name}'{hint(name, known)}"
            )
        default = models.get_model_weights(name).DEFAULT
        try:
            net = models.get_model(name, weights=default if weights == "DEFAULT" else None)
        except OSError as error:
            raise OSError(
                f"the weights of {name} could not be downloaded ({error}); give a file of weights"
            ) from error
        classes = default.meta["categories"]
        if weights not in ("DEFAULT", None):
            path = Path(str(weights))
            state = read_weights(net, path)
            count = classes_in(state, net) or len(classes)
            if count != len(classes):
                net, classes = models.get_model(name, weights=None, num_classes=count), None
            fill(net, state, path)
        transforms = default.transforms()
        return cls(
            net.eval(),
            mean=transforms.mean,
            std=transforms.std,
            classes=classes,
            transform=_pixels(transforms),
        )


def _logits(net: nn.Module, inputs: Tensor) -> Tensor:
    """Run a network and return its logits ``(B, C)``, or refuse what it returns in words."""
    output = net(inputs)
    found = getattr(output, "logits", output)
    if isinstance(found, Mapping) and "logits" in found:
        found = found["logits"]
    elif isinstance(found, list | tuple) and found:
        found = found[0]
    # Of one image a network may be shown many changes of its features, each with logits of its own.
    shaped = isinstance(found, Tensor) and found.ndim == 2 and len(inputs) in (1, len(found))
    if shaped and found.is_floating_point():
        return found
    what = f"a {type(output).__name__}"
    if isinstance(found, Tensor):
        what = f"a tensor of shape {tuple(found.shape)} for {len(inputs)} images"
        what += "" if found.is_floating_point() else f", of {found.dtype}"
    raise ValueError(f"{type(net).__name__} returns {what}, no logits (B, C): {WRAPPER}")


def _of_channels(error: RuntimeError, channels: int) -> ValueError | None:
    """The words for a network that takes another number of channels; None of another error."""
    wanted = CHANNELS.search(str(error))
    if wanted is None or int(wanted[2]) != channels:
        return None
    return ValueError(
        f"the network takes {wanted[1]} channel{'s' * (wanted[1] != '1')}, not {channels}: give "
        "mean and std, one number for each: Classifier(net, mean, std), or --mean and --std"
    )


def _warn_of_probabilities(logits: Tensor, activation: str) -> None:
    """Warn if what should be logits looks like probabilities."""
    if not ((logits >= 0) & (logits <= 1)).all():
        return
    one = (logits.double().sum(1) - 1).abs().max() < 1e-3
    if one or (activation == "sigmoid" and logits.numel() > logits.shape[1] > 2):
        what = "sum to 1" if one else "lie between 0 and 1"
        warnings.warn(
            f"the network's outputs {what}, so they seem to be probabilities already, and a "
            f"{activation} is taken of them once more: leave the last layer out of the network",
            stacklevel=2,
        )


def to_pixels(*steps: nn.Module) -> v2.Compose:
    """Return the transform from a PIL picture, through ``steps``, to pixels in ``[0, 1]``."""
    from torchvision.transforms import v2

    return v2.Compose([*steps, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def hint(name: str, known: Iterable[str]) -> str:
    """Return the question that ends an error about an unknown name; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def check_name(argument: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not known, as a value of an argument."""
    names = list(known)
    if name not in names:
        raise ValueError(
            f"{argument} must be one of {', '.join(names)}; got {name!r}{hint(str(name), names)}"
        )


def _numbers(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return mean and std as numbers; refuse what cannot be those of pixels."""
    got = f"got {mean} and {std}"
    try:
        means, deviations = ([float(number) for number in of] for of in (mean, std))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"mean and std need a list of numbers, one for each channel; {got}"
        ) from error
    positive = all(0 < number < float("inf") for number in deviations)
    if not means or len(means) != len(deviations) or not positive:
        raise ValueError(f"mean and std need one number for each channel, std positive; {got}")
    if not all(abs(number) <= 1 for number in means):
        raise ValueError(
            f"mean {tuple(means)} is none of pixels from 0 to 1: divide mean and std by 255"
        )
    return means, deviations


def _layer_name(net: nn.Module, layer: nn.Module | str | None) -> str | None:
    names = dict(net.named_modules())
    if layer is None:
        return known_layer(net)
    if isinstance(layer, list | tuple):
        if len(layer) != 1:
            raise ValueError(f"layer: a CAM looks at one layer, not at {len(layer)}: name one")
        (layer,) = layer
    if isinstance(layer, str):
        if layer not in names or not layer:
            raise ValueError(
                f"layer: the network has no module called '{layer}'{hint(layer, names)}"
            )
        return layer
    if not isinstance(layer, nn.Module):
        raise ValueError(f"layer: give a module of the network or its dotted name, not {layer!r}")
    for name, module in names.items():
        if module is layer and name:
            return name
    raise ValueError("layer: this module is not part of the network (see net.named_modules())")


def known_layer(net: nn.Module) -> str | None:
    """Return the name of the layer a CAM looks at in a known architecture, else None.

    The architecture may be that of the network, of a class that it derives from, or of the one part
    that is known inside it: ``DataParallel``, ``torch.compile`` and ``nn.Sequential`` are seen
    through. In a vision transformer it is the first normalisation of the last block: what comes
    after it reaches the logits through the class token alone.
    """
    found: dict[str, str] = {}
    for place, module in net.named_modules():
        inside = any(f"{place}.".startswith(f"{outer}." if outer else "") for outer in found)
        if not inside and (layer := _own_layer(module)) is not None:
            found[place] = f"{place}.{layer}".lstrip(".")
    return next(iter(found.values())) if len(found) == 1 else None


def _own_layer(net: nn.Module) -> str | None:
    """The layer of a network whose own class is known."""
    known: Any = net
    match torchvision_class(net):
        case "VGG":  # the last convolution, before the last max-pooling
            return f"features.{len(known.features) - 2}"
        case "VisionTransformer":
            return f"encoder.layers.encoder_layer_{len(known.encoder.layers) - 1}.ln_1"
    patterns = (CAM_LAYERS.get(kind.__name__) for kind in type(net).__mro__)
    pattern = next(filter(None, patterns), None)
    if pattern is None:
        return None
    return next((n for n, _ in reversed([*net.named_modules()]) if re.fullmatch(pattern, n)), None)


def torchvision_class(net: nn.Module) -> str | None:
    """Return the name of the class of torchvision that a network is or derives from, else None."""
    kinds = type(net).__mro__
    return next((k.__name__ for k in kinds if k.__module__.startswith("torchvision.")), None)


def _pixels(preset: nn.Module) -> v2.Compose:
    """The evaluation transform of a torchvision weight preset, without its normalisation."""
    from torchvision.transforms import v2

    resize = v2.Resize(
        preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias
    )
    return to_pixels(resize, v2.CenterCrop(preset.crop_size))
