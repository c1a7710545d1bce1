"""Does a classifier decide by shape or by colour? Training sets in which both tell the class.

The experiment of Geirhos et al. (ICLR 2019) with exact stimuli: any flower can be drawn with the
other petals or in other colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xaibook.flowers.network import SmallResNet
from xaibook.translation.scenes import Pictures
from xaibook.translation.scoring import mean_in
from xaicore.classifier import Classifier
from xaicore.training.loop import fit

GREY = (0.5, 0.5, 0.5)
WIDTHS, STRIDES = (16, 32, 64), (2, 1, 1)
BATCH, STEPS = 64, 300


def warm(shown: Pictures) -> Tensor:
    """Return which flowers have petals that are more red than blue, ``(N,)`` bool."""
    colour = mean_in(shown.images, shown.petals == 1)
    return colour[:, 0] > colour[:, 2]


def shape_classifier(images: Tensor, domains: Tensor, seed: int = 0) -> Classifier:
    """Train a small network to name the domain of flowers; about 10 seconds on a processor core.

    Args:
        images: pixels ``(N, 3, 32, 32)`` in [0, 1].
        domains: 0 for round petals, 1 for pointed ones, ``(N,)``.
        seed: of weights, order and augmentation.

    Returns:
        The classifier; the layer a CAM looks at has maps of 8x8.
    """
    classifier = new_classifier(seed)
    epochs = max(1, round(STEPS / (len(images) // BATCH)))
    fit(classifier.net, 2 * images - 1, domains, epochs, seed, batch_size=BATCH)
    return classifier.eval()


def new_classifier(seed: int = 0) -> Classifier:
    """Return an untrained classifier whose weights the seed decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SmallResNet(2, WIDTHS, STRIDES)
    return Classifier(net.eval(), GREY, GREY, layer="stages.2", classes=("round", "pointed"))


@torch.inference_mode()
def by_shape(classifier: Classifier, images: Tensor, domain: int) -> Tensor:
    """Return which pictures of a domain are taken for that domain, ``(N,)`` bool."""
    return classifier(images).argmax(1) == domain
