"""The cell that a reader is to try needs nothing of its page."""

import ast
import builtins
from pathlib import Path

import pytest

from driver.chapter import chapters
from driver.reading import page as read_page
from driver.rules import CONSULTED

ROOT = Path(__file__).parents[2]
TRIED = {
    chapter.name: part.raw
    for chapter in chapters(ROOT)
    for part in read_page(chapter.source).parts
    if "try-it" in part.tags
}


def unknown(code: str) -> set[str]:
    """Return the names that code reads and neither makes nor imports."""
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            made |= {node.name} | {argument.arg for argument in node.args.args}
        elif isinstance(node, ast.Lambda):
            made |= {argument.arg for argument in node.args.args}
    return {node.id for node in names} - made


def test_what_is_unknown_is_found():
    assert unknown("import a.b as c\nd = c(e)\nprint([f for f in d])") == {"e"}


def test_every_framed_chapter_has_one():
    framed = {chapter.name for chapter in chapters(ROOT) if read_page(chapter.source).framed}
    assert framed - {*CONSULTED} <= set(TRIED)


@pytest.mark.parametrize("name", TRIED)
def test_it_knows_every_name_it_uses(name):
    assert unknown(TRIED[name]) == set()
