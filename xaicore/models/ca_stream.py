r"""CA-Stream: a frozen network whose global average pooling is replaced by attention.

A token :math:`q` runs beside the network and attends to its feature maps, stage by stage. The
network itself, its features and the layer that makes logits of :math:`q` stay as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xaicore.attribution.capture import hooked
from xaicore.attribution.explainer import check_evaluation_mode, check_images
from xaicore.classifier import Classifier, hint, torchvision_class
from xaicore.files import read_tensors, write_tensors

SIDE = 64
"""Height and width of the image that shows how many channels the taps have."""


class Architecture(NamedTuple):
    """Where a stream joins a network.

    Attributes:
        taps: the modules whose outputs the stream attends to, from the first to the last.
        head: the module that makes logits of what was pooled.
    """

    taps: tuple[str, ...]
    head: str


ARCHITECTURES: dict[str, Callable[[Any], Architecture]] = {
    "ResNet": lambda _: Architecture(("maxpool", "layer1", "layer2", "layer3", "layer4"), "fc"),
    "ConvNeXt": lambda _: _features(0, 2, 4, 7),
    "EfficientNet": lambda net: _features(*range(len(net.features))),
    "MobileNetV2": lambda _: _features(1, 3, 6, 13, 18),
    "SqueezeNet": lambda net: _features(
        *(i for i, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d)),
        len(net.features) - 1,
    ),
}
"""Taps and head by the class of torchvision's network; a subclass is known as well."""


def known_architecture(net: nn.Module) -> Architecture | None:
    """Return where a stream joins a network: after the stem and after every stage; or None.

    ResNet and ConvNeXt are tapped as in the authors' code, ConvNeXt after its stem, its first two
    downsampling convolutions and its last stage; EfficientNet after every stage, also as there.
    Neither paper nor code has the others: MobileNetV2 is tapped before each reduction of the
    resolution, SqueezeNet after it, both at the end; and a network that calls its parts ``stem``,
    ``stages`` and ``fc``, after stem and stages.
    """
    build = ARCHITECTURES.get(torchvision_class(net) or "")
    if build is not None:
        return build(net)
    stages = getattr(net, "stages", None)
    if isinstance(stages, nn.Sequential) and hasattr(net, "stem") and hasattr(net, "fc"):
        return Architecture(("stem", *(f"stages.{i}" for i in range(len(stages)))), "fc")
    return None


def _features(*places: int) -> Architecture:
    return Architecture(tuple(f"features.{place}" for place in places), "classifier")


class Look(NamedTuple):
    r"""What a frozen network shows of images.

    Attributes:
        features: the feature maps :math:`F_\ell` at the taps, ``(B, d, h, w)`` each.
        predicted: the class that the network predicts, ``(B,)``.
    """

    features: list[Tensor]
    predicted: Tensor

    def to(self, device: torch.device) -> Look:
        """Return the look on a device."""
        return Look([maps.to(device) for maps in self.features], self.predicted.to(device))


class Pooled(NamedTuple):
    r"""What a stream makes of feature maps.

    Attributes:
        query: :math:`q_{L+1}`, ``(B, d)``.
        attention: :math:`a` at each tap, ``(B, 1, h, w)``; each map sums to 1.
    """

    query: Tensor
    attention: list[Tensor]


class Stream(nn.Module):
    r"""Cross-attention of one token with feature maps :math:`F_\ell \in \mathbb R^{p \times d}`.

    .. math:: a_\ell = \mathrm{softmax}\big(F_\ell\, q_\ell / \sqrt{d_\ell}\big), \qquad
        q_{\ell+1} = W_\ell\, F_\ell^\top a_\ell + b_\ell

    With projections, :math:`F_\ell` is :math:`F_\ell W^K_\ell` in the first equation and
    :math:`F_\ell W^V_\ell` in the second. :math:`q_0` and all :math:`W_\ell, b_\ell` are learnt.

    Args:
        widths: the number of channels :math:`d_\ell` at each tap.
        tokens: how many :math:`q_0` there are: one, or one per class.
        bias: whether the projections have biases, as in the authors' code.
        projected: whether there are keys and values beside the features (PROJ→CA, eq. 11).
        scaled: whether the similarities are divided by :math:`\sqrt{d_\ell}`, as in the paper.
        sharpness: what the similarities are multiplied by; with 0 all attention is uniform.
    """

    def __init__(
        self,
        widths: Sequence[int],
        tokens: int = 1,
        bias: bool = True,
        projected: bool = False,
        scaled: bool = True,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        self.scales = [sharpness * (width**-0.5 if scaled else 1) for width in widths]
        self.token = nn.Parameter(torch.empty(tokens, widths[0]).normal_(1, 1))
        self.steps = nn.ModuleList(
            nn.Linear(*pair, bias) for pair in pairwise([*widths, widths[-1]])
        )
        projections = widths if projected else ()
        self.keys = nn.ModuleList(nn.Linear(width, width, bias) for width in projections)
        self.values = nn.ModuleList(nn.Linear(width, width, bias) for width in projections)
        for layer in (*self.steps, *self.keys, *self.values):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, features: Sequence[Tensor], classes: Tensor | None = None) -> Pooled:
        """Pool feature maps.

        Args:
            features: one map ``(B, d, h, w)`` per tap; a batch of one stands for any other size.
            classes: which token each image takes ``(B,)``; ``None``: the first.
        """
        query = self.token[:1] if classes is None else self.token[classes]
        attention = []
        for stage, maps in enumerate(features):
            query, weights = self._attend(stage, query, maps.flatten(2))
            attention.append(weights.unflatten(1, maps.shape[2:])[:, None])
        return Pooled(query, attention)

    def _attend(self, stage: int, query: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next query and the attention ``(B, p)`` to patches ``(B, d, p)``."""
        keys = self._projected(self.keys, stage, patches)
        values = self._projected(self.values, stage, patches)
        scaled = query.to(keys) * self.scales[stage]
        weights = torch.einsum("bdp,bd->bp", keys, scaled).softmax(1)
        pooled = torch.einsum("bdp,bp->bd", values, weights.to(values))
        return self.steps[stage](pooled), weights

    def _projected(self, layers: nn.ModuleList, stage: int, patches: Tensor) -> Tensor:
        return layers[stage](patches.transpose(1, 2)).transpose(1, 2) if layers else patches

    @torch.no_grad()
    def become_average(self) -> None:
        r"""Set the weights so that the last map is averaged: :math:`q_L = 0`, :math:`W_L = I`."""
        identities = [self.steps[-1], *self.values[-1:]]
        for layer in (*self.steps[-2:], *identities):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        for layer in identities:
            nn.init.eye_(layer.weight)
        if len(self.steps) == 1:
            nn.init.zeros_(self.token)


class StreamedNetwork(nn.Module):
    """A frozen network and the stream beside it; what ``CAStream`` is a classifier of.

    Args:
        backbone: the network; its parameters ask for no gradient.
        taps: names of its modules, in the order they run.
        head: name of the module that makes the logits.
        build: makes the stream of the numbers of channels and of classes.
    """

    def __init__(
        self,
        backbone: nn.Module,
        taps: Sequence[str],
        head: str,
        build: Callable[[list[int], int], Stream],
    ) -> None:
        super().__init__()
        self.backbone, self.taps, self.head = backbone, tuple(taps), head
        parameter = next(backbone.parameters())
        with torch.no_grad():
            features, logits = self._tapped(parameter.new_zeros(1, 3, SIDE, SIDE))
        self.stream = build([maps.shape[1] for maps in features], logits.shape[1]).to(parameter)
        self.eval()

    def train(self, mode: bool = True) -> StreamedNetwork:
        """Set the mode of the stream; the network stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, seen: Tensor | Look, classes: Tensor | None = None) -> Tensor:
        """Return logits ``(B, C)`` of normalised images, or of what was seen of them.

        Args:
            seen: images ``(B, channels, H, W)`` or the ``Look`` at them.
            classes: whose tokens are taken ``(B,)``; ``None`` for the predicted ones.
        """
        look = self.look(seen) if isinstance(seen, Tensor) else seen
        return self.classify(self.pool(look, classes).query)

    def look(self, images: Tensor) -> Look:
        """Return what the network shows of normalised images."""
        features, logits = self._tapped(images)
        return Look(features, logits.detach().argmax(1))

    def pool(self, look: Look, classes: Tensor | None = None) -> Pooled:
        """Return what the stream makes of a look; it has a token per class or one for all."""
        if len(self.stream.token) == 1:
            return self.stream(look.features)
        return self.stream(look.features, look.predicted if classes is None else classes)

    def classify(self, query: Tensor) -> Tensor:
        """Return the logits ``(B, C)`` that the network's own head makes of a query ``(B, d)``."""
        head = self.backbone.get_submodule(self.head)
        layers = (m for m in head.modules() if next(m.parameters(recurse=False), None) is not None)
        flat = isinstance(next(layers, None), nn.Linear)
        return head(query if flat else query[..., None, None]).flatten(1)

    def _tapped(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the feature maps at the taps and the logits of the network as it is."""
        places = {self.backbone.get_submodule(name): name for name in self.taps}
        found: dict[str, Tensor] = {}

        def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
            name = places[module]
            if name in found or not isinstance(output, Tensor) or output.ndim != 4:
                raise ValueError(
                    f"taps: '{name}' must run once and give a feature map (B, d, h, w): choose "
                    "another module (see net.named_modules())"
                )
            found[name] = output

        with hooked(places, keep):
            logits = self.backbone(images)
        if tuple(found) != self.taps:
            raise ValueError(
                f"taps run in the order {', '.join(found) or 'of none'}, not {', '.join(self.taps)}"
            )
        return list(found.values()), logits


class CAStream(Classifier):
    r"""A classifier whose average pooling is replaced by attention, everything else frozen.

    A learnt token :math:`q_0` attends to the feature maps :math:`F_\ell` at each tap; the last
    query goes where the averaged features went, through the classifier's own head :math:`g`:

    .. math:: q_{\ell+1} = W_\ell\, F_\ell^\top\,
        \mathrm{softmax}\big(F_\ell\, q_\ell / \sqrt{d_\ell}\big), \qquad y = g(q_{L+1})

    It is a classifier in every respect: all explainers and metrics take it. Its CAM layer is the
    last tap, and gradients reach it through the attention as well as through what is pooled. It
    holds a copy of the network, in evaluation mode and asking for no gradient; the classifier it is
    made from is not touched. Untrained, its accuracy is that of chance: see
    ``training.ca_stream.train_stream``.

    The defaults are the authors': projections with bias, drawn from Glorot and Bengio's uniform
    distribution, and :math:`q_0 \sim N(1, 1)`. Their released code drifts the statistics of batch
    normalisation and, by a slip in names, would train the token alone; here the paper is followed.

    The head of SqueezeNet has a rectifier before its own averaging, so no attention equals
    its average pooling; for the others ``initial="average"`` starts from the classifier as it is.

    Cost: one forward of the network and of its head, and :math:`\sum_\ell (2 p_\ell + d_{\ell+1})
    d_\ell` multiplications. Source: Torres et al., CVPR Workshops 2024, eqs 4-11.

    Args:
        classifier: the classifier, trained.
        taps: names of modules of ``classifier.net`` in the order they run, each giving a feature
            map ``(B, d, h, w)``; ``"auto"`` knows those of torchvision's ResNet, ConvNeXt,
            EfficientNet, MobileNetV2 and SqueezeNet, and of the book's network. A placement of the
            paper's table 5 is the end of that list: ``known_architecture(net).taps[-2:]``.
        head: the module of ``classifier.net`` that makes logits of pooled features.
        bias: whether projections have a bias.
        projected: whether keys and values are projections of the features (PROJ→CA, eq. 11).
        class_specific: whether each class has its own :math:`q_0`, chosen by the label in training
            and by the prediction of the network as it was otherwise.
        scaled: whether similarities are divided by :math:`\sqrt{d_\ell}`.
        sharpness: what similarities are multiplied by; 1 in the paper, 0 for uniform attention.
        initial: ``"paper"``, or ``"average"``: the last attention uniform and :math:`W_L = I`, so
            that it starts as average pooling, which the paper does not do.
        seed: of the initial weights.

    Raises:
        TypeError: ``classifier`` is no ``Classifier``.
        ValueError: it is in training mode; its architecture is not known, or has no such module;
            ``initial`` is unknown, or ``sharpness`` negative.
    """

    net: StreamedNetwork

    def __init__(
        self,
        classifier: Classifier,
        taps: str | Sequence[str] = "auto",
        *,
        head: str = "auto",
        bias: bool = True,
        projected: bool = False,
        class_specific: bool = False,
        scaled: bool = True,
        sharpness: float = 1.0,
        initial: str = "paper",
        seed: int = 0,
    ) -> None:
        _check(classifier, initial, sharpness)
        names = _joined(classifier.net, taps, head)
        backbone = copy.deepcopy(classifier.net).requires_grad_(False)

        def build(widths: list[int], classes: int) -> Stream:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                tokens = classes if class_specific else 1
                stream = Stream(widths, tokens, bias, projected, scaled, sharpness)
            if initial == "average":
                stream.become_average()
            return stream

        super().__init__(
            StreamedNetwork(backbone, *names, build),
            classifier.mean.flatten().tolist(),
            classifier.std.flatten().tolist(),
            f"backbone.{names.taps[-1]}",
            classifier.classes,
            classifier.transform,
        )
        self.to(classifier.mean.device)
        self.options: dict[str, Any] = {**names._asdict(), "bias": bias, "projected": projected}
        self.options |= {"class_specific": class_specific, "scaled": scaled}
        self.options["sharpness"] = sharpness

    @property
    def stream(self) -> Stream:
        """The part that is learnt."""
        return self.net.stream

    @torch.no_grad()
    def attention(self, images: Tensor, tap: int = -1) -> Tensor:
        r"""Return the attention :math:`a_\ell` of each image at a tap, ``(B, 1, h, w)``.

        It does not depend on a class, and sums to 1; ``masking.normalize`` and
        ``upsample`` make saliency of it. Cost: one forward.

        Args:
            images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
            tap: which tap, from 0; the last by default.

        Raises:
            ValueError: the images cannot be used, or the stream is in training mode.
            IndexError: there is no such tap.
        """
        check_images(images)
        check_evaluation_mode(self)
        return self.net.pool(self.net.look(self.normalised(images))).attention[tap].detach()

    def save(self, path: str | Path) -> None:
        """Write the stream, without the network, to a file that appears whole or not at all.

        Raises:
            FileNotFoundError: the folder of ``path`` does not exist.
            IsADirectoryError: ``path`` is a folder.
        """
        kept = {"options": self.options, "stream": self.stream.state_dict()}
        write_tensors(Path(path), kept)

    @classmethod
    def load(cls, classifier: Classifier, path: str | Path) -> CAStream:
        """Return the stream that ``save`` wrote, beside the classifier it was trained for.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file holds no stream, or one of another network.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"stream: there is no file {path}")
        try:
            kept = read_tensors(path)
            stream = cls(classifier, **kept["options"])
            stream.stream.load_state_dict(kept["stream"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"stream: {path} does not hold a stream for this {type(classifier.net).__name__}"
            ) from error
        return stream


def _check(classifier: Classifier, initial: str, sharpness: float) -> None:
    if not isinstance(classifier, Classifier):
        raise TypeError(
            f"CAStream needs a xaicore.Classifier, not {type(classifier).__name__}: wrap it, "
            "Classifier(net, mean, std, layer=…)"
        )
    check_evaluation_mode(classifier)
    if initial not in ("paper", "average"):
        raise ValueError(f"initial must be 'paper' or 'average', not {initial!r}")
    if not 0 <= sharpness < float("inf"):
        raise ValueError(f"sharpness must be a finite number from 0, not {sharpness}")


def _joined(net: nn.Module, taps: str | Sequence[str], head: str) -> Architecture:
    """Return taps and head, those that are ``"auto"`` looked up, all checked."""
    known = known_architecture(net)
    if known is None and "auto" in (taps, head):
        raise ValueError(
            f"taps and head of a {type(net).__name__} are not known: name them, "
            "CAStream(classifier, taps=[…], head='…') (see net.named_modules())"
        )
    if taps == "auto" and known is not None:
        taps = known.taps
    if isinstance(taps, str):
        taps = [taps]
    if head == "auto" and known is not None:
        head = known.head
    names = dict(net.named_modules())
    for name in (*taps, head):
        if name not in names or not name:
            raise ValueError(f"the network has no module called '{name}'{hint(name, names)}")
    if not taps:
        raise ValueError("taps is empty: name at least the last feature map")
    return Architecture(tuple(taps), head)
