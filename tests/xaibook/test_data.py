"""Real pictures are where the variable says, or beside the checkout."""

import os

import pytest

from driver.data import look_beside
from xaibook.data import find_data


def test_the_variable_names_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XAICORE_DATA", str(tmp_path))
    assert find_data() == tmp_path.resolve()


def test_an_empty_variable_means_no_data(monkeypatch):
    monkeypatch.setenv("XAICORE_DATA", "")
    assert find_data() is None


def test_a_variable_that_names_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("XAICORE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"XAICORE_DATA names .*nowhere"):
        find_data()


@pytest.mark.parametrize("stated", [None, "", "elsewhere"])
def test_a_checkout_looks_beside_itself_where_nothing_is_stated(stated, tmp_path, monkeypatch):
    monkeypatch.setenv("XAICORE_DATA", stated or "")
    if stated is None:
        monkeypatch.delenv("XAICORE_DATA")
    look_beside(tmp_path / "repository")
    assert os.environ.get("XAICORE_DATA") == stated
    (tmp_path / "shared" / "data").mkdir(parents=True)
    look_beside(tmp_path / "repository")
    found = str((tmp_path / "shared" / "data").resolve())
    assert os.environ["XAICORE_DATA"] == (found if stated is None else stated)
