"""One of many pictures, chosen without a kernel: all of them are stored, and one is shown."""

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product

import numpy as np
from PIL import Image

from xaicore.html import QUALITY, Fragment

_CHOOSE = (
    "const f=this.closest('figure'),o=[...f.querySelectorAll('select,input')];"
    "const k=o.map(e=>e.value).join('-');f.querySelectorAll('img').forEach(e=>{"
    "e.hidden=e.dataset.key!=k;"
    "if(!e.hidden)f.querySelector('[role=status]').textContent=e.dataset.said});"
    "if(this.list){const t=this.list.options[this.value].label;"
    "this.nextElementSibling.textContent=t;this.setAttribute('aria-valuetext',t)}"
)


def chooser(
    frames: Mapping[tuple[str, ...], np.ndarray],
    names: Sequence[str],
    alt: str,
    said: Mapping[tuple[str, ...], str] | None = None,
    ordered: Sequence[str] = (),
    side: int = 320,
    credit: str = "",
    opens: tuple[str, ...] | None = None,
) -> Fragment:
    """Show one of many pictures, chosen by two or three selectors, without a kernel.

    A chapter calls it as the last expression of a cell, with a picture for each choice::

        frames = {(image, method): xc.plot.blend(...) for image in ... for method in ...}
        chooser(frames, ["picture", "method"], "A map over a picture", ordered=[])

    Args:
        frames: a picture ``(H, W, 3)`` in ``[0, 1]`` for each combination of choices. They are
            stored as JPEG; those of photographs that others took may have 250 kB together, and
            their credit stands beside them.
        names: what each of the selectors chooses.
        alt: what the pictures show, for readers who do not see them; the choice is added.
        said: what is said of each picture, below it.
        ordered: the names of selectors that are sliders, as their choices have an order.
        side: the width of a picture on the page, in pixels.
        credit: who made the photographs, where there are some.
        opens: the combination that is shown at first, and in print. ``None``: the first.

    Returns:
        The selectors and the pictures.

    Raises:
        ValueError: If a combination has no picture, or a choice does not have one part per name.
    """
    wrong = [key for key in frames if len(key) != len(names)]
    if not frames or wrong:
        raise ValueError(f"frames need a key of {len(names)} choices each, not {wrong[:1]}")
    choices = [list(dict.fromkeys(part)) for part in zip(*frames, strict=True)]
    wanted = [*product(*choices), *([opens] if opens else [])]
    if missing := [key for key in wanted if key not in frames]:
        raise ValueError(f"frames need a picture for each combination; {missing[0]} has none")
    said = said or {}
    first = opens or next(iter(frames))
    images = "".join(
        f'<img src="{_as_jpeg(frames[key], side)}" width="{side}"{_coarse(frames[key], side)} '
        f'data-key="{_place(key, choices)}" data-said="{escape(said.get(key, ""))}" '
        f'alt="{escape(f"{alt} ({_in_words(names, key)})")}"{"" if key == first else " hidden"}>'
        for key in product(*choices)
    )
    selectors = "".join(
        _selector(name, options, name in ordered, options.index(part))
        for name, options, part in zip(names, choices, first, strict=True)
    )
    below = f'<p class="xc-credit">Photographs, cut and drawn over: {credit}.</p>' if credit else ""
    return Fragment(
        f'<figure class="xc-frames"><div>{selectors}</div>{images}'
        f'<output role="status">{escape(said.get(first, ""))}</output>{below}</figure>',
        f"{alt} ({', '.join(names)})",
    )


def _selector(name: str, options: Sequence[str], slides: bool, at: int) -> str:
    """Return a list to choose from, or a slider where the choices have an order."""
    if not slides:
        listed = "".join(
            f'<option value="{i}"{" selected" if i == at else ""}>{escape(o)}</option>'
            for i, o in enumerate(options)
        )
        choose = f'<select autocomplete="off" onchange="{_CHOOSE}">{listed}</select>'
        return f"<label><span>{escape(name)}</span> {choose}</label>"
    listed = "".join(
        f'<option value="{i}" label="{escape(o)}"></option>' for i, o in enumerate(options)
    )
    known = f"choices-{hashlib.sha256((name + listed).encode()).hexdigest()[:8]}"
    return (
        f"<label><span>{escape(name)}</span> "
        f'<input type="range" min="0" max="{len(options) - 1}" value="{at}" list="{known}" '
        f'autocomplete="off" aria-valuetext="{escape(options[at])}" oninput="{_CHOOSE}"> '
        f'<span>{escape(options[at])}</span></label><datalist id="{known}">{listed}</datalist>'
    )


def _place(key: tuple[str, ...], choices: Sequence[Sequence[str]]) -> str:
    return "-".join(str(options.index(part)) for part, options in zip(key, choices, strict=True))


def _in_words(names: Sequence[str], key: tuple[str, ...]) -> str:
    return ", ".join(f"{name}: {part}" for name, part in zip(names, key, strict=True))


def _coarse(pixels: np.ndarray, side: int) -> str:
    """Let the pixels of a picture that is smaller than its place be seen."""
    return ' class="xc-coarse"' if pixels.shape[1] < side else ""


def _as_jpeg(pixels: np.ndarray, side: int) -> str:
    """Return a picture as a data URI, of at most two pixels for one of the page."""
    image = Image.fromarray((255 * pixels).round().clip(0, 255).astype("uint8"))
    image.thumbnail((2 * side, 2 * side * image.height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
