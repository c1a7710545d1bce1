"""Shape translated, colours kept: flowers of two domains, and what turns one into the other."""

from xaibook.translation.model import VAE, Pair
from xaibook.translation.trained import load_judge, load_pair
from xaibook.translation.training import Weights, learn_to_translate, pretrain

__all__ = ["VAE", "Pair", "Weights", "learn_to_translate", "load_judge", "load_pair", "pretrain"]
