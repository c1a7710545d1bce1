"""What every drawing is made of: small pictures, numbers, and a sheet that knows its width."""

from __future__ import annotations

import base64
import io
import math
from html import escape

import numpy as np
from PIL import Image

from xaicore.html import Fragment, typeset

FOR, AGAINST = "#0072B2", "#D55E00"
"""What counts for the class is blue, what counts against it is orange."""

NARROW = "@container (max-width: 560px)"
"""When the narrow layout holds."""

BASE = """
.xc-drawing { container-type: inline-size; font: 13px/1.35 system-ui, sans-serif; color: inherit; }
.xc-drawing figure { margin: 0; }
.xc-drawing img { display: block; width: 100%; aspect-ratio: 1; height: auto; margin: 0; }
.xc-drawing small { display: block; font-size: 12px; text-align: center; }
.xc-drawing i { font-style: normal; font-size: 20px; text-align: center; align-self: center; }
.xc-drawing .xc-cells { image-rendering: pixelated; }
"""


def drawing(body: str, style: str, alt: str, credit: str = "") -> Fragment:
    """Return a drawing as a piece of a page.

    Args:
        body: its HTML.
        style: what lays it out, beside what all drawings share.
        alt: what it shows, for readers who do not see it; it is also the plain text.
        credit: who made the photograph in it, as `xaibook.photographs` states it.
    """
    below = f'<p class="xc-credit">Photograph, cut and drawn over: {credit}.</p>' if credit else ""
    html = (
        f"<style>{BASE}{style}</style>"
        f'<div class="xc-drawing" role="img" aria-label="{escape(alt)}">{body}</div>{below}'
    )
    return Fragment(html, alt)


def img(pixels: np.ndarray, side: int) -> str:
    """Return a picture ``(H, W, 3)`` in ``[0, 1]``, for a square of `side` pixels of the page.

    One that is smaller than the square keeps its pixels and shows them; a larger one is JPEG of
    two pixels for each of the page.
    """
    image = Image.fromarray((255 * pixels).round().clip(0, 255).astype("uint8"))
    small = max(image.size) < side
    buffer = io.BytesIO()
    if small:
        image.save(buffer, "png", optimize=True)
    else:
        image.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
        image.save(buffer, "jpeg", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind, shown = ("png", ' class="xc-cells"') if small else ("jpeg", "")
    return f'<img src="data:image/{kind};base64,{data}" alt=""{shown}>'


def signed(values: np.ndarray) -> np.ndarray:
    """Return values ``(H, W)`` in ``[-1, 1]`` as colours: blue above zero, orange below."""
    ends = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c in (FOR, AGAINST)]
    weight = np.abs(values)[..., None]
    return (1 - weight) + weight * np.where(values[..., None] > 0, *ends)


def number(value: float, decimals: int) -> str:
    """Return a number with so many decimals and the minus of pages."""
    return typeset(float(value), f".{decimals}f")


def short(value: float, digits: int = 2) -> str:
    """Return a number of so many digits, of four decimals at most; 0 if none is left of it."""
    size = abs(float(value))
    decimals = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
    return number(value, min(decimals, 4)) if size >= 0.00005 else "0"
