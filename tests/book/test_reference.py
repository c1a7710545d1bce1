"""The reference lists every public name, and what it says of the package is so."""

import importlib
import inspect
import re
from os.path import normpath
from pathlib import Path

import pytest

import xaicore as xc
import xaicore.interpretation
import xaicore.pictures
from xaibook import claims

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


@pytest.fixture(scope="module")
def methods(pages, site) -> dict[str, object]:
    """Return the section of each method of the reference, by its name on the command line."""
    page = pages[site / "book" / "reference" / "methods.html"]
    places = {
        name: page.find(id=f"method-{name.replace('++', '-plus-plus')}") for name in xc.METHODS
    }
    return {name: place.find_next("h3").find_parent("section") for name, place in places.items()}


def test_a_method_leads_to_the_claims_that_compare_it(methods):
    for name, section in methods.items():
        linked = {a["href"].partition("#claim-")[2] for a in section.select('a[href*="#claim-"]')}
        own = {c.id for c in claims.load()[0] if name in {*c.quantities, c.where.get("method")}}
        assert linked == own, name
    assert sum(len(section.select('a[href*="#claim-"]')) for section in methods.values()) > 100


def test_a_method_leads_to_its_rows(methods, pages, site):
    """To the leaderboard's, and to all others that carry its name."""
    for name, section in methods.items():
        rows = section.select(".xc-judged li a:not([href*='#claim-'])")
        assert len(rows) > 3, name
        for link in rows:
            path, _, anchor = link["href"].partition("#")
            row = pages[Path(normpath(site / "book" / "reference" / path))].find(id=anchor)
            assert row.name == "tr"
            assert xc.METHODS[name].label in [
                cell.get_text() for cell in row.find_all(["th", "td"])
            ]
        board = section.select('.xc-judged > p a[href*="leaderboard.html#board-"]')
        assert len(board) == (xc.METHODS[name].family != "attention"), name


def test_a_method_says_its_limits_and_shows_two_pictures(methods):
    for name, section in methods.items():
        assert "Limits:" in section.get_text(), name
        assert len(section.select(".xc-tile img")) == 2, name


def test_every_card_is_linked_from_the_metrics(pages, site):
    cards = pages[site / "book" / "chapters" / "gallery.html"].select(".xc-card[id]")
    links = pages[site / "book" / "reference" / "metrics.html"].select('a[href*="#measure-"]')
    assert {card["id"] for card in cards} == {link["href"].partition("#")[2] for link in links}
