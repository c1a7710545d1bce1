"""A relevant feature, drawn: the few channels that tell a class, and what each responds to."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from torch import Tensor

from xaibook.drawings.sheet import AGAINST, FOR, NARROW, drawing, img, number
from xaicore.html import Fragment
from xaicore.plot import picture

STYLE = f"""
.xc-relevant svg {{ display: block; width: 100%; overflow: visible; }}
.xc-relevant line {{ vector-effect: non-scaling-stroke; stroke: currentColor; }}
.xc-relevant .xc-layers {{ display: flex; }}
.xc-relevant .xc-layers small {{ border-left: 1px solid currentColor; padding-left: 3px;
  text-align: left; min-width: 0; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }}
.xc-rows {{ display: grid; grid-template-columns: 64px 150px minmax(0, 1fr); gap: 10px 12px;
  align-items: center; margin-top: 14px; }}
.xc-rows > div {{ display: contents; }}
.xc-rows figure {{ margin: 0; }}
.xc-rows small {{ text-align: left; }}
{NARROW} {{
  .xc-relevant .xc-layers small {{ font-size: 9px; }}
  .xc-rows {{ grid-template-columns: 56px minmax(0, 1fr); gap: 2px 10px; }}
  .xc-rows figure {{ grid-row: span 2; margin-top: 10px; }}
  .xc-rows small {{ margin-top: 10px; }}
}}
"""


def relevant(
    x: Tensor,
    weights: Tensor,
    of_class: Tensor,
    layers: Mapping[str, int],
    pieces: Mapping[int, Tensor],
    colour: str,
    alt: str,
) -> Fragment:
    """Draw which features tell a class, and how pictures of the class and others excite them.

    On top a tick for each channel, in the order of the layers, as high as its weight. Below, for
    each of the channels that have a piece, what it responds to and a stroke for each picture at
    the channel's response: pictures of the class above, others below.

    Args:
        x: the responses of pictures, ``(n, m)``.
        weights: the weights of a class, ``(m,)``, none negative.
        of_class: which pictures are of the class, ``(n,)``.
        layers: the layers in order, with the number of their channels.
        pieces: what a channel responds to, pixels ``(3, h, w)``, by the channel's row.
        colour: what pictures of the class are called.
        alt: what the drawing shows, for readers who do not see it.

    Raises:
        ValueError: the channels of the layers are not those of the responses.
    """
    if not sum(layers.values()) == x.shape[1] == len(weights):
        raise ValueError(
            f"{sum(layers.values())} channels in layers, {x.shape[1]} in x and {len(weights)} "
            "weights: they must be as many"
        )
    rows = "".join(
        _row(_named(layers, row), piece, x[:, row], of_class, colour)
        for row, piece in pieces.items()
    )
    body = f"{_ticks(weights, layers)}{rows and f'<div class=xc-rows>{rows}</div>'}"
    return drawing(f'<div class="xc-relevant">{body}</div>', STYLE, alt)


def told_apart(responses: Tensor, of_class: Tensor) -> float:
    """Return in what share of pairs the picture of the class responds more; equals count half."""
    own, others = responses[of_class], responses[~of_class]
    higher = (own[:, None] > others).double() + 0.5 * (own[:, None] == others).double()
    return higher.mean().item()


def _named(layers: Mapping[str, int], row: int) -> str:
    for name, channels in layers.items():
        if row < channels:
            return f"{name}, channel {row}"
        row -= channels
    raise AssertionError("rows are counted")


def _ticks(weights: Tensor, layers: Mapping[str, int]) -> str:
    """Return a tick for each channel, as high as its weight, over the names of the layers."""
    highest, count = float(weights.max()) or 1.0, len(weights)
    lines = "".join(
        f'<line x1="{i + 0.5}" x2="{i + 0.5}" y1="100" y2="{100 - 96 * float(w) / highest:.4g}" '
        f'style="stroke: {FOR}; stroke-width: 3px"/>'
        if w > 0
        else f'<line x1="{i + 0.5}" x2="{i + 0.5}" y1="100" y2="97" style="opacity: 0.4"/>'
        for i, w in enumerate(weights.tolist())
    )
    names = "".join(
        f'<small style="flex: {channels} 0 0">{escape(name)}</small>'
        for name, channels in layers.items()
    )
    return (
        f'<svg viewBox="0 0 {count} 100" height="110" preserveAspectRatio="none">{lines}</svg>'
        f'<div class="xc-layers">{names}</div>'
    )


def _row(name: str, piece: Tensor, responses: Tensor, of_class: Tensor, colour: str) -> str:
    share = 100 * told_apart(responses, of_class)
    return (
        f"<div><figure>{img(picture(piece), 64)}</figure>"
        f"<small>{escape(name)}<br>higher in <b>{number(share, 0)} %</b> of pairs</small>"
        f"{_strokes(responses, of_class, colour)}</div>"
    )


def _strokes(responses: Tensor, of_class: Tensor, colour: str) -> str:
    """Return a stroke for each picture: those of the class in the upper half."""
    highest = float(responses.max()) or 1.0
    lines = []
    for belongs, (start, end), ink in ((True, (2, 24), AGAINST), (False, (28, 50), "currentColor")):
        for value in (responses[of_class == belongs] / highest).tolist():
            place = f'x1="{100 * value:.4g}" x2="{100 * value:.4g}"'
            lines.append(
                f'<line {place} y1="{start}" y2="{end}" style="stroke: {ink}; opacity: 0.35"/>'
            )
    return (
        '<svg viewBox="0 0 100 52" height="52" preserveAspectRatio="none" role="img" '
        f'aria-label="responses: {escape(colour)} above, others below">{"".join(lines)}</svg>'
    )
