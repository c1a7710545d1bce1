r"""Class activation maps: weighted sums of feature maps, :math:`S = h(\sum_k w_k A^k)`.

The methods differ in the weights alone. Here :math:`g = \partial y_c / \partial A` is the gradient
of the class's logit; sums run over the positions of a map.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from xaicore.attribution.capture import Capture, capture, full_precision
from xaicore.attribution.explainer import Explainer, Family, check_inputs, finite
from xaicore.classifier import Classifier


class CAMExplainer(Explainer):
    """A method that reads a captured layer, so that several methods can share one capture."""

    family: ClassVar[Family] = "class activation"

    def of(self, captured: Capture) -> Tensor:
        """Return the saliency ``(B, 1, H, W)`` of captured images, as a call gives it.

        Args:
            captured: what ``capture`` shows of this method's classifier.
        """
        return self.saliency(self.raw_of(captured), captured.images.shape[-2:])

    def raw_of(self, captured: Capture) -> Tensor:
        """Return the raw map ``(B, 1, h, w)`` of captured images, as ``raw`` gives it."""
        return finite(self._map(captured))

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return self._map(capture(self.classifier, images, targets))

    @abstractmethod
    def _map(self, captured: Capture) -> Tensor:
        """Return the raw map ``(B, 1, h, w)`` of what was captured."""


def explain_all(
    explainers: Mapping[str, Explainer], images: Tensor, targets: Tensor | int | None = None
) -> dict[str, Tensor]:
    """Explain images by several methods; those that read the same layer share its capture.

    Cost: all gradient-based class activation maps together take one forward and one backward to the
    layer; every other method its own cost, less the forward where it starts from the same features.

    Args:
        explainers: the methods, by name. Methods share a capture if they share a classifier.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``, one class for all, or ``None`` for the predicted ones.

    Returns:
        Saliency ``(B, 1, H, W)`` by the name of the method, as each method gives it alone.

    Example:
        >>> methods = {"grad": xc.GradCAM(model), "layer": xc.LayerCAM(model)}
        >>> xc.explain_all(methods, images, targets)["layer"].shape
        torch.Size([2, 1, 16, 16])
    """
    captures: dict[int, Capture] = {}
    maps = {}
    for name, explainer in explainers.items():
        classifier = explainer.classifier
        if not isinstance(explainer, CAMExplainer):
            maps[name] = explainer(images, targets)
            continue
        if id(classifier) not in captures:
            checked = check_inputs(classifier, images, targets)
            captures[id(classifier)] = capture(classifier, images, checked)
        maps[name] = explainer.of(captures[id(classifier)])
    return maps


class CAM(CAMExplainer):
    r"""Class activation mapping: the classifier's own weights combine the features.

    .. math:: S^c = \sum_k W_{ck} A^k

    It exists only where the logits are a linear layer on the averaged features; this is checked on
    every call. Cost: one forward. Source: Zhou et al., CVPR 2016.

    Example:
        >>> xc.CAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "cam"
    label = "CAM"
    cost = "1 F"

    def _map(self, captured: Capture) -> Tensor:
        head = linear_head(captured)
        if head is None:
            raise ValueError(
                "CAM needs logits that are a linear layer on the globally averaged output of layer "
                f"'{self.classifier.layer_name}'; this network is not of that kind: "
                "use GradCAM or AblationCAM"
            )
        return combine(head.weight[captured.targets], captured.features)


class GradCAM(CAMExplainer):
    r"""Gradient-weighted class activation mapping.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \qquad
        w_k = \frac{1}{hw} \sum_{ij} g^k_{ij}

    Without its rectifier, what speaks against the class is stretched to grey instead of being cut
    to black, and the map keeps more of the picture: so did pytorch-grad-cam from September to
    October 2021. Cost: one forward, one backward to the layer. Source: Selvaraju et al., ICCV 2017.

    Args:
        classifier: the network.
        rectified: whether the map is its positive part.

    Example:
        >>> xc.GradCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "grad-cam"
    label = "Grad-CAM"
    cost = "1 F + 1 B to the layer"

    def __init__(self, classifier: Classifier, rectified: bool = True) -> None:
        super().__init__(classifier)
        self.rectified = rectified

    def _map(self, captured: Capture) -> Tensor:
        found = combine(captured.gradient.mean(dim=(2, 3)), captured.features)
        return found.relu() if self.rectified else found


class GradCAMPlusPlus(CAMExplainer):
    r"""Grad-CAM++: positive gradients, weighted by how far each position explains the logit.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \quad
        w_k = \sum_{ij} \frac{\mathrm{relu}(g^k_{ij})}{2 + g^k_{ij} \sum_{ab} A^k_{ab}}

    This is the paper's eq. 19 with its fraction reduced: where :math:`A \ge 0` the denominator is
    at least 2 wherever the numerator is not zero, so no small number is added to either, unlike in
    the implementations in use. Negative activations, which the paper does not have, are left out of
    the sum. Cost: that of Grad-CAM. Source: Chattopadhay et al., WACV 2018.

    Example:
        >>> xc.GradCAMPlusPlus(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "grad-cam++"
    label = "Grad-CAM++"
    cost = "1 F + 1 B to the layer"

    def _map(self, captured: Capture) -> Tensor:
        positive = captured.gradient.relu()
        total = captured.features.relu().sum(dim=(2, 3), keepdim=True)
        weights = (positive / (2 + positive * total)).sum(dim=(2, 3))
        return combine(weights, captured.features).relu()


class XGradCAM(CAMExplainer):
    r"""XGrad-CAM, or Axiom-based Grad-CAM: gradients averaged where the feature is active.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \qquad
        w_k = \sum_{ij} \frac{A^k_{ij}}{\sum_{ab} A^k_{ab}}\, g^k_{ij}

    A channel that sums to zero has weight zero. Cost: that of Grad-CAM. Source: Fu et al., BMVC
    2020.

    Example:
        >>> xc.XGradCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "xgrad-cam"
    label = "XGrad-CAM"
    cost = "1 F + 1 B to the layer"

    def _map(self, captured: Capture) -> Tensor:
        total = captured.features.sum(dim=(2, 3))
        active = (captured.features * captured.gradient).sum(dim=(2, 3))
        weights = torch.where(total != 0, active / total.where(total != 0, 1), 0)
        return combine(weights, captured.features).relu()


class LayerCAM(CAMExplainer):
    r"""Layer-CAM: every position weighted by its own positive gradient.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k \mathrm{relu}(g^k) \odot A^k\Big)

    Cost: that of Grad-CAM. Source: Jiang et al., IEEE TIP 2021.

    Example:
        >>> xc.LayerCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "layer-cam"
    label = "Layer-CAM"
    cost = "1 F + 1 B to the layer"

    def _map(self, captured: Capture) -> Tensor:
        return (captured.gradient.relu() * captured.features).sum(dim=1, keepdim=True).relu()


class HiResCAM(CAMExplainer):
    r"""HiRes-CAM: gradient times feature, position by position, never averaged.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k g^k \odot A^k\Big)

    The positive part is taken as in Grad-CAM, whose map it equals under global average pooling and
    a linear layer. Cost: that of Grad-CAM. Source: Draelos and Carin, 2020.

    Example:
        >>> xc.HiResCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "hires-cam"
    label = "HiRes-CAM"
    cost = "1 F + 1 B to the layer"

    def _map(self, captured: Capture) -> Tensor:
        return (captured.gradient * captured.features).sum(dim=1, keepdim=True).relu()


def combine(weights: Tensor, features: Tensor) -> Tensor:
    """Return the maps ``(B, 1, h, w)``: features ``(B, K, h, w)`` weighted by ``(B, K)``.

    In their own precision, under autocast too.
    """
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("bk,bkhw->bhw", weights.to(features), features)[:, None]


def linear_head(captured: Capture) -> nn.Linear | None:
    """Return the layer that maps the averaged features to the logits, if there is one."""
    features, logits = captured.features, full_precision(captured.logits.detach())
    pooled = features.mean(dim=(2, 3))
    for module in captured.classifier.net.modules():
        if isinstance(module, nn.Linear) and module.in_features == features.shape[1]:
            weight, bias = module.weight.to(pooled), module.bias
            scores = pooled @ weight.T + (0 if bias is None else bias.to(pooled))
            if scores.shape == logits.shape and torch.allclose(scores, logits, 1e-2, 1e-2):
                return module
    return None
