"""Figures as SVG: type stays type, pictures in it stay small, and the ink is that of the page."""

from __future__ import annotations

import base64
import io
import math
import re
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from xaicore.html import DOTS, LEGIBLE, QUALITY

LONGEST = 900_000
"""Letters of the longest SVG that is shown; a figure of more is drawn as pixels."""

SMALL = 48
"""Pixels of the longer side up to which a picture keeps every one: it is shown enlarged."""

SCALE = 1.4
"""Pixels of the page for a point of a figure that is not too wide for it."""

INK = 0x26
"""The grey that the book's figures write with: it, and what is darker, is the page's ink."""

GROUND = "var(--pst-color-background, white)"

_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_GREY = re.compile(r"#([0-9a-f]{2})\1\1\b")
_TEXT = re.compile(r"<text.*?</text>", re.DOTALL)
_SIZE = re.compile(r"font(?:-size)?: ?(?:\w+ )*([\d.]+)px")
_NAME = re.compile(r'( id="|url\(#|href="#)([\w-]+)')


def svg(figure: Figure) -> str:
    """Draw a figure as SVG that depends on the drawing alone: type is type, pictures are JPEG.

    A picture stays PNG where that is smaller, as that of a coarse map is, or where it has few
    pixels.
    """
    buffer = io.StringIO()
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "figure", "image.composite_image": False}
    ):
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", dpi=DOTS, bbox_inches="tight", metadata=unsaid)
    return _PICTURE.sub(_smaller, buffer.getvalue())


def inline(drawn: str, alt: str, prefix: str) -> str:
    """Return an SVG as a part of a page, in the page's ink and on its ground.

    White becomes the page's ground, greys become shares of its ink, colours stay. Where there is no
    room to draw it so large that its type can be read, it is scrolled.

    Args:
        drawn: what `svg` returns.
        alt: what it shows, for readers who do not see it.
        prefix: what sets its names apart from those of the page's other figures.
    """
    width, height = size(drawn)
    start = re.search(r"<svg[^>]*>", drawn)
    if start is None:
        raise ValueError("drawn is no SVG: it has no <svg> element")
    body = re.sub(r"<style.*?</style>", "", drawn[start.end() :], flags=re.DOTALL)
    used = {name for place, name in _NAME.findall(body) if place != ' id="'}
    body = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", body)
    body = _NAME.sub(lambda m: f"{m[1]}{prefix}-{m[2]}" if m[2] in used else m[0], body)
    return (
        '<div class="xc-scrolled"><svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="{escape(alt)}" '
        f'width="{SCALE * width:.0f}" height="{SCALE * height:.0f}" '
        f'viewBox="0 0 {width} {height}" style="--legible: {least_width(drawn)}px">'
        f"{_GREY.sub(_ink, body)}</div>"
    )


def size(drawn: str) -> tuple[float, float]:
    """Return the width and the height of an SVG in its own units, points."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    if found is None:
        raise ValueError("drawn is no SVG of a figure: it has no viewBox")
    return float(found[1]), float(found[2])


def least_width(drawn: str) -> int:
    """Return the least width of an SVG on a page, in pixels, at which its type can be read.

    An exponent is smaller than what it stands by, which is what counts.
    """
    texts = [[float(size) for size in _SIZE.findall(text)] for text in _TEXT.findall(drawn)]
    sizes = [max(found) for found in texts if found]
    return math.ceil(LEGIBLE * size(drawn)[0] / min(sizes)) if sizes else 0


def _smaller(found: re.Match[str]) -> str:
    """Return a picture as JPEG where that is smaller and hides nothing, else without loss."""
    data = base64.b64decode(found[1])
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    forms = {"png": data}
    if image.getchannel("A").getextrema() == (255, 255):
        forms["png"] = min(data, _saved(image, "png"), key=len)
        if max(image.size) > SMALL:
            forms["jpeg"] = _saved(image, "jpeg", quality=QUALITY)
    kind = min(forms, key=lambda kind: len(forms[kind]))
    return f"data:image/{kind};base64,{base64.b64encode(forms[kind]).decode()}"


def _saved(image: Image.Image, kind: str, **settings: int) -> bytes:
    """Return an opaque picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind, optimize=True, **settings)
    return buffer.getvalue()


def _ink(found: re.Match[str]) -> str:
    """Return a grey as a share of the page's ink on the page's ground."""
    share = min(1.0, (0xFF - int(found[1], 16)) / (0xFF - INK))
    if share in {0, 1}:
        return "currentColor" if share else GROUND
    return f"color-mix(in srgb, currentColor {100 * share:.0f}%, {GROUND})"
