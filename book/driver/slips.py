"""Slips that a reader would stumble over, found in the source of a page.

Each function returns them in words. They hold of every page, whether or not it has the frame of
a chapter.
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from driver.reading import Page

COLUMNS = 80
GLUED = r"\{glue:text\}`([^`]+)`"
LOWER = (
    rf"(?:at least|more than|no (?:fewer|less) than)\s+{GLUED}",
    rf"{GLUED}\s*%?\s+or more\b",
)
UPPER = (
    rf"(?:at most|(?<!be )(?:less|fewer) than|no more than|up to)\s+{GLUED}",
    rf"{GLUED}\s*%?\s+or (?:less|fewer)\b",
)
SHOWN_AS = re.compile(r"\bFragment\b")


def makers(root: Path) -> set[str]:
    """Return the names of the functions that return something to be shown as HTML."""
    sources = [*root.glob("xaicore/*.py"), *root.glob("book/xaibook/**/*.py")]
    return {
        node.name
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and SHOWN_AS.search(ast.unparse(node.returns))
    }


def lost_outputs(notebook: NotebookNode, names: set[str]) -> list[str]:
    """Find what would be shown, were it the last expression of its cell."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        body = ast.parse(TransformerManager().transform_cell(cell.source)).body
        for statement in ast.walk(ast.Module(body, [])):
            call = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(call, ast.Call) and statement is not body[-1]:
                name = ast.unparse(call.func).rpartition(".")[2]
                if name in names:
                    found.append(f"{cell.id}: what {name}() returns is shown nowhere")
    return found


def wide_code(page: Page) -> list[str]:
    """Find lines of visible code that a page cannot show whole."""
    return [
        f"{len(line)} columns: {line.strip()}"
        for part in page.parts
        if part.kind == "code" and not part.folded
        for line in part.lines
        if len(line) > COLUMNS
    ]


def broken_commands(page: Page) -> list[str]:
    """Find commands that end early, because two backslashes stand where one must."""
    return [
        line.strip()
        for part in page.parts
        if part.kind == "code" and part.name in {"bash", "sh", "console"}
        for line in part.lines
        if re.search(r"\\\\\s*$", line)
    ]


def torn_sentences(page: Page) -> list[str]:
    """Find sentences that announce something, a colon at their end, and are followed by prose."""
    parts = [part for part in page.parts if part.kind != "label"]
    return [
        part.text[-70:]
        for part, after in pairwise(parts)
        if part.kind == "text"
        and part.raw.rstrip().endswith(":")
        and not _goes_on(after.kind, after.raw)
    ]


def _goes_on(kind: str, raw: str) -> bool:
    """Tell whether what follows a colon can be what it announces: no new paragraph, no heading."""
    listed = re.match(r"\s*(?:[-*+|:]|\d+[.)])\s", raw)
    return bool(listed) if kind == "text" else kind != "heading"


def inward_rounding(notebook: NotebookNode) -> list[str]:
    """Find numbers that are said to be bounds, and are rounded so that the bound may not hold."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    made = [call for source in code for call in _glued(source)]
    found = []
    for patterns, wanted in ((LOWER, "down"), (UPPER, "up")):
        for pattern in patterns:
            for name in re.findall(pattern, prose):
                calls = [(fmt, how) for known, fmt, how in made if known.fullmatch(name)]
                if not any(not fmt or how == wanted for fmt, how in calls):
                    found.append(f"{name} is said to be a bound: glue(…, rounding={wanted!r})")
    return found


def _glued(source: str) -> Iterator[tuple[re.Pattern[str], bool, str]]:
    """Return, of each call of glue, the names it may have, whether it rounds, and which way."""
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "glue":
            named = {word.arg: word.value for word in node.keywords}
            way = named.get("rounding")
            rounds = len(node.args) > 2 or "fmt" in named
            said = str(way.value) if isinstance(way, ast.Constant) else "nearest"
            yield _pattern(node.args[0]), rounds, said


def _pattern(name: ast.expr) -> re.Pattern[str]:
    """Return what a name in code may be: the parts of an f-string that vary are anything."""
    if isinstance(name, ast.Constant):
        return re.compile(re.escape(str(name.value)))
    if not isinstance(name, ast.JoinedStr):
        return re.compile("(?!)")
    parts = [re.escape(str(v.value)) if isinstance(v, ast.Constant) else ".+" for v in name.values]
    return re.compile("".join(parts))


def slips(path: Path, page: Page, names: set[str]) -> list[str]:
    """Return all slips of a page, in words."""
    found = [*wide_code(page), *broken_commands(page), *torn_sentences(page)]
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        found += [*lost_outputs(notebook, names), *inward_rounding(notebook)]
    return found
