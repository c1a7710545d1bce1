"""What a chapter says about itself: quoted numbers, tables, sliders and the check of its values.

Everything here works without a running kernel once the page is made, and knows no method.
"""

import base64
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

REFERENCES = Path(str(files("xaicore"))) / "reference"
"""The published values of each chapter, one JSON file per chapter and profile."""

WRITE_REFERENCES = "XAICORE_WRITE_REFERENCES"
"""Environment variable: when it is ``1``, `check` stores the values instead of comparing them."""

_RECORD = "application/papermill.record/"


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


def glue(name: str, value: object, fmt: str | None = None) -> None:
    """Record a value of this run for the prose to quote as ``{glue:text}`name```.

    The record is the one ``myst_nb.glue`` makes, without needing that package, so a chapter also
    runs where only `xaicore` is installed.

    Args:
        name: Name under which the prose quotes the value; unique within the book.
        value: A number, a string, a scalar array or tensor, or anything a notebook can show.
        fmt: Format specification of the quoted text, for example ``".1f"``.

    Raises:
        RuntimeError: If no notebook is running.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("glue() records values in a notebook; in a script, print them instead")
    if fmt is None:
        data, metadata = shell.display_formatter.format(_scalar(value))
    else:
        text = repr(typeset(_scalar(value), fmt))  # quoted: a bare "0.10" would be read as 0.1
        data, metadata = {"text/plain": text}, {}
    metadata["scrapbook"] = {"name": name, "mime_prefix": _RECORD}
    display({_RECORD + mime: shown for mime, shown in data.items()}, raw=True, metadata=metadata)


def table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    formats: str | Mapping[str, str] = ".2f",
    links: Sequence[str] = (),
    sortable: bool = False,
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

    Returns:
        The table with its download link.

    Raises:
        ValueError: If a header is empty or has several levels, a row has no name, or there is not
            one link per row.
    """
    frame = _flat(frame)
    by_column = dict.fromkeys(frame, formats) if isinstance(formats, str) else formats
    texts = [[_cell_text(v, by_column.get(c, ".2f")) for v in frame[c]] for c in frame]
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame]
    kinds = [' class="number"' if n else "" for n in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{escape(str(column))}</th>'
        for column, kind in zip(frame, kinds, strict=True)
    )
    leading = [escape(text) for text in texts[0]]
    if links:
        pairs = zip(leading, links, strict=True)
        leading = [f'<a href="{escape(link)}">{text}</a>' for text, link in pairs]
    rows = "".join(
        f'<tr><th scope="row"{kinds[0]}>{first}</th>'
        + "".join(f"<td{k}>{escape(v)}</td>" for k, v in zip(kinds[1:], rest, strict=True))
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

    image = f'<img src="{_png(figure)}" alt="{escape(alt)}">'
    plt.close(figure)
    return Fragment(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>", alt)


def slider(
    figures: Sequence[Figure], labels: Sequence[object], name: str, alt: str, start: int = 0
) -> Fragment:
    """Show one figure per slider position, drawn now, so that it moves without a kernel.

    The figures are closed. They should be of one size, so that nothing jumps.

    Args:
        figures: The frames, in order.
        labels: What the slider shows at each position.
        name: What the slider changes, for example ``"iteration"``.
        alt: What the frames show, for readers who do not see them.
        start: Position at first.

    Returns:
        The frames and the slider.

    Raises:
        ValueError: If there is no figure, or not one label per figure, or `start` is none of them.
    """
    from matplotlib import pyplot as plt

    if not figures or len(figures) != len(labels):
        raise ValueError(f"slider() needs one label per figure: {len(figures)} and {len(labels)}")
    if not 0 <= start < len(figures):
        raise ValueError(f"start must be in 0..{len(figures) - 1}, not {start}")
    frames = []
    for position, (figure, label) in enumerate(zip(figures, map(str, labels), strict=True)):
        hidden = "" if position == start else " hidden"
        frames.append(
            f'<img src="{_png(figure)}" data-label="{escape(label)}" '
            f'alt="{escape(f"{alt} ({name}: {label})")}"{hidden}>'
        )
        plt.close(figure)
    move = (
        "const f=this.closest('figure').querySelectorAll('img');"
        "f.forEach((e,i)=>{e.hidden=i!=this.value});const t=f[this.value].dataset.label;"
        "this.nextElementSibling.textContent=t;this.setAttribute('aria-valuetext',t)"
    )
    shown = escape(str(labels[start]))
    html = (
        f'<figure class="xc-slider">{"".join(frames)}'
        f"<label><span>{escape(name)}</span> "
        f'<input type="range" min="0" max="{len(frames) - 1}" step="1" value="{start}" '
        f'autocomplete="off" aria-valuetext="{shown}" oninput="{move}"> '
        f"<output>{shown}</output></label></figure>"
    )
    return Fragment(html, f"{alt} ({name}: {labels[0]} … {labels[-1]})")


def check(
    chapter: str,
    profile: str,
    values: Mapping[str, object],
    rel_tol: float = 1e-3,
    abs_tol: float = 1e-6,
) -> None:
    """Say whether this run gives the chapter's published values, and fail if it does not.

    The published values are ``xaicore/reference/<chapter>.<profile>.json``. Floats are compared
    within the tolerances, everything else exactly. A published float may carry its own tolerance:
    ``{"value": 41.2, "abs_tol": 2.0}``. ``python book/build.py --references`` writes the files.

    Args:
        chapter: Name of the chapter.
        profile: Name of the profile that ran.
        values: Numbers, truth values and strings by name; scalar arrays and tensors are taken too.
        rel_tol: Relative tolerance of floats.
        abs_tol: Absolute tolerance of floats.

    Raises:
        AssertionError: If a value differs, is missing or was never published; names them all.
    """
    title = f"{chapter} ({profile})"
    measured = {name: _scalar(value) for name, value in values.items()}
    path = REFERENCES / f"{chapter}.{profile}.json"
    if os.environ.get(WRITE_REFERENCES) == "1":
        _write_reference(path, measured)
        print(f"{title}: {len(measured)} values written to {path.name}")
        return
    if not path.is_file():
        print(f"{title}: no values are published for this profile; nothing was compared")
        return
    published = json.loads(path.read_text(encoding="utf-8"))
    wrong = [
        f"  {name}: {measured.get(name, 'missing')} here, {want} published"
        for name, want in published.items()
        if name not in measured or not _agrees(measured[name], want, rel_tol, abs_tol)
    ]
    wrong += [f"  {name}: never published" for name in measured if name not in published]
    if wrong:
        raise AssertionError("\n".join([f"{title}: {len(wrong)} values differ", *wrong]))
    print(f"{title}: all {len(published)} published values reproduced")


def stored(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the stored records of a heavy run, and where they come from.

    Args:
        name: Name of the records in ``xaicore/reference``, without its extension.

    Returns:
        The table, and its provenance: the command, commit, versions, machine and seconds.

    Raises:
        FileNotFoundError: If nothing is stored under that name.
    """
    plain = REFERENCES / f"{name}.csv"
    table = pd.read_csv(plain if plain.is_file() else plain.with_suffix(".csv.gz"))
    return table, json.loads((REFERENCES / f"{name}.provenance.json").read_text(encoding="utf-8"))


def typeset(value: Any, fmt: str) -> str:
    """Return a value as the pages show it: a number has a minus, where Python has a hyphen."""
    text = format(value, fmt)
    return text.replace("-", "−") if isinstance(value, Real) else text


def _scalar(value: Any) -> Any:
    """Return the Python number of a scalar array or tensor, anything else unchanged."""
    return value.item() if getattr(value, "shape", None) == () else value


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


def _cell_text(value: object, fmt: str) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    return typeset(value, fmt if isinstance(value, float) else "")


def _png(figure: Figure) -> str:
    """Draw a figure as a data URI whose bytes depend on the drawing alone."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _write_reference(path: Path, measured: Mapping[str, Any]) -> None:
    """Store the values, keeping the tolerances that were stated by hand."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    new = {
        name: {**old[name], "value": value} if isinstance(old.get(name), dict) else value
        for name, value in measured.items()
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(new, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _agrees(got: Any, want: Any, rel_tol: float, abs_tol: float) -> bool:
    if isinstance(want, dict):
        want, rel_tol, abs_tol = want["value"], 0.0, want["abs_tol"]
    if isinstance(want, float) and isinstance(got, int | float) and not isinstance(got, bool):
        return math.isclose(got, want, rel_tol=rel_tol, abs_tol=abs_tol)
    return bool(got == want and isinstance(got, bool) == isinstance(want, bool))
