"""``xaicore report``."""

from __future__ import annotations

import argparse

from xaicore.evaluation.report import as_text, findings_in, write_report


def run(options: argparse.Namespace) -> None:
    """Write the files of the report, and print it."""
    found = findings_in(options.folder, options.reference)
    files = write_report(found, options.output or options.folder / "report")
    print(as_text(found), *(f"{file} written" for file in files), sep="\n")
