"""The examples in docstrings give what they print."""

import doctest
import importlib
import pkgutil

import pytest

import xaibook
import xaicore

MODULES = [
    info.name
    for package in (xaicore, xaibook)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.name.endswith("__main__")
]
SHOWN = {"xaicore", "xaibook.flowers.dataset"}
"""Modules whose examples the documentation counts on."""


@pytest.mark.parametrize("name", ["xaicore", "xaibook", *MODULES])
def test_examples_give_what_they_print(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted or name not in SHOWN
