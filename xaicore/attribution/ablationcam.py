"""Ablation-CAM: a channel matters as much as the class's logit drops without it."""

from __future__ import annotations

import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer, combine, linear_head
from xaicore.attribution.capture import Capture, logits_above
from xaicore.attribution.explainer import check_batch_size
from xaicore.classifier import Classifier


class AblationCAM(CAMExplainer):
    r"""Weight each channel by the drop of the class's logit when the channel is set to zero.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \qquad w_k = y_c - y_c^{A^k = 0}

    The paper divides by :math:`y_c`. That scales the whole map of an image, which normalisation
    undoes, and turns the map upside down where the logit is negative, so it is left out.

    Cost: one forward, and K times the layers above the map alone. Where the logits are a linear
    layer on the averaged features, :math:`w_k = W_{ck} \frac{1}{hw} \sum_{ij} A^k_{ij}` and one
    forward is all. Source: Desai and Ramaswamy, WACV 2020.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        batch_size: ablated feature maps that run through the upper layers at once.

    Raises:
        ValueError: ``batch_size`` is not positive.

    Example:
        >>> xc.AblationCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "ablation-cam"
    label = "Ablation-CAM"
    cost = "1 F + K F above the layer"

    def __init__(self, classifier: Classifier, batch_size: int = 256) -> None:
        super().__init__(classifier)
        check_batch_size(batch_size)
        self.batch_size = batch_size

    @torch.no_grad()
    def _map(self, captured: Capture) -> Tensor:
        head = linear_head(captured)
        if head is not None:
            weights = head.weight[captured.targets] * captured.features.mean(dim=(2, 3))
        else:
            weights = captured.features.new_zeros(captured.features.shape[:2])
            for row in range(len(weights)):
                weights[row] = self._drops(captured, row)
        return combine(weights, captured.features).relu()

    def _drops(self, captured: Capture, row: int) -> Tensor:
        """Return the drop ``(K,)`` of one image's logit without each of its channels."""
        image, features = captured.images[row : row + 1], captured.features[row : row + 1]
        target = captured.targets[row]
        every = torch.arange(features.shape[1], device=features.device)
        kept = []
        for channels in every.split(self.batch_size):
            ablated = features.repeat(len(channels), 1, 1, 1)
            ablated[range(len(channels)), channels] = 0
            kept.append(logits_above(self.classifier, image, ablated)[:, target])
        return captured.logits[row, target].detach() - torch.cat(kept).to(features)
