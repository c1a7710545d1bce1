"""``xaicore report``."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from xaicore.classifier import check_name
from xaicore.evaluation.findings import Findings, read_findings
from xaicore.evaluation.report import as_text, write_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(options: argparse.Namespace) -> None:
    """Write the files of the report, and print it."""
    found = read_findings(options.folder, options.reference)
    measured = list(found.records["metric"].unique())
    check_name("by", options.by or measured[0], measured)
    sheet, why = (None, "") if options.no_pictures else _sheet(found, options.by or measured[0])
    files = write_report(found, options.output or options.folder / "report", sheet)
    print(as_text(found), "", *(f"{file} written" for file in files), sep="\n")
    if why:
        print(f"no contact sheet: {why}")


def _sheet(found: Findings, metric: str) -> tuple[Figure | None, str]:
    """The contact sheet of a run that the command line made, or why there is none."""
    from xaicore.cli.evaluate import plan  # noqa: PLC0415 - it loads what measures
    from xaicore.cli.options import whole_parser  # noqa: PLC0415
    from xaicore.evaluation.sheet import contact_sheet  # noqa: PLC0415

    command = shlex.split(found.manifest["command"])
    if "evaluate" not in command:
        return None, "the run was not made by `xaicore evaluate`"
    try:
        given = whole_parser().parse_args(command[command.index("evaluate") :])
        return contact_sheet(plan(given), found.records, metric), ""
    except (ValueError, OSError, ImportError, RuntimeError, SystemExit) as error:
        return None, " ".join(str(error).split())
