"""The reference lists every public name, and what it says of the package is so."""

import importlib
import inspect
import re

import pytest

import xaicore as xc
import xaicore.interpretation
import xaicore.pictures

COMMANDS = (
    "explain",
    "evaluate",
    "report",
    "methods",
    "train ca-stream",
    "train interpretable-gradient",
)


def public() -> dict[str, object]:
    """Return what a user may import, by its full name."""
    packages = (xc, xc.metrics, xc.plot, xaicore.interpretation, xaicore.pictures)
    return {
        f"{package.__name__}.{name}": getattr(package, name)
        for package in packages
        for name in dir(package)
        if _made(name, getattr(package, name))
    }


def _made(name: str, it: object) -> bool:
    made = inspect.isfunction(it) or inspect.isclass(it)
    return made and not name.startswith("_") and it.__module__.startswith("xaicore.")


@pytest.fixture(scope="module")
def listed(pages, site) -> set[str]:
    """Return the anchors of the reference."""
    folder = site / "book" / "reference"
    return {
        entry["id"]
        for path, page in pages.items()
        if path.parent == folder
        for entry in page.select("dt.sig[id]")
    }


def test_every_public_name_is_in_the_reference(listed):
    described = {id(resolve(name)) for name in listed}
    assert [name for name, it in public().items() if id(it) not in described] == []


def test_the_search_knows_every_entry(listed, site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert sorted(name for name in listed if name.rpartition(".")[2] not in index) == []


def test_the_architecture_names_what_exists(root):
    text = (root / "book" / "reference" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`(xaicore\.[\w.]+)`", text)
    assert len(names) > 10
    for name in names:
        resolve(name)


def resolve(name: str) -> object:
    """Return what a dotted name means: an attribute of its package, else a module in it."""
    package, _, last = name.rpartition(".")
    if not package:
        return importlib.import_module(name)
    outer = resolve(package)
    return getattr(outer, last) if hasattr(outer, last) else importlib.import_module(name)


def test_rooms_are_drawn_as_they_import(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    rooms = importlib.import_module("rooms")
    floors = rooms.floors(root / "xaicore")
    place = {room.name: level for level, floor in enumerate(floors) for room in floor}
    for floor in floors:
        for room in floor:
            assert room.purpose, f"xaicore/{room.name} does not say what it is for"
            assert all(place[below] < place[room.name] for below in room.below)
    assert place["masking"] == 0
    assert place["cli"] == len(floors) - 1


def test_a_circle_of_imports_is_refused(root, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    rooms = importlib.import_module("rooms")
    (tmp_path / "a.py").write_text("import xaicore.b", encoding="utf-8")
    (tmp_path / "b.py").write_text("from xaicore.a import x", encoding="utf-8")
    with pytest.raises(ValueError, match="circle of imports among a, b"):
        rooms.floors(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_is_shown(pages, site, command):
    page = pages[site / "book" / "reference" / "command_line.html"]
    assert f"xaicore {command} --help" in page.get_text()
