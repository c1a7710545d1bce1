r"""How strongly every channel of many layers responds to an image.

With :math:`A_{l,c}` the map of channel c of layer l, the response of the channel is its energy,
first as a share of its layer, then of the length of all responses together:

.. math:: e_{l,c} = \sum_{ij} A_{l,c}(i, j)^2, \qquad
    a_{l,c} = \frac{e_{l,c}}{\sum_{c'} e_{l,c'}}, \qquad x = \frac{a}{\lVert a \rVert_2}

The square of the norm, as in the code of Oramas et al., ICLR 2019, whose comments call it the norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from xaicore.attribution.capture import full_precision, watched
from xaicore.attribution.explainer import check_batch_size, check_inputs
from xaicore.attribution.tokens import to_grid
from xaicore.classifier import Classifier, check_name

LABELS = ("predicted", "true")


class Layer(NamedTuple):
    """A layer whose channels are features.

    Attributes:
        name: of its module in the network; a run after the first carries its number, ``"relu:1"``.
        channels: how many it has.
    """

    name: str
    channels: int


@dataclass(frozen=True, eq=False)
class Responses:
    """The responses to N images, one row for each.

    Attributes:
        x: the responses of all m channels, layer by layer, ``(N, m)``; each row has length 1.
        predicted: the predicted classes, ``(N,)``.
        true: the true classes, ``(N,)``.
        layers: the layers, in the order of the columns.
        num_classes: the number C of logits.
    """

    x: Tensor
    predicted: Tensor
    true: Tensor
    layers: tuple[Layer, ...]
    num_classes: int

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Responses:
        """Return the responses to some of the images."""
        picked = self.x[rows], self.predicted[rows], self.true[rows]
        return Responses(*picked, self.layers, self.num_classes)

    def labels(self, kind: str) -> Tensor:
        """Return the ``"predicted"`` or the ``"true"`` classes, ``(N,)``.

        Raises:
            ValueError: the kind is another one, or a true class has no logit.
        """
        check_name("labels", kind, LABELS)
        labels = self.predicted if kind == "predicted" else self.true
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise ValueError(
                f"labels: a true class is outside 0…{self.num_classes - 1}, the network's classes"
            )
        return labels

    @staticmethod
    def join(batches: Iterable[Responses]) -> Responses:
        """Return the responses of several batches as one table.

        Raises:
            ValueError: there is no batch.
        """
        parts = list(batches)
        if not parts:
            raise ValueError("there are no responses: the data set is empty")
        x, predicted, true = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("x", "predicted", "true")
        )
        return Responses(x, predicted, true, parts[0].layers, parts[0].num_classes)


def responses(
    classifier: Classifier,
    dataset: Dataset[tuple[Tensor, int]],
    layers: Sequence[str] | None = None,
    batch_size: int = 64,
) -> Iterator[Responses]:
    """Yield the responses to a data set, batch by batch, in one pass.

    Only energies are kept, never the maps. Cost: one forward per image.

    Args:
        classifier: the classifier, in evaluation mode.
        dataset: yields pixels ``(channels, H, W)`` in ``[0, 1]`` and the true class.
        layers: dotted names of modules of ``classifier.net``. ``None``: every ``nn.ReLU`` that puts
            out feature maps. A unit of a fully connected layer, if named, is a map of one pixel.
        batch_size: images in one forward.

    Raises:
        ValueError: a layer does not exist, is the network's output, or puts out no features; the
            network has no ``nn.ReLU``; or the images cannot be used.
    """
    check_batch_size(batch_size)
    names = relu_layers(classifier) if layers is None else tuple(layers)
    device = classifier.mean.device
    for pixels, classes in in_batches(dataset, batch_size):
        images = pixels.to(device)
        check_inputs(classifier, images, None)
        watcher = Watcher(images, spatial_only=layers is None)
        with torch.no_grad(), watched(classifier, names, watcher.see):
            logits = classifier(images)
        check_not_logits(watcher.energies, logits)
        yield Responses(
            x=share(watcher.energies),
            layers=tuple(Layer(name, e.shape[1]) for name, e in watcher.energies.items()),
            predicted=logits.argmax(1).cpu(),
            true=classes,
            num_classes=logits.shape[1],
        )


def in_batches(dataset: Dataset[tuple[Tensor, int]], batch_size: int) -> DataLoader:
    """Return batches in order; a loader of its own would move the global random state."""
    return DataLoader(dataset, batch_size=batch_size, generator=torch.Generator())


class Watcher:
    """What is kept of many layers in one forward pass; ``see`` is for ``capture.watched``.

    Args:
        images: the images that pass, whose size says how tokens lie on them.
        keep: the layers whose maps are kept.
        spatial_only: whether outputs without positions are passed over.

    Attributes:
        energies: the energy of each channel by layer, ``(B, K)``, float32 at least.
        maps: the maps of the layers to keep, ``(B, K, h, w)``, as parts of the graph.
    """

    def __init__(
        self, images: Tensor, keep: Iterable[str] = (), spatial_only: bool = False
    ) -> None:
        self.size = images.shape[-2:]
        self.keep = frozenset(keep)
        self.spatial_only = spatial_only
        self.energies: dict[str, Tensor] = {}
        self.maps: dict[str, Tensor] = {}

    def see(self, name: str, output: Tensor) -> None:
        """Take in the output of a layer."""
        if self.spatial_only and output.ndim == 2:
            return
        maps = as_maps(name, output, self.size)
        self.energies[name] = full_precision(maps.detach()).square().sum((2, 3))
        if name in self.keep:
            self.maps[name] = maps.clone()  # what follows may work in place


def as_maps(name: str, output: Tensor, size: Sequence[int]) -> Tensor:
    """Return a layer's output as maps ``(B, K, h, w)``; units without positions have one pixel."""
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        raise ValueError(f"layer '{name}' puts out no features (B, K), (B, K, h, w) or (B, N, K)")
    return output[..., None, None] if output.ndim == 2 else to_grid(output, size)


def share(energies: Mapping[str, Tensor]) -> Tensor:
    """Return the responses x ``(B, m)`` of energies ``(B, K)`` by layer; a silent layer gives 0."""
    blocks = [_ratio(energy, energy.sum(1, keepdim=True)) for energy in energies.values()]
    a = torch.cat(blocks, dim=1).cpu()
    return _ratio(a, a.norm(dim=1, keepdim=True))


def relu_layers(classifier: Classifier) -> tuple[str, ...]:
    """Return the names of the network's ``nn.ReLU`` modules, in their order.

    Raises:
        ValueError: it has none.
    """
    modules = classifier.net.named_modules()
    names = tuple(name for name, module in modules if isinstance(module, nn.ReLU) and name)
    if not names:
        raise ValueError(
            f"this {type(classifier.net).__name__} has no nn.ReLU modules: name the layers whose "
            "channels are to be features, layers=[…] (see net.named_modules())"
        )
    return names


def check_not_logits(energies: Mapping[str, Tensor], logits: Tensor) -> None:
    """Refuse the logits among the features: the labels would explain themselves."""
    own = full_precision(logits.detach()).square()
    for name, energy in energies.items():
        if energy.shape == own.shape and torch.equal(energy, own):
            raise ValueError(f"layers: '{name}' puts out the logits themselves; leave it out")


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / torch.where(whole > 0, whole, 1), 0)
