"""Rendered flowers: pictures whose every pixel is known, and the networks that learnt them."""

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier

__all__ = ["Flowers", "flower_classifier"]
