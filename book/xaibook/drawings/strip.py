"""The masking test as a strip: what a map keeps of a picture, and of its probability."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import matplotlib as mpl
import torch
from torch import Tensor

from xaibook.drawings.sheet import AGAINST, FOR, NARROW, drawing, img, number
from xaicore.html import Fragment
from xaicore.masking import upsample
from xaicore.metrics.faithfulness import average_drop, average_gain, average_increase
from xaicore.plot import COLORMAP, picture, pixels

STYLE = f"""
.xc-strip {{ display: grid; gap: 12px 14px; align-items: center;
  grid-template-columns: 96px 96px minmax(0, 1fr) 92px; }}
.xc-strip > div {{ display: contents; }}
.xc-strip small {{ text-align: left; }}
.xc-strip .xc-bar {{ position: relative; height: 40px; margin: 4px 6px 0; }}
.xc-bar s {{ position: absolute; top: 15px; height: 10px; box-sizing: border-box; }}
.xc-bar s.xc-all {{ left: 0; right: 0; border: 1px solid currentColor; }}
.xc-bar s.xc-left {{ background: color-mix(in srgb, currentColor 35%, transparent); }}
.xc-bar s.xc-drop {{ background: {AGAINST}; }}
.xc-bar s.xc-gain {{ background: {FOR}; }}
.xc-bar em {{ position: absolute; width: 2px; height: 18px; margin-left: -1px; font-size: 12px;
  line-height: 11px; background: currentColor; }}
.xc-bar em b {{ position: absolute; left: -20px; width: 42px; text-align: center;
  font-weight: 400; }}
.xc-bar em.xc-p {{ top: 11px; }} .xc-bar em.xc-p b {{ bottom: 100%; }}
.xc-bar em.xc-o {{ top: 11px; }} .xc-bar em.xc-o b {{ top: 100%; }}
.xc-strip .xc-figures {{ font-variant-numeric: tabular-nums; }}
{NARROW} {{
  .xc-heads small:last-child {{ display: none; }}
  .xc-strip {{ grid-template-columns: 92px 92px minmax(0, 1fr); gap: 14px 10px; }}
  .xc-strip > div > figure {{ grid-row: span 2; }}
  .xc-strip > div > .xc-line {{ align-self: end; }}
  .xc-strip > div > .xc-figures {{ align-self: start; margin-top: -10px; }}
}}
"""


def masking_strip(
    image: Tensor,
    maps: Mapping[str, Tensor],
    p: Tensor | float,
    o: Tensor,
    alt: str,
    credit: str = "",
) -> Fragment:
    r"""Draw the test of keeping what a map shows, a row for each map of one picture.

    In a row stand the map, the picture times the map, and a line from 0 to 1 with the probability
    before (:math:`p`, above) and after (:math:`o`, below). What is lost is orange, a share of all
    that lies left of :math:`p`: the drop. What is gained is blue, a share of what lies right of it:
    the gain. AD, AG and AI of this picture stand beside it.

    A chapter calls it as the last expression of a cell whose metadata has caption and name::

        maps = {"Fake-CAM": fake[i], "Grad-CAM": grad_cam[i], "the flower": head[i]}
        same = images[i : i + 1].expand(len(maps), -1, -1, -1)
        p, o = xc.confidence(model, same, torch.stack([*maps.values()]), int(targets[i]))
        masking_strip(drawn[i], maps, p[0], o, alt=f"... from {p[0]:.2f} to {o[0]:.2f} ...")

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, of any size, as a flower rendered larger.
        maps: each map ``(1, h, w)`` in ``[0, 1]``, by its name.
        p: the probability of the class on the picture.
        o: that on the picture times each map, ``(maps,)``.
        alt: what the drawing shows, for readers who do not see it.
        credit: who made the photograph, where `image` is one.

    Raises:
        ValueError: there is not one value of `o` for each map.
    """
    if o.shape != (len(maps),):
        raise ValueError(f"o needs one value for each of {len(maps)} maps, not {tuple(o.shape)}")
    after = o.double().cpu()
    before = torch.full_like(after, float(p))
    measures = (average_drop, average_gain, average_increase)
    found = torch.stack([measure(before, after) for measure in measures], dim=1)
    rows = [
        _row(image, name, saliency, float(p), float(kept), figures.tolist())
        for (name, saliency), kept, figures in zip(maps.items(), after, found, strict=True)
    ]
    heads = ("map", "picture × map", "probability of the class", "this picture")
    head = "".join(f"<small>{text}</small>" for text in heads)
    body = f'<div class="xc-heads">{head}</div>{"".join(rows)}'
    return drawing(f'<div class="xc-strip">{body}</div>', STYLE, alt, credit)


def _row(
    image: Tensor, name: str, saliency: Tensor, p: float, o: float, figures: list[float]
) -> str:
    saliency = upsample(saliency[None].detach().float().cpu(), image.shape[-2:])[0]
    coloured = mpl.colormaps[COLORMAP](pixels(saliency))[..., :3]
    kept = picture(image) * pixels(saliency)[..., None]
    pictures = "".join(f"<figure>{img(shown, 96)}</figure>" for shown in (coloured, kept))
    drop, gain, increase = figures
    said = (
        f"AD {number(100 * drop, 1)} %<br>AG {number(100 * gain, 1)} %"
        f"<br>AI {'yes' if increase else 'no'}"
    )
    return (
        f'<div>{pictures}<div class="xc-line"><small><b>{escape(name)}</b><br>'
        f"p {number(p, 2)} → o {number(o, 2)}</small>{_line(p, o)}</div>"
        f'<div class="xc-figures">{said}</div></div>'
    )


def _line(p: float, o: float) -> str:
    """Return the line from 0 to 1: what is left of p, what was lost or gained, and two ticks."""
    change = "drop" if o < p else "gain"
    parts = (("left", 0, min(p, o)), (change, min(p, o), max(p, o)))
    bars = "".join(
        f'<s class="xc-{name}" style="left: {100 * a:.4g}%; width: {100 * (b - a):.4g}%"></s>'
        for name, a, b in parts
    )
    ticks = "".join(
        f'<em class="xc-{name}" style="left: {100 * at:.4g}%"><b>{name}</b></em>'
        for name, at in (("p", p), ("o", o))
    )
    return f'<div class="xc-bar">{bars}<s class="xc-all"></s>{ticks}</div>'
