"""Visual Explanation by Interpretation: show where the features relevant for a class respond."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xaicore.attribution.capture import frozen, full_precision, gradients_on, own, watched
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.explainer import Explainer, check_inputs, finite, resolve_targets
from xaicore.classifier import Classifier
from xaicore.interpretation.backprojection import BackwardRules, hand_back
from xaicore.interpretation.features import RelevantFeatures, Unit
from xaicore.interpretation.responses import Watcher, share
from xaicore.masking import normalize


@dataclass(frozen=True, eq=False)
class Decoupled:
    """What each relevant feature shows of each image.

    Attributes:
        maps: one map per feature, the strongest first, in ``[0, 1]``, ``(B, count, H, W)``; zeros
            where an image has fewer features that respond.
        units: the channel of each map.
        scores: its response times its weight, as a share of the class's weights, ``(B, count)``.
        targets: the classes explained, ``(B,)``.
    """

    maps: Tensor
    units: tuple[tuple[Unit, ...], ...]
    scores: Tensor
    targets: Tensor


class VEBI(Explainer):
    r"""Visual explanation by interpretation: the class's relevant features, back-projected.

    With the responses :math:`x_i` and the weights of ``identify``, those ``count`` features are
    shown whose score is largest and positive,

    .. math:: s_i = x_i W_{ic} \Big/ \sum_{i'} W_{i'c}, \qquad
        h_i = n\Big(\sqrt{\textstyle\sum_{\text{colour}} [g_i]_+^2}\Big), \qquad
        S^c = \max_i h_i

    where :math:`g_i` is the channel's map, back-projected (``backprojection``), and :math:`n`
    brings a map to ``[0, 1]``. The class decides which channels are shown, and nothing else.
    Signals are with respect to pixels in ``[0, 1]``; the authors' are on the same scale up to a
    factor. Cost: one forward; for each of the features one backward, from its layer.
    Source: Oramas, Wang and Tuytelaars, ICLR 2019.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        features: the relevant features of this classifier.
        count: how many features are shown, as in the authors' code.
        guided: whether a rectifier holds back what is negative.
        smooth: whether strided convolutions spread what they hand down.

    Raises:
        TypeError: ``features`` are none.
        ValueError: ``count`` is not positive. Called: guided, an activation runs for which there is
            no guided rule.
    """

    name = "vebi"
    label = "VEBI"
    family = "interpretation"
    cost = "1 F + n B from the features' layers"

    def __init__(
        self,
        classifier: Classifier,
        features: RelevantFeatures,
        count: int = 3,
        guided: bool = True,
        smooth: bool = True,
    ) -> None:
        super().__init__(classifier)
        if not isinstance(features, RelevantFeatures):
            raise TypeError(
                f"features must be the RelevantFeatures of this classifier, not "
                f"{type(features).__name__}: identify(responses(classifier, dataset))"
            )
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self.features = features
        self.count = min(count, len(features.W))
        self.guided = guided
        self.smooth = smooth

    def decoupled(self, images: Tensor, targets: Tensor | int | None = None) -> Decoupled:
        """Return one map for each of the features, with its layer, channel and score.

        Args:
            images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
            targets: the classes ``(B,)``, one class for all, or ``None`` for the predicted ones.

        Raises:
            ValueError: images or targets cannot be used, or the features are of another network.
        """
        checked = check_inputs(self.classifier, images, targets)
        if not len(images):
            return self._nothing(images)
        watcher = Watcher(images, keep=self._shown_layers())
        layers = dict.fromkeys(layer.name.partition(":")[0] for layer in self.features.layers)
        called = type(self.classifier.net).__name__
        with (
            differentiating(self.classifier, own(images), called),
            gradients_on(),
            watched(self.classifier, layers, watcher.see),
        ):
            pixels = own(images).requires_grad_()
            with BackwardRules(self.guided, self.smooth):
                logits = frozen(self.classifier)(pixels)
            classes = own(resolve_targets(checked, logits.detach()))
            self._check(watcher, logits)
            scores, rows = self._strongest(watcher, classes)
            maps = [self._map(pixels, watcher, column) for column in rows.T]
        units = self.features.units
        names = [[units[i] for i in row if i >= 0] for row in rows.tolist()]
        return Decoupled(torch.cat(maps, dim=1), tuple(map(tuple, names)), scores, classes)

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return self.decoupled(images, targets).maps.amax(1, keepdim=True)

    def _shown_layers(self) -> set[str]:
        weights = self.features.W.split([layer.channels for layer in self.features.layers])
        pairs = zip(self.features.layers, weights, strict=True)
        return {layer.name for layer, weight in pairs if weight.any()}

    def _check(self, watcher: Watcher, logits: Tensor) -> None:
        seen = {name: energy.shape[1] for name, energy in watcher.energies.items()}
        known = [layer for layer in self.features.layers if seen.get(layer.name) != layer.channels]
        if known or logits.shape[1] != self.features.W.shape[1]:
            raise ValueError(
                "features: these were identified for another network; "
                "identify(responses(classifier, dataset)) finds this one's"
            )

    def _strongest(self, watcher: Watcher, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(B, count)`` and rows of W, -1 where no further one responds."""
        x = share({layer.name: watcher.energies[layer.name] for layer in self.features.layers})
        weights = self.features.W.T[classes.cpu()]
        total = weights.sum(1, keepdim=True)
        every = x.double() * weights / total.where(total > 0, 1)
        scores, rows = every.sort(dim=1, descending=True, stable=True)
        scores, rows = scores[:, : self.count], rows[:, : self.count]
        return scores, rows.where(scores > 0, -1)

    def _map(self, pixels: Tensor, watcher: Watcher, rows: Tensor) -> Tensor:
        """Return the normalised map of one feature of each image, ``(B, 1, H, W)``."""
        channels, first = {}, 0
        for name, count in self.features.layers:
            inside = (rows >= first) & (rows < first + count)
            if inside.any():
                channels[name] = (rows - first).where(inside, -1)
            first += count
        if not channels:
            return full_precision(torch.zeros_like(pixels[:, :1]))
        signal = finite(hand_back(pixels, watcher.maps, channels))
        return normalize(signal.clamp_min(0).norm(dim=1, keepdim=True))

    def _nothing(self, images: Tensor) -> Decoupled:
        maps = full_precision(images.detach()[:, :1].repeat(1, self.count, 1, 1))
        empty = torch.zeros(0, dtype=torch.long, device=images.device)
        return Decoupled(maps, (), torch.zeros(0, self.count, dtype=torch.float64), empty)
