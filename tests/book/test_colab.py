"""A chapter alone in an empty folder, with the package installed from its wheel, as on Colab.

nbval runs it there and compares the stored outputs: what a visitor sees first is what comes out.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock

from driver.chapter import chapters

ROOT = Path(__file__).parents[2]
NAMES = [chapter.name for chapter in chapters(ROOT)]
HIDDEN = {"PYTHONPATH", "VIRTUAL_ENV", "JUPYTER_PATH", "PYTHONDONTWRITEBYTECODE"}


def uv(*arguments: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="session")
def kernels(tmp_path_factory) -> Path:
    """Return a folder for ``JUPYTER_PATH``: its kernel has the wheel and what runs a notebook.

    It is made once for all processes of a test run.
    """
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "colab"
    spec = folder / "kernels" / "colab" / "kernel.json"
    with FileLock(f"{folder}.lock"):
        if not spec.is_file():
            python = folder / "venv" / "bin" / "python"
            uv("build", "--wheel", ROOT, "--out-dir", folder)
            uv("venv", "--python", sys.executable, folder / "venv")
            (wheel,) = folder.glob("*.whl")
            pins = ["-c", ROOT / "constraints.txt"]
            uv("pip", "install", "--python", python, *pins, f"{wheel}[photographs]", "ipykernel")
            spec.parent.mkdir(parents=True)
            start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            spec.write_text(json.dumps({"argv": start, "display_name": "c", "language": "python"}))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_chapter_runs_alone_and_gives_its_stored_outputs(kernels, tmp_path, name):
    path = tmp_path / f"{name}.ipynb"
    shutil.copy(ROOT / "notebooks" / path.name, path)
    environment = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    environment |= {"JUPYTER_PATH": str(kernels), "XAICORE_DATA": "", "OMP_NUM_THREADS": "1"}
    options = ["-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-kernel-name", "colab"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, path.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert f"{len(cells)} passed" in run.stdout
    assert f"{name} (smoke): all" in cells[-1].outputs[0].text  # which nbval compared


def test_the_kernel_is_the_one_with_the_wheel(kernels):
    python = kernels / "venv" / "bin" / "python"
    where = "import xaicore, xaibook, sys; print(xaicore.__file__, xaibook.__file__)"
    run = subprocess.run([python, "-c", where], capture_output=True, text=True, cwd=kernels)
    assert all(str(kernels / "venv") in place for place in run.stdout.split())
    assert len(run.stdout.split()) == 2
