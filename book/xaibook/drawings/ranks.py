"""Methods against measures, as ranks: which is first by which."""

from __future__ import annotations

from html import escape

import pandas as pd

from xaibook.drawings.sheet import NARROW, drawing, number
from xaicore.html import Fragment

STYLE = f"""
.xc-ranks {{ display: grid; gap: 3px;
  grid-template-columns: minmax(0, 1.6fr) repeat(var(--measures), minmax(0, 1fr)); }}
.xc-ranks b {{ font-size: 12px; align-self: end; text-align: center; }}
.xc-ranks > span {{ font-size: 12px; align-self: center; overflow-wrap: anywhere; }}
.xc-ranks > div {{ text-align: center; padding: 3px 0; color: var(--text);
  background: var(--shade); }}
.xc-ranks > div small {{ font-size: 11px; color: inherit; }}
{NARROW} {{ .xc-ranks {{ gap: 2px;
  grid-template-columns: minmax(0, 1.1fr) repeat(var(--measures), minmax(0, 1fr)); }}
  .xc-ranks > span, .xc-ranks b {{ font-size: 10px; }}
  .xc-ranks > div small {{ font-size: 9px; }} }}
"""


def ranks(values: pd.DataFrame, alt: str) -> Fragment:
    """Draw the rank of each row by each column, 1 the best, dark; the value stands under it.

    Args:
        values: per cent; a header ends in an arrow, which says what is better. The index holds the
            names of the rows.
        alt: what the drawing shows, for readers who do not see it.

    Raises:
        ValueError: a header ends in no arrow.
    """
    missing = [name for name in values if str(name)[-1] not in "↑↓"]
    if missing:
        raise ValueError(f"the header '{missing[0]}' must end in ↑ or ↓")
    places = pd.DataFrame(
        {
            name: column.rank(ascending=name[-1] == "↓", method="min")
            for name, column in values.items()
        }
    )
    head = "<b></b>" + "".join(f"<b>{escape(str(name))}</b>" for name in values)
    rows = "".join(
        f"<span>{escape(str(method))}</span>"
        + "".join(
            _cell(places.loc[method, name], values.loc[method, name], len(values))
            for name in values
        )
        for method in values.index
    )
    style = f"--measures: {values.shape[1]}"
    return drawing(f'<div class="xc-ranks" style="{style}">{head}{rows}</div>', STYLE, alt)


def _cell(rank: float, value: float, count: int) -> str:
    weight = 1 - (rank - 1) / max(count - 1, 1)
    light = 94 - 62 * weight
    style = f"--shade: hsl(204 60% {light:.0f}%); --text: {'#fff' if light < 43.5 else '#000'}"
    return f'<div style="{style}">{rank:.0f}<small>{number(value, 1)} %</small></div>'
