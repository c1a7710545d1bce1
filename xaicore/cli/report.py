"""``xaicore report``."""

from __future__ import annotations

import argparse

from xaicore.evaluation.report import as_text, summary_of, write_report


def run(options: argparse.Namespace) -> None:
    """Write the files of the report, and print it."""
    summary = summary_of(options.folder, options.reference)
    files = write_report(summary, options.output or options.folder / "report")
    print(as_text(summary), *(f"{file} written" for file in files), sep="\n")
