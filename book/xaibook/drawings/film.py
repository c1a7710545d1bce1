"""Insertion and deletion as a film: what the network sees along each curve, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import torch
from torch import Tensor

from xaibook.drawings.sheet import FOR, NARROW, drawing, img, number
from xaicore.html import Fragment
from xaicore.plot import picture

SHARES = (0, 5, 10, 20, 50, 100)
"""The frames that are shown, by the share of the pixels that have come or gone, in per cent."""

INKS = (FOR, "#7F7F7F")
DASHES = ("none", "3 2")
WIDTH, HEIGHT = 688, 130
"""Of a curve, in its own units."""

STYLE = f"""
.xc-film .xc-title {{ font: 600 13px/1.4 system-ui, sans-serif; margin: 14px 0 4px;
  color: inherit; }}
.xc-film svg {{ display: block; width: 100%; height: 130px; overflow: visible; }}
.xc-reel {{ display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 4px 8px;
  margin-bottom: 6px; }}
.xc-reel > b {{ grid-column: 1 / -1; font-size: 12px; font-weight: 600; margin-top: 4px; }}
.xc-reel > b::before {{ content: ""; display: inline-block; width: 22px; margin-right: 6px;
  border-top: 3px var(--dash) var(--ink); vertical-align: middle; }}
{NARROW} {{ .xc-reel {{ grid-template-columns: repeat(3, minmax(0, 1fr)); }} }}
"""


def film(
    image: Tensor,
    maps: Mapping[str, Tensor],
    curves: Mapping[str, Sequence[Tensor]],
    ends: tuple[Tensor, Tensor],
    alt: str,
) -> Fragment:
    """Draw the insertion and the deletion curve of two maps of a picture, with frames under them.

    Under a frame stand the share of the pixels that have come (insertion) or gone (deletion), and
    the probability of the class. The frames are the pixels that the network receives.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, as the network takes them.
        maps: two maps ``(1, H, W)``, by their names.
        curves: for each map the probabilities ``(n + 1,)`` along insertion and along deletion.
        ends: the pixels that insertion starts from, and those that deletion ends with.
        alt: what the drawing shows, for readers who do not see it.

    Raises:
        ValueError: there are not two maps, or the number of steps does not meet every frame.
    """
    if len(maps) != 2 or set(maps) != set(curves):
        raise ValueError(f"film compares two maps by their curves, not {list(maps)}")
    check_steps(curves)
    parts = []
    for kind, (title, verb) in enumerate((("Insertion", "come"), ("Deletion", "gone"))):
        lines = {name: pair[kind] for name, pair in curves.items()}
        first, last = (ends[0], image) if kind == 0 else (image, ends[1])
        rows = "".join(
            _row(name, place, _frames(first, last, maps[name]), line, verb)
            for place, (name, line) in enumerate(lines.items())
        )
        over = f"{title}: probability, 0 to 1, over the pixels {verb}, 0 to 100 %"
        head = f'<p class="xc-title">{over}</p>'
        parts.append(f"{head}{_plot(list(lines.values()))}{rows}")
    return drawing(f'<div class="xc-film">{"".join(parts)}</div>', STYLE, alt)


def check_steps(curves: Mapping[str, Sequence[Tensor]]) -> None:
    """Raise `ValueError` where the steps of a curve do not meet every frame."""
    steps = {len(line) - 1 for pair in curves.values() for line in pair}
    if any(n % 20 for n in steps):
        raise ValueError(f"frames lie at multiples of 5 %: steps must be 20 n, not {steps}")


def frame(first: Tensor, last: Tensor, saliency: Tensor, share: float) -> Tensor:
    """Return a picture in which the most salient pixels have been exchanged for those of another.

    Args:
        first: pixels ``(3, H, W)``.
        last: pixels ``(3, H, W)``.
        saliency: the map ``(1, H, W)``; of equal pixels the last is first, as in the curves.
        share: how many pixels are those of `last`, in per cent.
    """
    order = saliency.flatten().argsort(stable=True).flip(0)
    exchanged = torch.zeros(len(order), dtype=torch.bool)
    exchanged[order[: int(share * len(order) // 100)]] = True
    return torch.where(exchanged.view(saliency.shape), last, first)


def _frames(first: Tensor, last: Tensor, saliency: Tensor) -> list[Tensor]:
    return [frame(first, last, saliency, share) for share in SHARES]


def _row(name: str, place: int, frames: list[Tensor], line: Tensor, verb: str) -> str:
    steps = len(line) - 1
    tiles = "".join(
        f"<figure>{img(picture(shown), 100)}<small>{share} % {verb}<br>"
        f"p = {number(float(line[share * steps // 100]), 2)}</small></figure>"
        for shown, share in zip(frames, SHARES, strict=True)
    )
    style = f"--ink: {INKS[place]}; --dash: {'dashed' if place else 'solid'}"
    return f'<div class="xc-reel"><b style="{style}">{escape(name)}</b>{tiles}</div>'


def _plot(lines: list[Tensor]) -> str:
    """Return curves over the share of the pixels, with a dot for each frame."""
    drawn = []
    for line, ink, dash in zip(lines, INKS, DASHES, strict=True):
        steps = len(line) - 1
        points = [(WIDTH * k / steps, HEIGHT * (1 - float(p))) for k, p in enumerate(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2" '
            f'stroke-dasharray="{dash}" vector-effect="non-scaling-stroke"/>'
        )
        for share in SHARES:
            x, y = points[share * steps // 100]
            drawn.append(
                f'<path d="M{x:.1f},{y:.1f}h0" stroke="{ink}" stroke-width="8" '
                'stroke-linecap="round" vector-effect="non-scaling-stroke"/>'
            )
    axes = f'<path d="M0,0V{HEIGHT}H{WIDTH}" fill="none" stroke="currentColor" stroke-width="1" '
    axes += 'vector-effect="non-scaling-stroke"/>'
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true"'
    return f"<svg {box}>{axes}{''.join(drawn)}</svg>"
