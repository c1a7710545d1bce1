"""Every line of the table of inputs: what must happen happens."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.xaicore.evaluation.test_hostile import CASES
from tests.xaicore.inputs.hostile import BEFORE
from tests.xaicore.inputs.page import KINDS, PAGE, page
from tests.xaicore.inputs.table import ROWS, Row, meets, outcome

RUN = {f"{row.kind}: {row.given}": row for row in ROWS if not isinstance(row.happens, str)}
ELSEWHERE = [row for row in ROWS if isinstance(row.happens, str)]


@pytest.mark.parametrize("name", RUN)
def test_what_must_happen_happens(name: str) -> None:
    row = RUN[name]
    assert not isinstance(row.happens, str)
    told = outcome(row.happens)
    assert meets(told, row.now), told


def test_the_table_is_large_and_names_each_input_once() -> None:
    assert len(ROWS) >= 60
    assert len({(row.kind, row.given) for row in ROWS}) == len(ROWS)
    assert {row.kind for row in ROWS} == set(KINDS)


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: row.given)
def test_what_is_tested_elsewhere_is_there(row: Row, root: Path) -> None:
    assert isinstance(row.happens, str)
    path, _, name = row.happens.partition("::")
    function, _, case = name.removesuffix("]").partition("[")
    tests, texts = there(root / path)
    assert function in tests
    assert not case or case in texts


@cache
def there(path: Path) -> tuple[set[str], set[str]]:
    """The tests of a file, those of classes as ``Class::test``, and its strings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    inside = {f"{of.name}::{n.name}" for of in classes for n in of.body if hasattr(n, "name")}
    alone = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    texts = {str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    return alone | inside, texts


def test_the_page_shows_the_table() -> None:
    """``python -m tests.xaicore.inputs.page`` makes it so."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_what_evaluate_did_before_is_said_of_its_inputs() -> None:
    assert set(BEFORE) <= set(CASES)
