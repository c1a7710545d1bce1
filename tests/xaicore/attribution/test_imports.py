"""The methods load torch; what few of them need is loaded where they use it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HEAVY = {"torchvision", "pandas", "matplotlib", "scipy", "captum", "PIL", "seaborn", "pyarrow"}


@pytest.mark.parametrize("room", ["attribution", "interpretation"])
def test_no_module_loads_a_heavy_package_when_it_is_imported(room: str, root: Path) -> None:
    for path in sorted((root / "xaicore" / room).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert not HEAVY & {name.partition(".")[0] for name in names}, path.name
