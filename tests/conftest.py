"""What every test runs under: one thread, as the stored results do, and no window."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch and numpy are loaded, whatever is exported

from pathlib import Path

import matplotlib
import pytest

from driver.data import look_beside

matplotlib.use("agg")

ROOT = Path(__file__).resolve().parents[1]
look_beside(ROOT)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the repository."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the chapters, which take minutes, so that no process is left alone with them."""
    items.sort(key=lambda item: item.path.name != "test_colab.py")
