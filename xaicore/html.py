"""Tables and pictures as HTML: read aloud, scrolled on a phone, downloaded, without a kernel."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

QUALITY, WEBP_QUALITY = 82, 75
"""Of JPEG and of WebP: what a picture loses by it is not seen."""

DOTS = 170
"""The resolution of figures, in pixels an inch: two for each of a page."""

LEGIBLE = 9
"""The smallest type that a page shows, in its pixels."""

BETWEEN = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
"""What stands between a value and its half-width."""


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML for a notebook to show, with plain text for everything else."""

    html: str = field(repr=False)
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        """Return the plain text."""
        return self.text


def table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    formats: str | Mapping[str, str] = ".2f",
    links: Sequence[str] = (),
    sortable: bool = False,
    compact: bool = False,
    rivals: Sequence[bool] = (),
) -> Fragment:
    """Show a table that can be read aloud, scrolled on a phone and downloaded as CSV.

    The first column names the rows. A named index becomes the leading columns; an unnamed default
    index is not shown. The CSV holds six significant digits.

    Args:
        frame: The values, one flat header.
        name: Name of the downloaded file, without its extension; also the table's HTML id.
        caption: One sentence that says what the table shows.
        formats: Format specification of floats, for all columns or per column name.
        links: Where the name of each row leads; such a table is of prose, and lines may be broken.
        sortable: Whether the page lets its reader sort by a column and narrow the rows.
        compact: Whether a half-width, in a column "± metric", stands in the cell of its metric,
            and the best of each column with an arrow is bold: of the rows that share all names
            but the last. The CSV keeps the columns.
        rivals: Which rows compete for the best; all, if nothing is said.

    Returns:
        The table with its download link.

    Raises:
        ValueError: If a header is empty or has several levels, a row has no name, or there is not
            one link per row.
    """
    best = _best(frame, [*rivals] or [True] * len(frame)) if compact else {}
    frame = _flat(frame)
    by_column = dict.fromkeys(frame, formats) if isinstance(formats, str) else formats
    shown = {c: [_cell_text(v, by_column.get(c, ".2f")) for v in frame[c]] for c in frame}
    if compact:
        shown = _folded(shown)
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in shown]
    kinds = [' class="number"' if n else "" for n in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{escape(str(column))}</th>'
        for column, kind in zip(shown, kinds, strict=True)
    )
    texts = [_bold(map(escape, cells), best.get(column)) for column, cells in shown.items()]
    leading = texts[0]
    if links:
        pairs = zip(leading, links, strict=True)
        leading = [f'<a href="{escape(link)}">{text}</a>' for text, link in pairs]
    rows = "".join(
        f'<tr><th scope="row"{kinds[0]}>{first}</th>'
        + "".join(f"<td{k}>{v}</td>" for k, v in zip(kinds[1:], rest, strict=True))
        + "</tr>\n"
        for first, *rest in zip(leading, *texts[1:], strict=True)
    )
    classes = "xc-table" + " xc-prose" * bool(links) + " xc-sortable" * sortable
    csv = quote(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    html = (
        f'<div class="{classes}" id="{escape(name)}">'
        f'<div class="xc-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
        f'<a class="xc-csv" download="{escape(name)}.csv" '
        f'href="data:text/csv;charset=utf-8,{csv}">Download as CSV</a></div>'
    )
    return Fragment(html, f"{caption}\n{frame.to_string(index=False)}")


def picture(figure: Figure, caption: str, alt: str) -> Fragment:
    """Show a figure that another page may show as well, through ``glue``.

    Args:
        figure: The figure; it is closed.
        caption: What stands below it.
        alt: What it shows, for readers who do not see it.
    """
    from matplotlib import pyplot as plt

    image = image_of(figure, alt)
    plt.close(figure)
    return Fragment(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>", alt)


def typeset(value: Any, fmt: str) -> str:
    """Return a value as the pages show it: a number has a minus, where Python has a hyphen."""
    text = format(value, fmt)
    return text.replace("-", "−") if isinstance(value, Real) else text


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a named index as columns, or refuse it in words."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    elif not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("the rows of frame have no header: set frame.index.name or reset_index()")
    if frame.columns.nlevels > 1 or not all(str(c).strip() for c in frame.columns):
        raise ValueError("frame needs one non-empty header per column; rename or flatten them")
    if frame.empty:
        raise ValueError("frame is empty: there is nothing to show")
    return frame


def _folded(shown: Mapping[Any, list[str]]) -> dict[Any, list[str]]:
    """Return texts by column, those of a half-width in the cells of its metric."""
    hosts = {str(column).rstrip(" ↑↓"): column for column in shown}
    folded = dict(shown)
    for column in shown:
        host = hosts.get(str(column).removeprefix("± "))
        if host not in (None, column):
            pairs = zip(folded[host], folded.pop(column), strict=True)
            folded[host] = [
                f"{value}{BETWEEN}{half}".removesuffix(f"{BETWEEN}–") for value, half in pairs
            ]
    return folded


def _best(frame: pd.DataFrame, rivals: Sequence[bool]) -> dict[Any, pd.Series]:
    """Return which rows hold the best value of a column whose header ends in an arrow."""
    several = frame.index.nlevels > 1
    outer = pd.factorize(frame.index.droplevel(-1))[0] if several else [0] * len(frame)
    found = {}
    for column in frame:
        extreme = {"↑": "max", "↓": "min"}.get(str(column)[-1:])
        if extreme:
            values = frame[column].where(rivals)
            found[column] = values == values.groupby(outer).transform(extreme)
    return found


def _bold(cells: Iterable[str], marked: Iterable[bool] | None) -> list[str]:
    if marked is None:
        return list(cells)
    return [f"<b>{text}</b>" if best else text for text, best in zip(cells, marked, strict=True)]


def _cell_text(value: object, fmt: str) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    return typeset(value, fmt if isinstance(value, float) else "")


def image_of(figure: Figure, alt: str) -> str:
    """Draw a figure as an image of a page, scrolled where its type would be too small to read."""
    legible = f"--legible: {least_width(figure)}px"
    image = f'<img src="{embedded(figure)}" alt="{escape(alt)}" style="{legible}">'
    return f'<div class="xc-scrolled">{image}</div>'


def least_width(figure: Figure) -> int:
    """Return the least width on a page, in pixels, at which a figure's type can be read."""
    written = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text())
    smallest = min((float(text.get_fontsize()) for text in written), default=math.inf)
    return math.ceil(LEGIBLE * 72 * figure.get_tightbbox().width / smallest)


def embedded(figure: Figure) -> str:
    """Draw a figure as a data URI whose bytes depend on the drawing alone; pictures as WebP."""
    if of_pictures(figure):
        return "data:image/webp;base64," + base64.b64encode(webp(figure)).decode()
    return "data:image/png;base64," + base64.b64encode(png(figure)).decode()


def of_pictures(figure: Figure) -> bool:
    """Whether most of a figure's axes show pictures in colour, beside which maps may stand."""
    kinds = [[np.asarray(image.get_array()).ndim for image in ax.images] for ax in figure.axes]
    return any(3 in kind for kind in kinds) and sum(map(bool, kinds)) > len(kinds) / 2


def webp(figure: Figure) -> bytes:
    """Draw a figure of pictures as WebP: half as large as a JPEG that looks the same."""
    buffer = io.BytesIO()
    settings = {"quality": WEBP_QUALITY, "method": 6}
    figure.savefig(buffer, format="webp", dpi=DOTS, bbox_inches="tight", pil_kwargs=settings)
    return buffer.getvalue()


def jpeg(figure: Figure) -> bytes:
    """Draw a figure of pictures as JPEG: sharper than PNG, and a fraction of its size."""
    buffer = io.BytesIO()
    settings = {"quality": QUALITY, "optimize": True}
    figure.savefig(buffer, format="jpeg", dpi=DOTS, bbox_inches="tight", pil_kwargs=settings)
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """Draw a figure of lines as PNG whose bytes depend on the drawing alone."""
    buffer = io.BytesIO()
    unsaid = {"Software": None}
    figure.savefig(buffer, format="png", dpi=DOTS, bbox_inches="tight", metadata=unsaid)
    return buffer.getvalue()
