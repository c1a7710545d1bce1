"""What a chapter says about itself: quoted numbers, tables, sliders and the check of its values.

Everything here works without a running kernel once the page is made, and knows no method.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from xaibook.published import differences, read, write
from xaicore.html import Fragment, embedded, least_width, typeset

RECORDS = Path(str(files("xaibook"))) / "records"
"""The published values of each chapter, one JSON file per chapter and profile."""

VALUES = "XAICORE_VALUES"
"""Environment variable: a folder in which `check` stores the values, instead of comparing them."""

OUTWARD = {"down": ROUND_FLOOR, "up": ROUND_CEILING}

_RECORD = "application/papermill.record/"


def glue(name: str, value: object, fmt: str | None = None, rounding: str = "nearest") -> None:
    """Record a value of this run for the prose to quote as ``{glue:text}`name```.

    The record is the one ``myst_nb.glue`` makes, without needing that package, so a chapter also
    runs where only `xaicore` is installed.

    Args:
        name: Name under which the prose quotes the value; unique within the book.
        value: A number, a string, a scalar array or tensor, or anything a notebook can show.
        fmt: Format specification of the quoted text, for example ``".1f"``.
        rounding: ``"down"`` for a number of which the prose says "at least", ``"up"`` for one of
            which it says "at most", so that what is said stays true.

    Raises:
        RuntimeError: If no notebook is running.
        ValueError: If `rounding` is another word, or is given with a format that it cannot keep.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("glue() records values in a notebook; in a script, print them instead")
    if fmt is None:
        data, metadata = shell.display_formatter.format(_scalar(value))
    else:
        text = repr(
            typeset(_rounded(_scalar(value), fmt, rounding), fmt)
        )  # quoted: a bare "0.10" would be read as 0.1
        data, metadata = {"text/plain": text}, {}
    metadata["scrapbook"] = {"name": name, "mime_prefix": _RECORD}
    display({_RECORD + mime: shown for mime, shown in data.items()}, raw=True, metadata=metadata)


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
            f'<img src="{embedded(figure)}" data-label="{escape(label)}" '
            f'alt="{escape(f"{alt} ({name}: {label})")}" '
            f'style="--legible: {least_width(figure)}px"{hidden}>'
        )
        plt.close(figure)
    move = (
        "const f=this.closest('figure').querySelectorAll('img');"
        "f.forEach((e,i)=>{e.hidden=i!=this.value});const t=f[this.value].dataset.label;"
        "this.nextElementSibling.textContent=t;this.setAttribute('aria-valuetext',t)"
    )
    shown = escape(str(labels[start]))
    html = (
        f'<figure class="xc-slider"><div class="xc-scrolled">{"".join(frames)}</div>'
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
    said: str = "published values reproduced",
) -> None:
    """Say whether this run gives the chapter's published values, and fail if it does not.

    The published values are ``book/xaibook/records/<chapter>.<profile>.json``. Floats are compared
    within a multiple of the spread that was measured for each of them, everything else exactly
    (`xaibook.published`). ``make references`` writes the files.

    Args:
        chapter: Name of the chapter.
        profile: Name of the profile that ran.
        values: Numbers, truth values and strings by name; scalar arrays and tensors are taken too.
        said: What is said of all of them if they agree.

    Raises:
        AssertionError: If a value differs, is missing or was never published; names them all.
        ValueError: If values are gathered and one is not a finite number.
    """
    title = f"{chapter} ({profile})"
    measured = {name: _scalar(value) for name, value in values.items()}
    path = RECORDS / f"{chapter}.{profile}.json"
    if os.environ.get(VALUES):
        write(Path(os.environ[VALUES]) / path.name, measured)
        print(f"{title}: {len(measured)} values gathered")
        return
    if not path.is_file():
        print(f"{title}: no values are published for this profile; nothing was compared")
        return
    published = read(path)
    if wrong := differences(published, measured):
        lines = [f"{title}: {len(wrong)} values differ", *(f"  {line}" for line in wrong)]
        raise AssertionError("\n".join(lines))
    print(f"{title}: all {len(published)} {said}")


def stored(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the stored records of a heavy run, and where they come from.

    Args:
        name: Name of the records in ``book/xaibook/records``, without its extension.

    Returns:
        The table, and its provenance: the command, commit, versions, machine and seconds.

    Raises:
        FileNotFoundError: If nothing is stored under that name.
    """
    plain = RECORDS / f"{name}.csv"
    table = pd.read_csv(plain if plain.is_file() else plain.with_suffix(".csv.gz"))
    return table, json.loads((RECORDS / f"{name}.provenance.json").read_text(encoding="utf-8"))


def _rounded(value: Any, fmt: str, rounding: str) -> Any:
    """Return a number rounded down or up to the decimals that a format keeps."""
    if rounding == "nearest":
        return value
    decimals = re.fullmatch(r"[+,]*\.(\d+)([f%])", fmt)
    if rounding not in OUTWARD or decimals is None:
        raise ValueError(
            f"rounding is 'nearest', 'down' or 'up', the last two with a format such as '.1f', "
            f"not {rounding!r} with {fmt!r}"
        )
    kept = int(decimals[1]) + 2 * (decimals[2] == "%")
    step = Decimal(1).scaleb(-kept)
    return float(Decimal(f"{value:.9g}").quantize(step, OUTWARD[rounding]))


def _scalar(value: Any) -> Any:
    """Return the Python number of a scalar array or tensor, anything else unchanged."""
    return value.item() if getattr(value, "shape", None) == () else value
