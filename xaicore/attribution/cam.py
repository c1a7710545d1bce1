r"""Class activation maps: weighted sums of feature maps, :math:`S = h(\sum_k w_k A^k)`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xaicore.attribution.capture import capture
from xaicore.attribution.explainer import Explainer, resolve_targets


class CAM(Explainer):
    r"""Class activation mapping: the classifier's own weights combine the features.

    .. math:: S^c = \sum_k W_{ck} A^k

    It exists only where the logits are a linear layer on the averaged features; this is checked on
    every call. Cost: one forward. Source: Zhou et al., CVPR 2016.
    """

    cost = "1 F"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        captured = capture(self.classifier, images)
        features, logits = (full_precision(tensor.detach()) for tensor in captured)
        head = self._head(features, logits)
        return combine(head.weight[resolve_targets(targets, logits)], features)

    def _head(self, features: Tensor, logits: Tensor) -> nn.Linear:
        """Return the linear layer that maps the averaged features to the logits."""
        pooled = features.mean(dim=(2, 3))
        for module in self.classifier.net.modules():
            if isinstance(module, nn.Linear) and module.in_features == features.shape[1]:
                weight, bias = module.weight.to(pooled), module.bias
                scores = pooled @ weight.T + (0 if bias is None else bias.to(pooled))
                if scores.shape == logits.shape and torch.allclose(scores, logits, 1e-2, 1e-2):
                    return module
        raise ValueError(
            "CAM needs logits that are a linear layer on the globally averaged output of layer "
            f"'{self.classifier.layer_name}'; this network is not of that kind: use GradCAM"
        )


class GradCAM(Explainer):
    r"""Gradient-weighted class activation mapping.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \qquad
        w_k = \frac{1}{hw} \sum_{ij} \frac{\partial y_c}{\partial A^k_{ij}}

    Cost: one forward, one backward to the layer. Source: Selvaraju et al., ICCV 2017.
    """

    cost = "1 F + 1 B to the layer"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        captured = capture(self.classifier, images)
        gradient = captured.gradient(resolve_targets(targets, captured.logits))
        weights = full_precision(gradient).mean(dim=(2, 3))
        return combine(weights, full_precision(captured.features.detach())).relu()


class FakeCAM(Explainer):
    """A map that explains nothing: one everywhere, zero at the top-left pixel.

    It keeps nearly the whole image, so a metric that it wins does not measure explanation.
    Cost: nothing. Source: Poppi et al., CVPR Workshops 2021.
    """

    cost = "none"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        maps = torch.ones_like(images[:, :1])
        maps[..., 0, 0] = 0
        return maps


def combine(weights: Tensor, features: Tensor) -> Tensor:
    """Return the maps ``(B, 1, h, w)``: features ``(B, K, h, w)`` weighted by ``(B, K)``."""
    return torch.einsum("bk,bkhw->bhw", weights.to(features), features)[:, None]


def full_precision(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
