"""Score-CAM: a channel matters as much as the class's score when only the channel is shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xaicore.attribution.cam import CAMExplainer, combine
from xaicore.attribution.capture import Capture, frozen
from xaicore.attribution.explainer import check_batch_size
from xaicore.classifier import Classifier, check_name
from xaicore.masking import degenerate, mask, normalize, removed, upsample

SCORES = ("logit", "increase", "probability")


class ScoreCAM(CAMExplainer):
    r"""Weight each channel by the class's score of the image masked by that channel.

    .. math:: S^c = \mathrm{relu}\Big(\sum_k w_k A^k\Big), \qquad
        u_k = f_c\big(x \odot n(\mathrm{up}(A^k))\big)

    What becomes of :math:`u` differs between papers and code, so it has a name here:

    * ``"logit"``, the default: :math:`w = \mathrm{softmax}(u)` over the channels, :math:`f` the
      logits (Opti-CAM, eq. 3; subtracting a constant from :math:`u` changes nothing);
    * ``"increase"``: :math:`w_k = u_k - f_c(x_b)`, the increase of the logit over the baseline
      image, without a softmax (Score-CAM, definition 3);
    * ``"probability"``: :math:`w_k = p_c`, the class's probability, without a softmax (the code
      released with Score-CAM). A softmax over channels of probabilities would be nearly uniform.

    A channel that is constant over the image shows nothing: it is skipped, with weight zero.

    Cost: 1 + K' forwards, K' the number of channels that are not constant; memory is bounded by
    ``batch_size``. Source: Wang et al., CVPR Workshops 2020.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        score: ``"logit"``, ``"increase"`` or ``"probability"``.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        batch_size: masked images per forward.

    Raises:
        ValueError: ``score`` is unknown, or ``batch_size`` is not positive.

    Example:
        >>> xc.ScoreCAM(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "score-cam"
    label = "Score-CAM"
    cost = "(1 + K) F"

    def __init__(
        self,
        classifier: Classifier,
        score: str = "logit",
        baseline: str | Tensor = "black",
        batch_size: int = 8,
    ) -> None:
        super().__init__(classifier)
        check_name("score", score, SCORES)
        check_batch_size(batch_size)
        self.score = score
        self.baseline = baseline
        self.batch_size = batch_size

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map, at most."""
        return channels

    @torch.no_grad()
    def _map(self, captured: Capture) -> Tensor:
        network = frozen(self.classifier, torch.channels_last)
        images = captured.images
        absent = removed(images, self.baseline, self.classifier.mean).expand_as(images)
        features = captured.features
        live = ~degenerate(features.flatten(0, 1)[:, None]).view(features.shape[:2])
        scores = features.new_zeros(features.shape[:2])
        for pairs in live.nonzero().split(self.batch_size):
            rows, channels = pairs.unbind(1)
            maps = upsample(features[rows, channels][:, None], images.shape[-2:])
            masked = mask(images[rows], normalize(maps).to(images), absent[rows])
            masked = masked.contiguous(memory_format=torch.channels_last)
            found = self._scores(network(masked), captured.targets[rows])
            scores[rows, channels] = found.to(scores)
        return combine(self._weights(scores, live, absent, captured.targets), features).relu()

    def _scores(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.score == "probability":
            return self.classifier.probability(logits, targets)
        return logits.gather(1, targets[:, None])[:, 0]

    def _weights(self, scores: Tensor, live: Tensor, absent: Tensor, targets: Tensor) -> Tensor:
        if self.score == "logit":
            weights = scores.masked_fill(~live, -torch.inf).softmax(1)
            return weights.nan_to_num(0)  # an image without any live channel
        if self.score == "increase":
            empty = self._scores(self.classifier(absent), targets)
            scores = scores - empty[:, None].to(scores)
        return scores.where(live, 0)
