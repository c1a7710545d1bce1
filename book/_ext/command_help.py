"""Show what a command of the package prints for ``--help``."""

import os
import subprocess
import sys

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

PACKAGE = "xaicore"


class CommandHelp(Directive):
    """The help of ``xaicore``, or of one of its commands, eighty columns wide."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a block as the console shows it."""
        command = [*"".join(self.arguments).split(), "--help"]
        shown = subprocess.run(
            [sys.executable, "-m", PACKAGE, *command],
            env={**os.environ, "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=True,
        )
        text = f"$ {' '.join([PACKAGE, *command])}\n{shown.stdout.rstrip()}"
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
