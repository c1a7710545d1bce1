"""Draw the rooms of the package as its imports have them, and list them."""

import ast
import re
from collections.abc import Iterator
from html import escape
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

PACKAGE = "xaicore"
OUTSIDE = {"__init__", "__main__"}
WIDTH, HEIGHT, GAP, FLOOR = 116, 32, 10, 66
"""Of a room, and of a floor, in the drawing's units."""


class Room:
    """A file or a folder of the package: its name, what it is for, and the rooms it imports."""

    def __init__(self, path: Path) -> None:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        texts = {file: file.read_text(encoding="utf-8") for file in files}
        trees = {file: ast.parse(text) for file, text in texts.items()}
        head = path / "__init__.py" if path.is_dir() else path
        self.name = path.stem
        self.purpose = (ast.get_docstring(trees[head]) or "").partition("\n")[0]
        self.lines = sum(len(text.splitlines()) for text in texts.values())
        self.below = {name for tree in trees.values() for name in imported(tree)} - {self.name}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the rooms whose modules a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}."))


def floors(package: Path) -> list[list[Room]]:
    """Return the rooms floor by floor from the ground: a room stands above all that it imports."""
    entries = [p for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()]
    left = {path.stem: Room(path) for path in sorted(entries) if path.stem not in OUTSIDE}
    for room in left.values():
        room.below &= set(left)
    found: list[list[Room]] = []
    while left:
        found.append([room for room in left.values() if not room.below & set(left)])
        if not found[-1]:
            raise ValueError(f"a circle of imports among {', '.join(left)}")
        left = {name: room for name, room in left.items() if room not in found[-1]}
    return found


def drawing(stack: list[list[Room]]) -> str:
    """Return the floors as SVG; lines lead to what is imported, but where others lead there."""
    columns = max(map(len, stack))
    width, height = columns * (WIDTH + GAP) + GAP, len(stack) * FLOOR
    place = {
        room.name: (
            (width - len(rooms) * (WIDTH + GAP) + GAP) // 2 + i * (WIDTH + GAP),
            height - (level + 1) * FLOOR + (FLOOR - HEIGHT) // 2,
        )
        for level, rooms in enumerate(stack)
        for i, room in enumerate(rooms)
    }
    everyone = {room.name: room for rooms in stack for room in rooms}
    lines = [
        _line(place[room.name], place[other])
        for room in everyone.values()
        for other in sorted(room.below - {n for b in room.below for n in _reached(b, everyone)})
    ]
    boxes = [_box(room, *place[room.name]) for room in everyone.values()]
    return (
        f'<svg class="xc-rooms" viewBox="0 0 {width} {height}" role="img" aria-label="The '
        f"{len(place)} rooms of {PACKAGE} on {len(stack)} floors: a room imports from floors below "
        f'it alone.">{"".join(lines)}{"".join(boxes)}</svg>'
    )


def _reached(name: str, everyone: dict[str, Room]) -> set[str]:
    below = everyone[name].below
    return below | {other for b in below for other in _reached(b, everyone)}


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    middle = WIDTH // 2
    return (
        f'<line x1="{start[0] + middle}" y1="{start[1] + HEIGHT}" '
        f'x2="{end[0] + middle}" y2="{end[1]}"/>'
    )


def _box(room: Room, x: int, y: int) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 5}">{room.name}</text>'
    )


def listing(stack: list[list[Room]]) -> str:
    """Return the rooms as a table, from the top floor down."""
    rows = "".join(
        f'<tr><th scope="row"><code>{room.name}</code></th><td>{_typeset(room.purpose)}</td>'
        f'<td class="number">{room.lines}</td></tr>'
        for rooms in reversed(stack)
        for room in rooms
    )
    return (
        '<div class="xc-table"><div class="xc-scroll" tabindex="0" role="region" '
        'aria-label="The rooms"><table><thead><tr><th scope="col">room</th>'
        '<th scope="col">what it is for</th><th scope="col" class="number">lines</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )


def _typeset(text: str) -> str:
    return re.sub(r"``(.+?)``", r"<code>\1</code>", escape(text))


class Rooms(Directive):
    """The drawing of the rooms, and their table."""

    def run(self) -> list[nodes.Node]:
        """Return both as HTML."""
        spec = find_spec(PACKAGE)
        assert spec is not None
        stack = floors(Path(str(spec.origin)).parent)
        shown = (
            '<div class="xc-scroll" tabindex="0" role="region" aria-label="The floors">'
            f"{drawing(stack)}</div>{listing(stack)}"
        )
        return [nodes.raw("", shown, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
