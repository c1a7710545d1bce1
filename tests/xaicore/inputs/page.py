"""Write the page of the table of inputs: ``python -m tests.xaicore.inputs.page``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tests.xaicore.evaluation.test_hostile import CASES
from tests.xaicore.inputs import command, data, elsewhere, graph, network  # noqa: F401
from tests.xaicore.inputs.hostile import BEFORE
from tests.xaicore.inputs.table import ROWS, Row

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "book" / "inputs.md"
PEERS = ROOT / "benchmarks" / "inputs.json"

KINDS = (
    "channels",
    "activation",
    "output",
    "layer",
    "cut graph",
    "images",
    "targets",
    "constant maps",
    "maps made elsewhere",
    "file of weights",
    "folder",
    "labels",
    "command line",
)

TEXT = """\
# What goes in, and what comes out

People bring networks, pictures and labels of every kind. This page lists {rows} inputs, what
`xaicore` did with them before it was written for such inputs, at commit `13a939e`, and what it does
now. A test gives it each of them; where *now* is set like code, it is compared word for word, and
`…` stands for words left out. *The same* is said of an input of which nothing had to change. At the
end are {others} inputs more, of `xaicore evaluate`.

The rule is: what can be explained is explained, and anything else is refused in one sentence that
says what came and what to do. A number that would be wrong is not given.

```{{note}}
This page is made of the tests, by `python -m tests.xaicore.inputs.page`.
```

## Ten of them in other libraries

The same networks and images went to pytorch-grad-cam {pytorch-grad-cam}, captum {captum}, torchcam
{torchcam} and Quantus {Quantus}, with PyTorch {torch}, each called as its documentation shows:
Grad-CAM, and in Quantus, which judges maps and makes none, pixel flipping of a map that keeps the
left half, with its softmax. What is given to them is normalised already; they do not ask for
probabilities to make a map, so that of several of these inputs a map is all there is to say. Three
of them explain volumes, which xaicore does not. `python -m benchmarks.inputs` runs them again.

{peers}"""

EVALUATE = """\
## A run of `xaicore evaluate`

Each of these spoils one thing in a healthy folder of four pictures, or in the command. Exit code 2:
refused at once in one line, and nothing is written. Exit code 1: the run is whole, each value that
cannot be measured has its reason beside it, and the exit code is the same the next time. Exit code
0: nothing is wrong with it.

"""


def page() -> str:
    """Return the page."""
    stored = json.loads(PEERS.read_text(encoding="utf-8"))
    head = TEXT.format(
        rows=len(ROWS), others=len(CASES), peers=_peers(stored["inputs"]), **stored["versions"]
    )
    parts = [f"## {kind.capitalize()}\n\n{_table(kind)}" for kind in KINDS]
    return "\n".join([head, *parts, EVALUATE + _evaluate()])


def _table(kind: str) -> str:
    """The rows of a kind."""
    rows = [(row.given, row.before, _told(row)) for row in ROWS if row.kind == kind]
    return _markdown(("input", "before", "now"), rows)


def _told(row: Row) -> str:
    """What must happen: word for word where it is compared so."""
    return row.now if isinstance(row.happens, str) else _verbatim(row.now)


def _verbatim(words: str) -> str:
    return f"`` {words} ``" if "`" in words else f"`{words}`"


def _peers(inputs: dict[str, dict[str, str]]) -> str:
    """What xaicore and other libraries do with the same inputs, a row for each."""
    now = {row.given: _told(row) for row in ROWS}
    rows = [
        (name if library == "xaicore" else "", library, told)
        for name, found in inputs.items()
        for library, told in {"xaicore": now[name], **_all_shown(found)}.items()
    ]
    return _markdown(("input", "library", "what it does"), rows)


def _all_shown(found: dict[str, str]) -> dict[str, str]:
    return {library: _shown(words) for library, words in found.items()}


def _shown(words: str) -> str:
    """An error as code, anything else as text."""
    return _verbatim(words) if re.match(r"\w+Error: ", words) else words


def _evaluate() -> str:
    """The rows of the table of ``evaluate``."""
    rows = []
    for name, (_, code, words) in CASES.items():
        now = f"exit {code}" + (f": {_verbatim(f'…{words}…')}" if words else "")
        rows.append((name, BEFORE.get(name, "the same"), now))
    return _markdown(("input", "before", "now"), rows)


def _markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in of)} |\n" for of in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
