r"""Whose evidence does a map show? The share of its gain that networks see which did not make it.

A map raises the class's probability on the network that it was made for. What it shows is evidence
for the class as far as it does so on others; the rest is fitted to one network.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from xaicore.classifier import Classifier
from xaicore.metrics.faithfulness import average_gain

__all__ = ["judged", "transfer"]


def transfer(p: Tensor, o: Tensor, judged_p: Tensor, judged_o: Tensor) -> Tensor:
    r"""Return the share of a map's gain that other networks see, their mean; higher is better.

    With :math:`\mathrm{AG}` the gain on the network that the map was made for, and
    :math:`\mathrm{AG}_j` that of the same masked image on judge :math:`j` of :math:`J`:

    .. math:: T = \frac 1 J \sum_j \min\Big(1, \frac{\mathrm{AG}_j}{\mathrm{AG}}\Big), \qquad
        \mathrm{AG} = \frac{[o - p]_+}{1 - p}

    It lies in ``[0, 1]``: 1 if every judge gains as much, so if the judge is the network itself;
    0 if masking raises the probability on no judge. It is not defined where the network itself
    gains nothing, :math:`o \le p`: NaN. A share says nothing of how large the gain is: a map that
    hides next to nothing gains next to nothing everywhere, and a large share of that. Read it
    beside AG. Its floor is not 0 but what the map of another picture has, since to hide much of a
    picture is sometimes a gain whatever is hidden.

    Cost: one forward of each judge for the image, and one for each of its maps. Source: ours.

    Args:
        p: probability of the class on each image, ``(B,)``, of the network.
        o: the same on the masked image.
        judged_p: probability on each image of the judges, ``(J, B)``, or of one, ``(B,)``.
        judged_o: the same on the masked image.

    Returns:
        The share of each image, float64 ``(B,)``; NaN where it is not defined.

    Raises:
        ValueError: these are no probabilities of the same images, or there is no judge.

    Example:
        >>> p, o = torch.tensor([0.5, 0.9]), torch.tensor([0.9, 0.5])  # gains 0.8, and nothing
        >>> transfer(p, o, torch.tensor([[0.2, 0.2]]), torch.tensor([[0.36, 0.9]]))
        tensor([0.2500,    nan], dtype=torch.float64)
    """
    own, theirs = average_gain(p, o), average_gain(judged_p, judged_o)
    if theirs.shape[-1:] != own.shape or theirs.ndim > 2 or not theirs.numel() >= own.numel():
        raise ValueError(
            f"judged_p and judged_o must be (J, {len(own)}), as many images as p and at least one "
            f"judge, not {tuple(theirs.shape)}"
        )
    shares = theirs.reshape(-1, len(own)) / own.where(own > 0, torch.nan)
    return shares.clamp_max(1).mean(0)


def judged(judge: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Return the probability that another network gives to classes, float64 ``(B,)``, on the CPU.

    Images are brought to the size of the judge as by ``answers``. Cost: one forward.

    Args:
        judge: the network that is asked, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``, masked or whole.
        targets: the classes ``(B,)``, which must mean the same to it.

    Example:
        >>> xc.metrics.judged(model, images, targets).shape
        torch.Size([2])
    """
    return judge.probability(answers(judge, images), targets)


@torch.no_grad()
def answers(judge: Classifier, images: Tensor) -> Tensor:
    """Return the logits ``(B, C)`` that another network gives to images of any size.

    They are resized, with antialiasing, to the size that the judge's own transform makes, where it
    makes another; the judge normalises them as it does.
    """
    if judge.size not in (None, tuple(images.shape[-2:])):
        images = F.interpolate(images, judge.size, mode="bilinear", antialias=True).clamp(0, 1)
    return judge(images.contiguous(memory_format=torch.channels_last))
