"""The paired contrast, drawn: the maps of two networks on one picture, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import torch
from torch import Tensor

from xaibook.drawings.sheet import FOR, NARROW, drawing, img, number
from xaicore.html import Fragment
from xaicore.masking import upsample
from xaicore.metrics import paired_contrast, relevance_mass_accuracy
from xaicore.plot import blend, picture, pixels

STYLE = f"""
.xc-contrast {{ display: grid; gap: 14px 12px; align-items: center;
  grid-template-columns: minmax(84px, 1fr) 112px 112px 190px 96px; }}
.xc-contrast > div {{ display: contents; }}
.xc-contrast small {{ text-align: left; }}
.xc-contrast .xc-heads small + small {{ text-align: center; }}
.xc-squares {{ display: grid; grid-template-columns: auto 1fr 1fr; gap: 3px; font-size: 12px;
  align-items: center; }}
.xc-squares span {{ padding: 6px 2px; text-align: center; font-variant-numeric: tabular-nums;
  background: color-mix(in srgb, {FOR} calc(0.5 * var(--share)), transparent); }}
.xc-squares span.xc-own {{ outline: 2px solid currentColor; outline-offset: -2px; }}
.xc-contrast .xc-result b {{ display: block; font-size: 17px; }}
.xc-contrast figure {{ margin: 0; }}
{NARROW} {{
  .xc-contrast {{ display: block; }}
  .xc-contrast > .xc-heads {{ display: none; }}
  .xc-contrast > div {{ display: grid; align-items: center; gap: 2px 8px; margin-bottom: 18px;
    grid-template: "n n r" auto "a b s" auto / 84px 84px minmax(0, 1fr); }}
  .xc-name {{ grid-area: n; }}
  .xc-result {{ grid-area: r; text-align: right; }}
  .xc-contrast .xc-result > * {{ display: inline; margin-left: 6px; }}
  .xc-squares {{ grid-area: s; }}
}}
"""


def contrast(
    image: Tensor,
    maps: Mapping[str, Sequence[Tensor]],
    masks: Sequence[Tensor],
    parts: Sequence[str],
    alt: str,
) -> Fragment:
    """Draw how the maps of two networks on one picture follow the two questions asked of it.

    A row for each method: its map for either network, the share of each map on each part, and the
    paired contrast, which is half of the framed shares less the others.

    A chapter calls it as the last expression of a cell whose metadata has caption and name::

        maps = {"Edges": [edges[0], edges[0]], "Grad-CAM": [of_petals[0], of_stem[0]]}
        contrast(drawn[0], maps, [petals[0], stem[0]], ["petals", "stem"], alt="Edges give ...")

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, of any size, as a flower rendered larger.
        maps: by the name of the method the maps ``(1, h, w)`` of the two networks, in ``[0, 1]``.
        masks: the pixels ``(1, h, w)`` that decide for each network.
        parts: what the masks mark.
        alt: what the drawing shows, for readers who do not see it.

    Raises:
        ValueError: there are not two masks, two parts and two maps of each method.
    """
    for what in (masks, parts, *maps.values()):
        if len(what) != 2:
            raise ValueError(f"contrast draws two networks and two parts, not {len(what)}")
    heads = ["", *(f"network of the {part}" for part in parts), "share of a map on a part, %", ""]
    head = "".join(f"<small>{escape(text)}</small>" for text in heads)
    first = "".join(f"<figure>{img(_lit(image, mask), 112)}</figure>" for mask in masks)
    given = (
        f'<div><div class="xc-name"><small>the part that decides</small></div>{first}'
        '<div class="xc-squares"></div><div class="xc-result"></div></div>'
    )
    rows = "".join(_row(image, name, pair, masks, parts) for name, pair in maps.items())
    body = f'<div class="xc-heads">{head}</div>{given}{rows}'
    return drawing(f'<div class="xc-contrast">{body}</div>', STYLE, alt)


def shares(pair: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Return how much of each map lies on each part, ``(2 networks, 2 parts)``."""
    rows = [[relevance_mass_accuracy(m[None], part[None])[0] for part in masks] for m in pair]
    return torch.stack([torch.stack(row) for row in rows])


def _lit(image: Tensor, mask: Tensor) -> np.ndarray:
    """Return a picture in which all but a part is dark."""
    lit = upsample(mask[None].float(), image.shape[-2:])[0]
    return picture(image) * (0.15 + 0.85 * pixels(lit)[..., None])


def _row(
    image: Tensor, name: str, pair: Sequence[Tensor], masks: Sequence[Tensor], parts: Sequence[str]
) -> str:
    own = [upsample(each[None].detach().float().cpu(), image.shape[-2:])[0] for each in pair]
    pictures = "".join(f"<figure>{img(blend(image, each), 112)}</figure>" for each in own)
    found = 100 * shares(pair, masks)
    result = 100 * float(paired_contrast([m[None] for m in pair], [m[None] for m in masks])[0])
    cells = "".join(f"<small>on {escape(part)}</small>" for part in parts)
    squares = f"<small></small>{cells}"
    for network, row in enumerate(found.tolist()):
        squares += f"<small>{escape(parts[network])}</small>" + "".join(
            f'<span{" class=xc-own" * (network == part)} style="--share: {value:.0f}%">'
            f"{number(value, 0)}</span>"
            for part, value in enumerate(row)
        )
    return (
        f'<div><div class="xc-name"><b>{escape(name)}</b></div>{pictures}'
        f'<div class="xc-squares">{squares}</div>'
        f'<div class="xc-result"><small>contrast</small><b>{number(result, 1)} %</b></div></div>'
    )
