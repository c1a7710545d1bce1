"""The page on networks of one channel, run as printed on the X-rays and the network beside them."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xaicore as xc
from xaibook.data import find_data
from xaicore.cli.main import main

EACH = 6
"""How many X-rays of each class."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the weights and some X-rays, in which the page's reader would be."""
    data = find_data()
    if data is None or not (data / "small" / "pneumonia_cnn.pt").is_file():
        pytest.skip("the X-rays and their network are not here: set XAICORE_DATA")
    (tmp_path / "pneumonia_cnn.pt").symlink_to(data / "small" / "pneumonia_cnn.pt")
    arrays = np.load(data / "small" / "pneumoniamnist_subset.npz")
    images, labels = arrays["test_images"], arrays["test_labels"].ravel()
    for label, name in enumerate(("normal", "pneumonia")):
        place = tmp_path / "xrays" / name
        place.mkdir(parents=True)
        for number, image in enumerate(images[labels == label][:EACH]):
            Image.fromarray(image).save(place / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chest", raising=False)
    return tmp_path


def test_the_page_runs_as_printed(
    folder: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (root / "book" / "how_to_run.md").read_text(encoding="utf-8")
    section = page[page.index("(one-channel)=") :]
    section = section[: section.index("\nMany methods")]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (_, module), (_, commands), (_, python) = blocks
    (folder / "chest.py").write_text(module)
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        assert program == "xaicore"
        assert main(words) == 0, line
    printed = capsys.readouterr().out
    assert f"of {2 * EACH} images" in printed
    drawn = np.asarray(Image.open(folder / "map.png").convert("RGB")).astype(int)
    assert drawn.std() > 10
    exec(python, {})
    assert capsys.readouterr().out.startswith("pneumonia 0.")
    records = xc.read_records(folder / "runs" / "chest")
    assert (records["failed"] == "").all()
    assert set(records["method"]) == {"grad-cam", "opti-cam", "noise"}
    of_opti = records.query("method == 'opti-cam' and metric == 'AD'")["value"].mean()
    assert of_opti < records.query("method == 'noise' and metric == 'AD'")["value"].mean()
