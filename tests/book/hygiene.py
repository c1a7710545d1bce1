"""The rules that every source notebook keeps."""

import ast
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

REPOSITORY = "https://github.com/executable-thesis/xaicore"
PARAMETERS = {"profile": "smoke", "device": "cpu", "seed": 0, "n_images": None}
IMAGES = {"image/png", "image/svg+xml", "image/jpeg"}
EMBEDDED = IMAGES | {"image/webp"}  # in a page; Jupyter shows no output of that kind
CREDIT = "xc-credit"
LARGEST = 340_000  # letters: a JPEG of 250 kB
PHOTOGRAPHS = {"free_photographs", "real_photographs"}
"""What gives photographs that others took; pictures made of them carry their credit."""
WIDGET = "application/vnd.jupyter.widget-view+json"
ROOT = Path(__file__).resolve().parents[2]
MACHINE = (str(ROOT), *(f"{place}/" for place in (Path.home(), tempfile.gettempdir())))
NOT_PROSE = re.compile(
    r"```\{?math.*?```|\$\$.*?\$\$|\$[^$]+\$|\\begin\{.*?\\end\{\w+\*?\}"  # mathematics
    r"|\{[\w:]+\}`[^`]*`|`+[^`]*`+|\]\([^)]*\)|<?https?://\S+",  # roles, code, links
    re.DOTALL,
)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\.\d)")
ALLOWED_DECIMALS = {"3.11", "3.12", "3.13"}  # versions of Python


def problems(notebook: NotebookNode) -> list[str]:
    """Return what is wrong with a notebook, in words."""
    parts = (_structure, _outputs, _figures, _credits, _prose)
    return [problem for part in parts for problem in part(notebook)]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def _structure(notebook: NotebookNode) -> Iterator[str]:
    cells = code_cells(notebook)
    if REPOSITORY not in cells[0].source or "pip install" not in cells[0].source:
        yield "the first code cell does not install the package from its repository"
    parameters = [cell for cell in cells if "parameters" in tags(cell)]
    if [_assignments(cell) for cell in parameters] != [PARAMETERS]:
        yield f"there is not one cell tagged 'parameters' that sets exactly {PARAMETERS}"
    if "check(" not in cells[-1].source or "nbval-check-output" not in tags(cells[-1]):
        yield "the last code cell does not check the values, or its output is not compared"


def _outputs(notebook: NotebookNode) -> Iterator[str]:
    for cell in code_cells(notebook):
        if cell.execution_count is None:
            yield f"{cell.id}: not run (no execution count), so its output is never compared"
        for output in cell.outputs:
            kind = output.get("name", output.output_type)
            if "nbval-check-output" in tags(cell) and DECIMAL.search(output.get("text", "")):
                yield f"{cell.id}: a decimal number in a compared output; machines round"
            if kind in {"stderr", "error"}:
                yield f"{cell.id}: {kind} in the stored output"
            text = str(output)
            shown = {k for k in output.get("data", {}) if k.startswith("image/")}
            within = set(re.findall(r"data:(image/[\w+]+)", text))
            refused = (shown - IMAGES) | (within - EMBEDDED)
            if refused:
                yield f"{cell.id}: stored pictures are not {', '.join(sorted(refused))}"
            shown |= within
            if shown & {"image/jpeg", "image/webp"} and CREDIT in text and len(text) > LARGEST:
                yield f"{cell.id}: {len(text) / 1e3:.0f} kB of photographs in one figure"
            if WIDGET in output.get("data", {}):
                yield f"{cell.id}: a widget, which shows nothing without a kernel"
            if any(place in text for place in MACHINE):
                yield f"{cell.id}: a path of the machine that ran it"


def _figures(notebook: NotebookNode) -> Iterator[str]:
    for cell in code_cells(notebook):
        shown = {kind for output in cell.outputs for kind in output.get("data", {})}
        mystnb = cell.metadata.get("mystnb", {})
        figure, image = mystnb.get("figure", {}), mystnb.get("image", {})
        if shown & IMAGES and not (
            figure.get("caption") and figure.get("name") and image.get("alt")
        ):
            yield f"{cell.id}: a figure without caption, name or alt text"


def _credits(notebook: NotebookNode) -> Iterator[str]:
    """Follow photographs through the names that are made of them, to what is shown."""
    made = set(PHOTOGRAPHS)
    for cell in code_cells(notebook):
        shown = False
        for statement in ast.parse(TransformerManager().transform_cell(cell.source)).body:
            nodes = list(ast.walk(statement))
            stored = _names(nodes, ast.Store)
            shown = bool((_names(nodes, ast.Load) - _own(statement, nodes)) & made)
            if isinstance(statement, ast.FunctionDef):
                stored = {statement.name}
            places = [node for node in nodes if isinstance(node, ast.Subscript)]
            filled = [place.value for place in places if isinstance(place.ctx, ast.Store)]
            if shown:
                made = made | stored | _names(filled, ast.Load)
            elif not isinstance(statement, ast.AugAssign):
                made = made - stored
        pictures = [o for o in cell.outputs if "image/" in str(o) and CREDIT not in str(o)]
        if shown and pictures:
            yield f"{cell.id}: photographs of others without their credit"


def _own(statement: ast.stmt, nodes: list[ast.AST]) -> set[str]:
    """Names that a statement gives a value before it uses them."""
    loops = [node.target for node in nodes if isinstance(node, ast.comprehension)]
    given = _names([inner for loop in loops for inner in ast.walk(loop)], ast.Store)
    if isinstance(statement, ast.For | ast.With | ast.FunctionDef):
        given |= _names(nodes, ast.Store) | {n.arg for n in nodes if isinstance(n, ast.arg)}
    return given


def _names(nodes: list[ast.AST], use: type[ast.expr_context]) -> set[str]:
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, use)}


def _prose(notebook: NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            numbers = set(DECIMAL.findall(NOT_PROSE.sub("", cell.source))) - ALLOWED_DECIMALS
            for number in sorted(numbers):
                yield f"{cell.id}: {number} is typed into the prose; glue it, or set it as maths"


def _assignments(cell: NotebookNode) -> dict[str, Any]:
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
