"""The command line: ``xaicore explain | evaluate | report | methods | train``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xaicore.cli.options import Parser, whole_parser

UNUSABLE = 2
INTERRUPTED = 130
"""Exit codes: nothing could be done; stopped by Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    It is 0, 2 when the input cannot be used, or 130 when the command was interrupted; ``evaluate``
    returns 1 when images failed.
    """
    return run(whole_parser(), arguments)


def run(parser: Parser, arguments: Sequence[str] | None = None) -> int:
    """Run the command that arguments name: the ``run`` of its parser; return the exit code.

    What may be wrong with files, numbers, networks and machines becomes one line.
    """
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print(f"\nstopped{_how_to_go_on(options)}", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, OSError, ImportError, MemoryError, ArithmeticError, RuntimeError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"{parser.prog}: error: {message}", file=sys.stderr)
        return UNUSABLE


def _how_to_go_on(options: argparse.Namespace) -> str:
    place = getattr(options, "out", None) or getattr(options, "checkpoint", None)
    return f"; run the same command again to go on in {place}" if place else ""
