"""The trained pairs and the judge that the package ships, in half precision."""

from __future__ import annotations

from pathlib import Path

from xaibook.translation.judge import Judge
from xaibook.translation.model import VAE, Pair
from xaicore.weights import load_weights

WEIGHTS = Path(__file__).parent.parent / "weights"


def load_pair(path: Path = WEIGHTS / "translation.pt", size: int = 32) -> Pair:
    """Return a trained pair, in evaluation mode and float32.

    Args:
        path: weights that ``python -m xaibook.translation`` wrote; by default those of the book,
            all losses from a warm start, seed 0.
        size: width and height of its pictures.

    Raises:
        ValueError: the file holds no weights of a pair.
    """
    pair = Pair(VAE(size), VAE(size))
    load_weights(pair, path)
    return pair.eval()


def load_judge() -> Judge:
    """Return the judge of outlines and shapes, in evaluation mode and float32."""
    judge = Judge()
    load_weights(judge, WEIGHTS / "translation-judge.pt")
    return judge.eval()
