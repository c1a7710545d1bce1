"""Rendered flowers: pictures whose every pixel is known, and the networks that learnt them."""

from xaibook.flowers.dataset import Flowers, training_set, validation_set
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import flower_classifier

__all__ = ["Flowers", "SmallResNet", "flower_classifier", "training_set", "validation_set"]
