"""A chapter alone in an empty folder, with the package installed from its wheel, as on Colab."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from driver.chapter import chapters

ROOT = Path(__file__).parents[2]
NAMES = [chapter.name for chapter in chapters(ROOT)]


def uv(*arguments: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Return the Python of a new environment that holds the wheel and what runs a notebook."""
    folder = tmp_path_factory.mktemp("colab")
    uv("build", "--wheel", ROOT, "--out-dir", folder)
    uv("venv", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    pins = ["-c", ROOT / "constraints.txt"]
    uv("pip", "install", "--python", python, *pins, wheel, "ipykernel", "nbclient")
    return python


@pytest.mark.parametrize("name", NAMES)
def test_chapter_runs_alone(python, tmp_path, name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(notebook, path)
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "JUPYTER_PATH"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    run = subprocess.run(
        [python, "-m", "jupyter", "execute", "--inplace", "--kernel_name=python3", path.name],
        cwd=tmp_path,
        env={**environment, "XAICORE_DATA": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    last = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"][
        -1
    ]
    assert f"{name} (smoke): all" in last.outputs[0].text
