"""Snippets printed in pages, run as a reader would who copies them one after the other."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from xaicore.cli.main import main
from xaicore.cli.options import whole_parser

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/]+\.py)\n")
LANGUAGES = {"bash", "python", "text"}
STARTED = re.compile(r"(?:torchrun .*?-m )?xaicore (.*)")
"""A command of the package, alone or by torchrun."""


@dataclass(frozen=True)
class Snippet:
    """A block of a page: its language, and its lines."""

    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The name in the first line of a program, under which the reader saves it."""
        found = FILE.match(self.code) if self.language == "python" else None
        return found and found[1]


def snippets(path: Path) -> list[Snippet]:
    """The blocks of a page, or of the text of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return [Snippet(*found) for found in FENCE.findall(text)]


def commands(snippet: Snippet) -> list[str]:
    """The commands of a block, each in one line, without remarks."""
    lines = re.sub(r"\\\n\s*", "", snippet.code).splitlines()
    return [line for line in (re.sub(r"\s+# .*", "", line) for line in lines) if line]


def check_shell(snippet: Snippet) -> None:
    """See that the shell reads a block, and the real parser the commands of the package in it."""
    subprocess.run(["bash", "-n", "-c", snippet.code], check=True)
    for line in commands(snippet):
        if started := STARTED.fullmatch(line):
            whole_parser().parse_args(shlex.split(started[1].partition("||")[0]))


@dataclass
class Reader:
    """Somebody in a folder who copies snippets, and compares what they print.

    Attributes:
        names: what the page speaks of and does not define.
    """

    names: dict[str, Any] = field(default_factory=dict)
    printed: str = ""

    def read(self, snippet: Snippet) -> None:
        """Do what a block says: save it, run it, or find in what was printed what it shows."""
        if snippet.language == "text":
            shown = " ".join(snippet.code.split())
            pattern = ".*?".join(map(re.escape, re.split(r"\s*…\s*", shown)))
            assert re.search(pattern, " ".join(self.printed.split())), self.printed
        elif snippet.file:
            Path(snippet.file).write_text(snippet.code, encoding="utf-8")
        else:
            with _copied() as printed:
                if snippet.language == "bash":
                    for line in commands(snippet):
                        _run(line)
                else:
                    exec(compile(snippet.code, "<page>", "exec"), self.names)
            self.printed = printed.getvalue()


@contextlib.contextmanager
def _copied() -> Iterator[io.StringIO]:
    """Keep what is printed, warnings among it."""
    printed = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda *of: print(warnings.formatwarning(*of[:4]), file=sys.stderr)
        yield printed


def _run(line: str) -> None:
    """Run a command; what is to come after ``||`` is told its exit code."""
    command, _, otherwise = line.partition(" || ")
    program, *words = shlex.split(command)
    if program == "python":
        _run_python(words)
        return
    assert program == "xaicore", line
    code = main(words)
    assert bool(code) == bool(otherwise), f"{line}: exit code {code}, {sys.stderr.getvalue()}"
    if otherwise:
        assert shlex.split(otherwise)[0] == "echo", line
        print(*(word.replace("$?", str(code)) for word in shlex.split(otherwise)[1:]))


def _run_python(words: list[str]) -> None:
    """Run a file, or a module after ``-m``, with its arguments."""
    module = words[0] == "-m"
    name, *given = words[module:]
    before, sys.argv = sys.argv, [name, *given]
    try:
        (runpy.run_module if module else runpy.run_path)(name, run_name="__main__")
    finally:
        sys.argv = before
