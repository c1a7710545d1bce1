"""Two classes in one picture: what a map does when it is asked for the other one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape

from torch import Tensor

from xaibook.drawings.sheet import AGAINST, FOR, NARROW, drawing, img, number
from xaibook.drawings.tiles import points
from xaicore.html import Fragment
from xaicore.plot import blend, picture

SIDE = 120
"""How wide a picture is, in pixels of the page."""

STYLE = f"""
.xc-classes {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr));
  gap: 12px 10px; }}
.xc-classes .xc-asked {{ align-self: center; font-size: 13px; }}
.xc-classes .xc-share {{ position: relative; height: 12px; margin: 4px 0 2px;
  box-shadow: inset 0 0 0 1px currentColor; display: flex; }}
.xc-share b {{ height: 100%; }}
{NARROW} {{
  .xc-classes {{ grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px; }}
  .xc-classes .xc-asked {{ grid-column: 1 / -1; display: flex; align-items: center; gap: 10px; }}
  .xc-classes .xc-asked img {{ width: 104px; }}
}}
"""


def two_classes(
    image: Tensor,
    answers: Mapping[str, Mapping[str, Tensor]],
    regions: Mapping[str, Tensor],
    alt: str,
    notes: Mapping[str, Mapping[str, str]] | None = None,
    alone: Collection[str] = (),
    credit: str = "",
) -> Fragment:
    """Draw the maps of several methods for each of two classes, a row for each class.

    Under a map stands how much of it lies on each of two regions: blue on the first, orange on the
    second; the rest of the bar lies elsewhere.

    Args:
        image: pixels ``(3, H, W)`` in ``[0, 1]``, of any size, as a flower rendered larger.
        answers: the maps ``(1, h, w)`` in ``[0, 1]`` by the name of their method, by class.
        regions: two masks ``(1, h, w)`` of the maps' size, by their names.
        alt: what the drawing shows, for readers who do not see it.
        notes: a line under a map, by the name of the method, by class.
        alone: methods whose maps are drawn as points, without the picture.
        credit: who made the photographs, where `image` is of some.

    Raises:
        ValueError: there are not two regions.
    """
    if len(regions) != 2:
        raise ValueError(f"two_classes tells two regions apart, not {len(regions)}")
    cells = []
    for asked, maps in answers.items():
        shown = img(picture(image), SIDE)
        said = f"<span>asked for <b>{escape(asked)}</b></span>"
        cells.append(f'<div class="xc-asked">{shown}{said}</div>')
        for name, saliency in maps.items():
            values = saliency.detach().float().cpu()
            over = points(values) if name in alone else blend(image, values)
            note = notes[asked][name] if notes else ""
            cells.append(_answer(name, img(over, SIDE), _shares(values, regions), note))
    columns = f"--columns: {1 + max(map(len, answers.values()))}"
    body = f'<div class="xc-classes" style="{columns}">{"".join(cells)}</div>'
    return drawing(body, STYLE, alt, credit)


def share(saliency: Tensor, region: Tensor) -> float:
    """Return how much of a map lies on a region, in per cent."""
    return 100 * float((saliency * region).sum() / saliency.sum())


def _shares(saliency: Tensor, regions: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: share(saliency, region) for name, region in regions.items()}


def _answer(name: str, shown: str, shares: Mapping[str, float], note: str) -> str:
    bars = "".join(
        f'<b style="width: {part:.4g}%; background: {ink}"></b>'
        for part, ink in zip(shares.values(), (FOR, AGAINST), strict=True)
    )
    lines = [f"{escape(region)} {number(part, 0)} %" for region, part in shares.items()]
    said = "<br>".join([*lines, *([escape(note)] if note else [])])
    return (
        f"<figure><small><b>{escape(name)}</b></small>{shown}"
        f'<div class="xc-share">{bars}</div><small>{said}</small></figure>'
    )
