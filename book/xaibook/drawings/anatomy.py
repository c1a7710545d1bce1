"""The anatomy of a class activation map: feature maps, weights, their sum, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from xaibook.drawings.sheet import AGAINST, FOR, NARROW, drawing, img, short, signed
from xaicore.html import Fragment
from xaicore.masking import normalize, upsample
from xaicore.plot import COLORMAP, blend, picture, pixels

CHANNELS = (46, 105, 58, 6, 8, 68, 7, 45)
"""The eight channels that the book draws of the flower network (seed 0): see `eight`."""

AFTER = {
    "rectifier": ("rectified", torch.relu),
    "softmax": ("softmax", lambda total: total.flatten().softmax(0).view_as(total)),
    "nothing": ("as it is", lambda total: total),
}
"""What becomes of the sum, by name: how it is written, and the function."""

STYLE = f"""
.xc-anatomy {{ display: grid; gap: 4px; align-items: center;
  grid-template-columns: 118px 18px minmax(0, 1fr) 18px 96px 18px 118px; }}
.xc-anatomy .xc-turned {{ display: block; rotate: 90deg; }}
.xc-tiles {{ display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 8px; }}
.xc-tiles span {{ display: block; height: 7px; margin-top: 3px;
  background: linear-gradient(currentColor, currentColor) var(--zero) / 1px 100% no-repeat; }}
.xc-tiles b {{ display: block; height: 100%; margin-left: var(--from); width: var(--long);
  background: var(--ink); }}
.xc-cell {{ position: relative; overflow: hidden; }}
.xc-cell::after {{ content: ""; position: absolute; box-sizing: border-box; inset: var(--at);
  border: 2px solid #CC79A7; }}
.xc-anatomy p, .xc-spelt {{ font-size: 12px; line-height: 1.45; margin: 8px 0 0; }}
{NARROW} {{
  .xc-anatomy {{ grid-template: "p w w w w" auto "t t t t t" auto "s d m a o" auto
    / minmax(0, 1fr) 16px minmax(0, 1fr) 16px minmax(0, 1fr); gap: 10px 2px; }}
  .xc-anatomy > div {{ display: contents; }}
  .xc-anatomy > .xc-first {{ display: none; }}
  .xc-anatomy .xc-turned {{ rotate: none; }}
  .xc-anatomy .xc-p {{ grid-area: p; }}
  .xc-anatomy p {{ grid-area: w; margin: 0 0 0 10px; }}
  .xc-tiles {{ grid-area: t; }}
  .xc-anatomy .xc-s {{ grid-area: s; }}
  .xc-anatomy .xc-m {{ grid-area: m; }}
  .xc-anatomy .xc-o {{ grid-area: o; }}
}}
"""


def eight(features: Tensor, gradient: Tensor, searched: Tensor) -> tuple[int, ...]:
    """Return the eight channels to draw, by what each adds to the sum where it adds most.

    They are the first three by each of two kinds of weights, and the two that take most away.

    Args:
        features: feature maps ``(K, h, w)``.
        gradient: weights ``(K,)`` by the gradient, as of Grad-CAM.
        searched: weights ``(K,)`` that a search found, as of Opti-CAM.
    """
    largest = features.amax((1, 2))
    order = (gradient * largest).argsort(descending=True).tolist()
    first = order[:3]
    found = (searched * largest).argsort(descending=True).tolist()
    second = [k for k in found if k not in first][:3]
    last = [k for k in reversed(order) if k not in (*first, *second)][:2]
    return (*first, *second, *last)


def anatomy(
    image: Tensor,
    features: Tensor,
    weights: Tensor,
    alt: str,
    channels: Sequence[int] = CHANNELS,
    weight: str = "weight",
    after: Literal["rectifier", "softmax", "nothing"] = "rectifier",
    credit: str = "",
) -> Fragment:
    r"""Draw a map as what it is, a weighted sum of feature maps, step by step.

    From left to right: the picture; eight feature maps, each white at its largest value, which is
    printed, with a bar and a number for its weight; the sum of all, blue where it is positive,
    orange where it is negative; what becomes of it, upsampled; and that over the picture. The cell
    where the sum is largest is spelt out below.

    A chapter calls it as the last expression of a cell whose metadata has caption and name::

        seen = capture(model, images[3:4], targets[3:4])
        anatomy(
            drawn[3], seen.features[0], seen.gradient[0].mean((1, 2)), weight="mean gradient",
            alt=f"Eight feature maps of one flower ...",
        )

    With ``weight="softmax(u)"`` and ``after="nothing"`` it is Opti-CAM, with a class query for
    weights and ``after="softmax"`` it is the attention of CA-Stream.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, of any size, as a flower rendered larger.
        features: feature maps ``(K, h, w)``.
        weights: one weight for each, ``(K,)``.
        alt: what the drawing shows, for readers who do not see it.
        channels: the eight channels that are drawn; the sum is over all ``K``.
        weight: what the weights are called.
        after: what becomes of the sum: ``"rectifier"``, ``"softmax"`` over positions, or
            ``"nothing"``.
        credit: who made the photograph, where `image` is one.

    Raises:
        ValueError: there are not eight channels, or not one weight for each feature map.
    """
    features, weights = features.detach().float().cpu(), weights.detach().float().cpu()
    if len(channels) != 8 or weights.shape != features.shape[:1]:
        raise ValueError(
            f"anatomy draws eight channels, not {len(channels)}, and takes one weight for each of "
            f"{len(features)} feature maps, not weights of shape {tuple(weights.shape)}"
        )
    total = torch.einsum("k,khw->hw", weights, features)
    cell = divmod(int(total.argmax()), total.shape[1])
    said, become = AFTER[after]
    size = image.shape[-2:]
    saliency = normalize(upsample(become(total)[None, None], size))[0]
    shade = signed((total / total.abs().max()).numpy())
    steps = (
        _step("p", img(picture(image), 118), "picture"),
        f"<div>{_tiles(features, weights, channels, cell)}{_note(len(features), weight)}</div>",
        "<div>"
        + _step("s", _outlined(img(shade, 96), cell, total.shape), "sum")
        + '<i class="xc-turned">→</i>'
        + _step("m", img(_coloured(saliency), 96), said)
        + "</div>",
        _step("o", img(blend(image, saliency), 118), "over the picture"),
    )
    first, second, third = ('<i class="xc-first">→</i>',) * 2 + ("<i>→</i>",)
    body = f"{steps[0]}{first}{steps[1]}{second}{steps[2]}{third}{steps[3]}"
    spelt = _spelt(features, weights, channels, cell)
    return drawing(f'<div class="xc-anatomy">{body}</div>{spelt}', STYLE, alt, credit)


def _step(name: str, shown: str, said: str) -> str:
    return f'<figure class="xc-{name}">{shown}<small>{said}</small></figure>'


def _coloured(saliency: Tensor) -> np.ndarray:
    return mpl.colormaps[COLORMAP](pixels(saliency))[..., :3]


def _outlined(shown: str, cell: tuple[int, int], shape: Sequence[int]) -> str:
    """Return a picture of cells in which one is outlined."""
    (y, x), (rows, columns) = cell, shape
    sides = y / rows, 1 - (x + 1) / columns, 1 - (y + 1) / rows, x / columns
    inset = " ".join(f"{100 * side:.4g}%" for side in sides)
    return f'<div class="xc-cell" style="--at: {inset}">{shown}</div>'


def _tiles(
    features: Tensor, weights: Tensor, channels: Sequence[int], cell: tuple[int, int]
) -> str:
    """Return the eight feature maps, each with a bar and a number for its weight."""
    chosen = list(channels)
    low, high = min(0.0, float(weights[chosen].min())), max(0.0, float(weights[chosen].max()))
    tiles = []
    for k in chosen:
        largest = float(features[k].max())
        grey = (features[k] / (largest or 1))[..., None].expand(-1, -1, 3).numpy()
        tiles.append(
            f"<div>{_outlined(img(grey, 60), cell, features.shape[1:])}"
            f"{_bar(float(weights[k]), low, high)}<small>{short(float(weights[k]))}</small>"
            f"<small>≤ {short(largest)}</small></div>"
        )
    return f'<div class="xc-tiles">{"".join(tiles)}</div>'


def _bar(weight: float, low: float, high: float) -> str:
    """Return a bar from zero to a weight, on a scale from `low` to `high`."""
    zero, start, end = (100 * (x - low) / (high - low) for x in (0, min(0, weight), max(0, weight)))
    ink = FOR if weight > 0 else AGAINST
    style = f"--zero: {zero:.4g}%; --from: {start:.4g}%; --long: {end - start:.4g}%; --ink: {ink}"
    return f'<span style="{style}"><b></b></span>'


def _note(count: int, weight: str) -> str:
    return (
        f"<p>8 of {count} feature maps. The bar is the weight ({escape(weight)}); "
        "white is the largest value of each map, which stands below.</p>"
    )


def _spelt(
    features: Tensor, weights: Tensor, channels: Sequence[int], cell: tuple[int, int]
) -> str:
    """Return the sum of the outlined cell, product by product."""
    values = features[:, *cell]
    products = " + ".join(f"{_factor(weights[k])} × {short(float(values[k]))}" for k in channels)
    total = float(weights @ values)
    rest = total - float(weights[list(channels)] @ values[list(channels)])
    return (
        f'<p class="xc-spelt">The outlined cell: {products} + {_factor(rest)} '
        f"(the other {len(features) - 8}) = <b>{short(total)}</b>.</p>"
    )


def _factor(value: float | Tensor) -> str:
    text = short(float(value))
    return f"({text})" if text.startswith("−") else text
