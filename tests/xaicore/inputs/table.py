"""The table of inputs: what people bring, what happened once, and what must happen now."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

REFUSALS = (ValueError, TypeError, RuntimeError, OSError)
"""What is told by its words; any other error is one of the package."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        kind: what the input is about.
        given: the input.
        before: what xaicore did before it was written for such inputs.
        now: what must happen, word for word; ``…`` stands for words left out.
        happens: gives the input to xaicore, and tells what happened; or the test that does so.
    """

    kind: str
    given: str
    before: str
    now: str
    happens: Callable[[], str] | str


ROWS: list[Row] = []


def row(kind: str) -> Callable[[Callable[[], str]], None]:
    """Make a line of the table of a function that tells what happens.

    Its docstring is the input, and after ``Before:`` and ``Now:`` the other two.
    """

    def enter(happens: Callable[[], str]) -> None:
        text = " ".join((happens.__doc__ or "").split())
        parts = re.fullmatch("(.+) Before: (.+) Now: (.+)", text)
        assert parts is not None, text
        ROWS.append(Row(kind, *parts.groups(), happens))

    return enter


def tested(kind: str, given: str, before: str, now: str, test: str) -> None:
    """Make a line of the table of a test that stands elsewhere: ``folder/file.py::name[case]``."""
    ROWS.append(Row(kind, given, before, now, f"tests/xaicore/{test}"))


def outcome(happens: Callable[[], str]) -> str:
    """What happens, in one line: what it returns, or the words of its error; and its warnings."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        try:
            told = happens()
        except REFUSALS as error:
            told = f"{type(error).__name__}: {error}"
    remarks = [f"; warning: {w.message}" for w in warned if issubclass(w.category, UserWarning)]
    return " ".join("".join([told, *remarks]).split())


def meets(told: str, now: str) -> bool:
    """Whether what was told is what must happen."""
    return re.fullmatch(".*?".join(map(re.escape, now.split("…"))), told) is not None
