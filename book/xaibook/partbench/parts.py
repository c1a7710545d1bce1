r"""Do the parts of an explanation do what it says? The measures of Hesse et al., ICCV 2023.

A picture has P parts, each of which can be removed exactly. An attribution gives a part the
importance

.. math:: \mathrm{PI}(p) = \sum_{u \in \text{part } p} R_u, \qquad
    P(t) = \Big\{ p : \mathrm{PI}(p) > t \sum_u |R_u| \Big\}

where a part is dilated by a pixel or two, and signs are kept. The paper compares with the sum of
:math:`R` itself: the same for attributions that are not negative; with signs its threshold may be
negative, and every part important. :math:`P(t)` are the important parts. Logits after every removal
are given, ``(B, 2^P, C)``: the bits of the second index say which parts are gone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

THRESHOLDS = tuple(torch.linspace(0.01, 0.5, 80, dtype=torch.float64).tolist())
"""The thresholds t of the paper's code."""

NO_EFFECT = 0.05
"""A change of the logit by less than this share of it is none."""

Sets = tuple[tuple[int, ...], ...]
"""Sets of parts, as indices."""


def part_importances(attribution: Tensor, masks: Tensor, window: int = 3) -> Tensor:
    """Return the importance of each part, signed, float64 ``(B, P)``, on the CPU.

    Args:
        attribution: what each pixel is given, ``(B, 1, H, W)``.
        masks: the coverage of each part, ``(B, P, H, W)``; a pixel counts that shows any of it.
        window: side of the square by which parts are dilated, odd; the paper takes 5 of 256 pixels.

    Raises:
        ValueError: the shapes do not fit, or ``window`` is not odd and positive.
    """
    if attribution.ndim != 4 or attribution.shape[1] != 1:
        raise ValueError(f"attribution must be (B, 1, H, W), not {tuple(attribution.shape)}")
    if masks.shape[:1] + masks.shape[2:] != attribution.shape[:1] + attribution.shape[2:]:
        raise ValueError(
            f"masks {tuple(masks.shape)} do not fit attribution {tuple(attribution.shape)}"
        )
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, not {window}")
    within = F.max_pool2d((masks > 0).double(), window, 1, window // 2)
    return (within.cpu() * attribution.detach().cpu().double()).sum((2, 3))


def important_parts(
    importances: Tensor, attribution: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> Tensor:
    """Return whether each part is important at each threshold, booleans ``(B, P, T)``.

    Args:
        importances: the result of ``part_importances``, ``(B, P)``.
        attribution: what they were taken of, ``(B, 1, H, W)``.
        thresholds: the T shares of the whole.
    """
    whole = attribution.detach().cpu().double().abs().sum((1, 2, 3))
    return importances[..., None] > whole[:, None, None] * torch.tensor(thresholds).double()


def sufficient_sets(parts: Sequence[Mapping[str, str]]) -> tuple[Sets, ...]:
    """Return for each class the smallest sets of parts that no other class shares.

    Args:
        parts: for each class what its parts look like; all classes have the same parts.
    """
    names = list(parts[0])
    found = []
    for own in parts:
        minimal: list[tuple[int, ...]] = []
        for size in range(1, len(names) + 1):
            for some in itertools.combinations(range(len(names)), size):
                larger = any(set(less) <= set(some) for less in minimal)
                same = [k for k in parts if all(k[names[p]] == own[names[p]] for p in some)]
                if not larger and len(same) == 1:
                    minimal.append(some)
        found.append(tuple(minimal))
    return tuple(found)


def synthetic_data_check(important: Tensor, sets: Sequence[Sets]) -> Tensor:
    r"""Return CSDC: how much of a sufficient set of parts is important, ``(B, T)``.

    .. math:: \max_{S} |S \cap P(t)| / |S|

    over the smallest sets that suffice to tell the class. The paper scores correct images only.

    Args:
        important: the result of ``important_parts``, ``(B, P, T)``.
        sets: the sufficient sets of each image's class.
    """
    rows = [
        torch.stack([found[list(some)].double().mean(0) for some in own]).amax(0)
        for found, own in zip(important, sets, strict=True)
    ]
    return torch.stack(rows) if rows else important.new_zeros(0, important.shape[2]).double()


def preservation_check(important: Tensor, logits: Tensor) -> Tensor:
    """Return preservation: whether the important parts alone keep the prediction, ``(B, T)``.

    Args:
        important: of an explanation of the predicted class, ``(B, P, T)``.
        logits: after every removal, ``(B, 2^P, C)``.
    """
    return _same(logits, ~important)


def deletion_check(important: Tensor, logits: Tensor) -> Tensor:
    """Return DC: whether the prediction is lost without the important parts, ``(B, T)``.

    Arguments are those of ``preservation_check``.
    """
    return 1 - _same(logits, important)


def _same(logits: Tensor, removed: Tensor) -> Tensor:
    """Return whether the prediction stays when parts ``(B, P, T)`` are removed, ``(B, T)``."""
    predicted = logits.argmax(2)
    return (predicted.gather(1, removal(removed)) == predicted[:, :1]).double()


def removal(removed: Tensor) -> Tensor:
    """Return where in the logits the parts ``(B, P, …)`` are gone, ``(B, …)``."""
    bits = 2 ** torch.arange(removed.shape[1])
    return (removed * bits.view(1, -1, *[1] * (removed.ndim - 2))).sum(1)


def distractibility(important: Tensor, whole: Tensor, without: Tensor, present: Tensor) -> Tensor:
    r"""Return D: how much of what is irrelevant is not important; NaN if nothing is, ``(B, T)``.

    .. math:: 1 - |P(t) \cap I| / |I|, \qquad
        I = \{ q : |f(x) - f(x_{-q})| < 0.05 \, |f(x)| \ \text{or}\ f(x) < f(x_{-q}) \}

    Args:
        important: whether parts and objects of the background are, ``(B, Q, T)``.
        whole: the true class's logit on the image, ``(B,)``.
        without: the same without each part and object, ``(B, Q)``.
        present: whether there is such a part or object, ``(B, Q)``.
    """
    drop = whole[:, None] - without
    irrelevant = ((drop.abs() < NO_EFFECT * whole.abs()[:, None]) | (drop < 0)) & present
    count = irrelevant.sum(1).double()[:, None]
    wrong = (important & irrelevant[..., None]).sum(1).double()
    return torch.where(count > 0, 1 - wrong / count.clamp_min(1), torch.nan)


def background_independence(whole: Tensor, without: Tensor, present: Tensor) -> float:
    """Return BI: the share of objects of the background without which the class hardly loses.

    Args:
        whole: the true class's logit on the image, ``(B,)``.
        without: the same without each object, ``(B, K)``.
        present: whether there is such an object, ``(B, K)``.
    """
    harmed = ((whole[:, None] - without) >= NO_EFFECT * whole.abs()[:, None]) & present
    return 1 - harmed.sum().item() / present.sum().item()


def single_deletion(importances: Tensor, drops: Tensor) -> Tensor:
    r"""Return SD: rank correlation of importances with what each removal costs, in ``[0, 1]``.

    .. math:: (\rho_{\text{Spearman}} + 1) / 2

    NaN where all importances, or all costs, are equal.

    Args:
        importances: signed importances ``(B, P)``.
        drops: the true class's logit, less the one without the part, ``(B, P)``.
    """
    ranks = [
        torch.from_numpy(pd.DataFrame(values.numpy()).rank(axis=1).to_numpy(copy=True))
        for values in (importances, drops)
    ]
    a, b = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    length = a.norm(dim=1) * b.norm(dim=1)
    rho = torch.where(length > 0, (a * b).sum(1) / length.where(length > 0, 1), torch.nan)
    return (rho + 1) / 2


def rival_classes(parts: Sequence[Mapping[str, str]], own: int) -> list[tuple[int, int, Sets]]:
    """Return the pairs of classes that each share two parts with one, and not the same ones.

    Args:
        parts: for each class what its parts look like.
        own: the class.

    Returns:
        Two classes, and the parts that the first and the second share with ``own``.
    """
    names = list(parts[own])
    shared = [
        tuple(p for p, name in enumerate(names) if other[name] == parts[own][name])
        for other in parts
    ]
    two = [k for k, some in enumerate(shared) if k != own and len(some) == 2]
    return [
        (a, b, (shared[a], shared[b]))
        for a, b in itertools.combinations(two, 2)
        if not set(shared[a]) & set(shared[b])
    ]


def target_sensitivity(first: Tensor, second: Tensor, pairs: Sequence[Sets]) -> Tensor:
    r"""Return TS: whether each of two classes is explained by the parts it shares, ``(B,)``.

    .. math:: \tfrac12 \big( \mathbb 1[\mathrm{PI}_a(S_a) > \mathrm{PI}_b(S_a)] +
        \mathbb 1[\mathrm{PI}_b(S_b) > \mathrm{PI}_a(S_b)] \big)

    Args:
        first: importances in the explanation of class a, ``(B, P)``.
        second: those in the explanation of class b, ``(B, P)``.
        pairs: for each image the parts that it shares with class a, and those with class b.
    """
    difference = first - second
    scores = [
        [own[list(a)].sum() > 0, own[list(b)].sum() < 0]
        for own, (a, b) in zip(difference, pairs, strict=True)
    ]
    return torch.tensor(scores, dtype=torch.float64).view(-1, 2).mean(1)


def completeness(csdc: float, pc: float, dc: float, d: float) -> float:
    """Return Com: how completely an explanation names what matters, and only that."""
    return ((csdc + pc + dc) / 3 + d) / 2


def overall(com: float, sd: float, ts: float) -> float:
    """Return the mean of completeness, correctness (SD) and contrastivity (TS)."""
    return (com + sd + ts) / 3
