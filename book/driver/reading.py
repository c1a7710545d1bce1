"""A page as its reader meets it: prose, boxes, formulas, figures, tables and code, in order."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

FENCE = re.compile(r"^\s*(`{3,}|:{3,}|~{3,})\s*(?:\{([\w:.-]+)\})?\s*(.*)$")
OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
HEADING = re.compile(r"^(#{1,6})\s+(.*)$")
ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)]|:)\s+")
ROLE = re.compile(r"\{([\w:]+)\}`([^`]*)`")
SPAN = re.compile(r"(`+)(.+?)\1")
TABLE = re.compile(
    r'<div class="(xc-table(?![^"]*xc-claims)[^"]*)" id="([^"]+)">(.*?)</table>', re.DOTALL
)
"""A table that has a number; the matrix of claims has none."""

SHOWN = ("xc-slider", "xc-photographs", "xc-panel", "<svg", "<img")
PLAIN = {"div", "grid", "grid-item", "grid-item-card", "tab-set", "tab-item", "aside", "margin"}
BOXES = {"admonition", "note", "tip", "warning", "important", "seealso", "hint", "dropdown"}
FIGURES = {"figure", "image", "glue:figure", "glue", "glue:any"}
TABLES = {"list-table", "csv-table", "table"}
RECORD = "application/papermill.record/text/plain"
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


@dataclass(frozen=True)
class Part:
    """A piece of a page.

    Attributes:
        kind: ``"text"``, ``"heading"``, ``"label"``, ``"box"``, ``"formula"``, ``"figure"``,
            ``"table"``, ``"code"`` or ``"other"``.
        text: the prose without its markup, the title, or the code.
        raw: what the author wrote.
        name: the label of a heading or a figure, the classes of a box, the language of code.
        box: the classes of the box around it.
        folded: whether the reader must open something to see it.
        cells: how many cells a table has; the level of a heading.
        tags: of the code cell that it is, or comes from.
        executed: whether that cell was run.
    """

    kind: str
    text: str = ""
    raw: str = ""
    name: str = ""
    box: str = ""
    folded: bool = False
    cells: int = 0
    tags: tuple[str, ...] = ()
    executed: bool = False

    @property
    def lines(self) -> list[str]:
        """The lines of code."""
        return self.raw.rstrip().split("\n")


@dataclass(frozen=True)
class Page:
    """A page of the book: its name, and its parts in order."""

    name: str
    parts: tuple[Part, ...]

    @property
    def framed(self) -> bool:
        """Whether it says its findings in short, as a chapter does."""
        return any(part.kind == "box" and "xc-short" in part.name for part in self.parts)


@dataclass(frozen=True)
class Place:
    """Where prose stands: what it may quote, the classes of the boxes around it, whether folded."""

    said: Mapping[str, str] = field(default_factory=dict)
    box: str = ""
    folded: bool = False

    def part(
        self, kind: str, text: str = "", raw: str = "", name: str = "", cells: int = 0
    ) -> Part:
        """Return a part that stands here."""
        return Part(kind, text, raw, name, self.box, self.folded, cells)

    def inside(self, classes: str) -> "Place":
        """Return the place inside a box of these classes."""
        folded = self.folded or "dropdown" in classes
        return Place(self.said, f"{self.box} {classes}", folded)


def page(path: Path, text: str | None = None) -> Page:
    """Read a notebook or a page of Markdown, or the text that it once had."""
    text = path.read_text(encoding="utf-8") if text is None else text
    if path.suffix == ".ipynb":
        return of_notebook(path.stem, nbformat.reads(text, as_version=4))
    return Page(path.stem, tuple(of_markdown(text, Place())))


def of_notebook(name: str, notebook: NotebookNode) -> Page:
    """Return the page that a notebook is, with its stored outputs."""
    place = Place(quoted(notebook))
    parts: list[Part] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts += of_markdown(cell.source, place)
        elif cell.cell_type == "code":
            parts += _of_code(cell)
    return Page(name, tuple(parts))


def quoted(notebook: NotebookNode) -> dict[str, str]:
    """Return what the prose may quote: the texts of ``glue`` by name."""
    said = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get(RECORD)
            if name and text is not None:
                said[name] = str(text).strip("'\"")
    return said


def of_markdown(text: str, place: Place) -> list[Part]:
    """Return the parts of Markdown, boxes opened."""
    found: list[Part] = []
    lines, paragraph = text.split("\n"), list[str]()

    def close() -> None:
        if paragraph:
            raw = "\n".join(paragraph)
            found.append(place.part("text", plain(raw, place.said), raw))
            paragraph.clear()

    at = 0
    while at < len(lines):
        apart = not paragraph and not (found and ITEM.match(found[-1].raw))
        taken, parts = _indented(lines, at, place) if apart else (0, [])
        if not taken:
            taken, parts = _block(lines, at, place)
        if taken:
            close()
            found += parts
            at += taken
            continue
        if not lines[at].strip() or ITEM.match(lines[at]):
            close()
        if lines[at].strip():
            paragraph.append(lines[at])
        at += 1
    close()
    return found


def _block(lines: list[str], at: int, place: Place) -> tuple[int, list[Part]]:
    """Return how many lines the block takes that begins here, none if none does, and its parts."""
    line = lines[at]
    if label := re.match(r"^\(([^)\s]+)\)=\s*$", line):
        return 1, [place.part("label", name=label[1])]
    if heading := HEADING.match(line):
        title = plain(heading[2], place.said)
        return 1, [place.part("heading", title, line, cells=len(heading[1]))]
    if line.strip().startswith(("$$", "\\begin{")):
        taken = _formula(lines, at)
        return taken, [place.part("formula", raw="\n".join(lines[at : at + taken]))]
    if line.lstrip().startswith("|") and "---" in "".join(lines[at + 1 : at + 2]):
        rows = [*takewhile(lambda row: row.lstrip().startswith("|"), lines[at:])]
        cells = (len(rows) - 2) * (rows[0].strip().strip("|").count("|") + 1)
        return len(rows), [place.part("table", cells=cells)]
    if fence := FENCE.match(line):
        taken = _fenced(lines, at, fence[1])
        body = lines[at + 1 : at + taken - 1]
        return taken, _directive(fence[2], fence[3].strip(), body, place)
    return 0, []


def _indented(lines: list[str], at: int, place: Place) -> tuple[int, list[Part]]:
    """Return how many lines of code stand here, indented and without a fence, and their part."""
    taken = len([*takewhile(lambda line: line.startswith("    "), lines[at:])])
    raw = "\n".join(line[4:] for line in lines[at : at + taken])
    return taken, [place.part("code", raw=raw, name="indented")]


def _formula(lines: list[str], place: int) -> int:
    """Return how many lines a displayed formula takes."""
    first = lines[place].strip()
    if first.startswith("$$"):
        if first.count("$$") > 1:
            return 1
        ends = (n for n in range(place + 1, len(lines)) if lines[n].strip().startswith("$$"))
    else:
        name = first[len("\\begin{") :].split("}")[0]
        end = f"\\end{{{name}}}"
        ends = (n for n in range(place, len(lines)) if end in lines[n])
    return next(ends, len(lines) - 1) - place + 1


def _fenced(lines: list[str], place: int, fence: str) -> int:
    """Return how many lines a fenced block takes, its fences among them."""
    for number in range(place + 1, len(lines)):
        closing = lines[number].strip()
        if len(closing) >= len(fence) and set(closing) == {fence[0]}:
            return number - place + 1
    return len(lines) - place


def _directive(name: str | None, title: str, body: list[str], place: Place) -> list[Part]:
    """Return the parts of a fenced block: of code, or of a directive."""
    if name is None:
        return [place.part("code", raw="\n".join(body), name=title)]
    options: dict[str, str] = {}
    for line in takewhile(OPTION.match, body):
        key, _, value = line[1:].partition(":")
        options[key] = value.strip()
    inside = "\n".join(body[len(options) :])
    if name == "math":
        return [place.part("formula", raw=inside)]
    if name in FIGURES:
        return [place.part("figure", name=options.get("name", title))]
    if name in TABLES:
        cells = sum(bool(re.match(r"\s*[*-]?\s*- ", line)) for line in body)
        return [place.part("table", name=options.get("name", ""), cells=cells)]
    if name in BOXES:
        classes = f"{name} {options.get('class', '')}"
        head = place.part("box", plain(title, place.said), title, classes)
        return [head, *of_markdown(inside, place.inside(classes))]
    return of_markdown(inside, place) if name in PLAIN else [place.part("other", name=name)]


def _of_code(cell: NotebookNode) -> Iterator[Part]:
    """Return a code cell and what it shows."""
    tags = tuple(cell.metadata.get("tags", []))
    if "remove-cell" in tags:
        return
    run = cell.get("execution_count") is not None
    code = Part("code", raw=cell.source, name="python", tags=tags, executed=run)
    if "remove-input" not in tags:
        yield replace(code, folded=bool(HIDDEN.intersection(tags)))
    if "remove-output" in tags:
        return
    folded = bool({"hide-output", "hide-cell"}.intersection(tags))
    for part in _shown(cell):
        yield replace(part, folded=folded, tags=tags, executed=run)


def _shown(cell: NotebookNode) -> Iterator[Part]:
    """Return the figures, tables and prose among the outputs of a cell."""
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    drawn = False
    for output in cell.get("outputs", []):
        data = {k: v for k, v in output.get("data", {}).items() if "papermill" not in k}
        html = "".join(data.get("text/html", ""))
        tables = [*TABLE.finditer(html)]
        for found in tables:
            cells = len(re.findall(r"<t[dh]\b", found[3].partition("<tbody>")[2]))
            yield Part("table", name=f"tab:{found[2]}", cells=cells, box=found[1])
        pictures = any(kind.startswith("image/") for kind in data)
        if not tables and (pictures or any(sign in html for sign in SHOWN)):
            drawn = True
        if "text/markdown" in data:
            yield from of_markdown("".join(data["text/markdown"]), Place())
    if figure or drawn:
        yield Part("figure", plain(figure.get("caption", ""), {}), name=figure.get("name", ""))
    if not cell.get("outputs") and _calls_table(cell.source):
        yield Part("table")


def _calls_table(source: str) -> bool:
    """Tell whether a cell that has no output stored ends in a table."""
    try:
        last = ast.parse(source).body[-1]
    except (SyntaxError, IndexError):
        return False
    call = last.value if isinstance(last, ast.Expr) else None
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "table"
    )


def plain(text: str, said: Mapping[str, str]) -> str:
    """Return prose without its markup; what a role stands for is in its place."""

    def role(found: re.Match[str]) -> str:
        kind, target = found.groups()
        if kind.startswith("glue"):
            return said.get(target.split(":.")[0], "0")
        if kind.startswith("cite"):
            return ""
        shown = target.partition("<")[0].strip() if "<" in target else ""
        if kind == "term":
            return shown or target
        return shown or {"numref": "Figure", "eq": "equation", "ref": "section"}.get(kind, "page")

    text = ROLE.sub(role, text)
    text = SPAN.sub("code", text)
    text = re.sub(
        r"\$([^$]+)\$", lambda m: m[1] if re.fullmatch(r"[\d.,%\\ ]+", m[1]) else "x", text
    )
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"</?\w[^>]*>", "", text)
    text = re.sub(r"(?<!\w)[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}(?!\w)", "", text)
    return " ".join(ITEM.sub("", text).split())
