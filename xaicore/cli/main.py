"""The command line: ``xaicore explain | evaluate | report | leaderboard | methods | train``."""

from __future__ import annotations

import argparse
import os
import select
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from xaicore.cli.options import Parser, whole_parser

UNUSABLE = 2
INTERRUPTED = 130
"""Exit codes: nothing could be done; stopped by Ctrl-C."""

EXPECTED = (ValueError, OSError, ImportError, MemoryError, ArithmeticError, RuntimeError)
"""Errors whose words say enough; of others the kind and the place are told."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    It is 0, also when the reader of what is printed has gone, 2 when the input cannot be used, or
    130 when the command was interrupted; ``evaluate`` and ``explain`` return 1 when images failed.
    """
    return run(whole_parser(), arguments)


def run(parser: Parser, arguments: Sequence[str] | None = None) -> int:
    """Run the command that arguments name: the ``run`` of its parser; return the exit code.

    What may be wrong with files, numbers, networks and machines becomes one line, and so does any
    error of a user's own code; ``--traceback`` shows where it arose.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks a letter shows a "?"
    try:
        try:
            options = parser.parse_args(arguments)
            with _warnings_in_one_line(parser.prog):
                return _run(parser.prog, options)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()
        return 0


def _run(program: str, options: argparse.Namespace) -> int:
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print(f"\nstopped{_how_to_go_on(options)}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _gone(sys.stdout):
            raise
        if getattr(options, "traceback", False):
            traceback.print_exc()
        print(f"{program}: error: {_told(error)}", file=sys.stderr)
        return UNUSABLE


def _told(error: Exception) -> str:
    """Return an error in one line; one that nobody expected with its kind and place."""
    message, kind = " ".join(str(error).split()), type(error).__name__
    if isinstance(error, EXPECTED):
        return message or kind
    return f"{kind}: {message}{_place(error)}; --traceback shows more"


def _place(error: Exception) -> str:
    """The last place of an error in code that is neither ours nor installed."""
    ours = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and ours not in f.filename]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


@contextmanager
def _warnings_in_one_line(program: str) -> Iterator[None]:
    """Write the warnings of a command as its errors are."""
    before = warnings.formatwarning

    def line(message: Warning | str, *_: object, **__: object) -> str:
        return f"{program}: warning: {' '.join(str(message).split())}\n"

    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _gone(stream: TextIO) -> bool:
    """Return whether nobody reads a stream any more."""
    try:
        stream.flush()
        number = stream.fileno()
    except BrokenPipeError:
        return True
    except OSError:  # it is no file
        return False
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(number, 0)  # of errors it tells all the same
    return bool(poll.poll(0))


def _write_nowhere() -> None:
    """Let what is still to be printed go nowhere, for its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if _gone(stream):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _how_to_go_on(options: argparse.Namespace) -> str:
    place = getattr(options, "out", None) or getattr(options, "checkpoint", None)
    return f"; run the same command again to go on in {place}" if place else ""
