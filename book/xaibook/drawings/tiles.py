"""Pictures in rows under a heading, each with a line of text, that re-flow on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import matplotlib as mpl
import numpy as np
from torch import Tensor

from xaibook.drawings.sheet import NARROW, drawing, img
from xaicore.html import Fragment
from xaicore.plot import COLORMAP, pixels

STYLE = f"""
.xc-rows {{ display: grid; gap: 8px 10px;
  grid-template-columns: repeat(var(--wide), minmax(0, 1fr)); }}
.xc-rows > b {{ grid-column: 1 / -1; font-size: 13px; font-weight: 600; margin-top: 6px; }}
{NARROW} {{ .xc-rows {{ grid-template-columns: repeat(var(--narrow), minmax(0, 1fr)); }} }}
"""


def tiles(
    rows: Mapping[str, Sequence[tuple[np.ndarray, str]]],
    alt: str,
    columns: tuple[int, int] = (6, 3),
    side: int = 110,
    credit: str = "",
) -> Fragment:
    """Draw pictures, each over a line or two of text, row by row.

    Args:
        rows: pictures ``(H, W, 3)`` in ``[0, 1]`` and their texts, by the heading of their row.
        alt: what the drawing shows, for readers who do not see it.
        columns: how many pictures stand side by side, on a wide page and on a phone.
        side: how wide a picture is, in pixels of the page.
        credit: who made the photographs in it.
    """
    parts = []
    for heading, pictures in rows.items():
        parts += [f"<b>{escape(heading)}</b>"] if heading else []
        for shown, text in pictures:
            said = "<br>".join(map(escape, text.split("\n")))
            parts.append(f"<figure>{img(shown, side)}<small>{said}</small></figure>")
    style = f"--wide: {columns[0]}; --narrow: {columns[1]}"
    return drawing(
        f'<div class="xc-rows" style="{style}">{"".join(parts)}</div>', STYLE, alt, credit
    )


def points(saliency: Tensor) -> np.ndarray:
    """Return a map ``(1, H, W)`` of a few bright points alone, as its square root, in colour."""
    return mpl.colormaps[COLORMAP](pixels(saliency.sqrt()))[..., :3]
