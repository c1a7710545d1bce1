"""The trained pairs and the judge that the package ships, in half precision."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from xaibook.translation.conflict import new_classifier
from xaibook.translation.judge import Judge
from xaibook.translation.model import VAE, Pair
from xaicore.classifier import Classifier
from xaicore.files import read_tensors
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


def load_classifier(cue: str) -> Classifier:
    """Return a classifier of petals' shapes that decides by one cue.

    Args:
        cue: ``"colour"``: it learnt where colour and shape told the same; ``"shape"``: it learnt on
            translations, too.
    """
    classifier = new_classifier()
    load_weights(classifier.net, WEIGHTS / f"translation-{cue}.pt")
    return classifier


def pictures(kind: str = "pictures") -> dict[str, Tensor]:
    """Return what trained pairs made of the first test pictures, pixels in [0, 1].

    Args:
        kind: ``"pictures"``: of the chapter; ``"further"``: of what was tried once.

    Returns:
        Of the chapter, by ``"VARIANT: forth"`` and ``"VARIANT: back"`` and ``"similarity WEIGHT"``,
        pixels ``(8, 3, 32, 32)``; by ``"steps"``, those along step 3, ``(steps, 8, 3, 32, 32)``. Of
        the others, by ``"TRIED: source"``, ``"TRIED: made"`` and ``"TRIED: partner"``, four each.
    """
    stored = read_tensors(WEIGHTS / f"translation-{kind}.pt")
    return {name: pixels.to(torch.float32) / 255 for name, pixels in stored.items()}
