"""Tables as people save them: of any usual encoding and separator, with words that stay words."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

SEPARATORS = ",;\t|"

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a file begins with, and how the rest is read."""


def read_table(what: str, path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table of texts, in which an empty cell is an empty text.

    It may be in UTF-8, with or without a mark, in UTF-16 with one, else it is taken for Windows'
    cp1252; separated by commas, semicolons, tabs or bars. Columns are found in any case.

    Args:
        what: the argument that names it.
        path: the file.
        columns: those that it must have.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no table, or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    try:
        table = _parsed(_text(path.read_bytes()))
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(
            f"{what}: {path} is not a table of comma-separated values: save it as CSV in UTF-8"
        ) from error
    table.columns = pd.Index([str(name).strip().lower() for name in table])
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{what}: {path} lacks the column {' and '.join(missing)}; it has "
            f"{', '.join(map(repr, table))}"
        )
    twice = [column for column in columns if list(table).count(column) > 1]
    if twice:
        raise ValueError(f"{what}: {path} has the column {twice[0]} more than once")
    return table


def _text(content: bytes) -> str:
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise
        text = content.decode("cp1252")
    if "\0" in text:
        raise ValueError("a zero byte")
    return text


def _parsed(text: str) -> pd.DataFrame:
    header = text.lstrip().partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of a comma that ends all rows
        return pd.read_csv(
            StringIO(text, newline=""),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            skipinitialspace=True,
        )


def numbers(column: pd.Series) -> pd.Series:
    """Return texts as numbers, NaN for what is none; a comma may stand for the point."""
    return pd.to_numeric(column.str.strip().str.replace(",", ".", regex=False), errors="coerce")
