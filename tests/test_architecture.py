"""Imports point one way, one file registers hooks, and the package holds code alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = [
    {
        "classifier",
        "files",
        "folding",
        "framing",
        "html",
        "masking",
        "pictures",
        "processes",
        "versions",
        "weights",
    },
    {"attribution"},
    {"interpretation", "models"},
    {"metrics", "plot", "training"},
    {"evaluation", "explanation"},
    {"cli"},
]
"""The rooms of xaicore from the ground up: a room imports from itself and from the floors below."""

PARTS = {
    "xaicore": set(),
    "book/xaibook": {"xaicore"},
    "book/studies": {"xaicore", "xaibook", "benchmarks"},
    "book/driver": set(),
    "book/_ext": {"xaibook"},
}
"""What each part of the repository imports of the others."""

OURS = {"xaicore", "xaibook", "studies", "driver", "benchmarks", "notebooks", "tests"}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the whole module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path, package: Path) -> str:
    """The room of a file: the folder, or the file itself, that lies in the package."""
    return path.relative_to(package).with_suffix("").parts[0]


def of_room(package: Path, name: str) -> set[str]:
    """What the file or the files of a room import."""
    files = [package / f"{name}.py"] if (package / f"{name}.py").is_file() else []
    return {m for file in (*files, *(package / name).rglob("*.py")) for m in imports(file)}


def test_imports_go_down(root):
    floor = {name: level for level, rooms in enumerate(FLOORS) for name in rooms}
    up = []
    for path in sorted((root / "xaicore").rglob("*.py")):
        here = room(path, root / "xaicore")
        if here in {"__init__", "__main__"}:
            continue
        for module in imports(path):
            package, _, rest = module.partition(".")
            there = rest.partition(".")[0]
            known = package == "xaicore" and there in floor and there != here
            if known and floor[there] >= floor[here] > 0:
                up.append(f"{path.relative_to(root)} imports {module}")
    assert up == []


def test_every_room_has_its_floor(root):
    entries = [path for path in (root / "xaicore").iterdir() if path.name != "__pycache__"]
    rooms = {path.stem for path in entries if path.is_dir() or path.suffix == ".py"}
    assert rooms - {"__init__", "__main__"} == set().union(*FLOORS)


def test_the_ground_has_no_circle(root):
    below = {
        name: {m.split(".")[1] for m in of_room(root / "xaicore", name) if "xaicore." in m} - {name}
        for name in FLOORS[0]
    }
    while below:
        free = [name for name, others in below.items() if not others & set(below)]
        assert free, f"a circle among {', '.join(below)}"
        below = {name: others for name, others in below.items() if name not in free}


@pytest.mark.parametrize("part", PARTS)
def test_parts_know_what_they_may(root, part):
    own = Path(part).name
    foreign = {
        f"{path.relative_to(root)} imports {module}"
        for path in (root / part).rglob("*.py")
        for module in imports(path)
        if module.partition(".")[0] in OURS - PARTS[part] - {own}
    }
    assert foreign == set()


def test_one_file_registers_hooks_on_modules(root):
    registering = {
        path.relative_to(root).as_posix()
        for folder in ("xaicore", "book/xaibook", "book/studies")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and re.fullmatch(r"register_\w*(forward|backward|module)\w*_hook", node.attr)
    }
    assert registering == {"xaicore/attribution/capture.py"}


def test_the_package_holds_code_alone(root):
    files = (path for path in (root / "xaicore").rglob("*") if path.is_file())
    kinds = {path.suffix or path.name for path in files if "__pycache__" not in path.parts}
    assert kinds <= {".py", ".pyi", ".typed"}
