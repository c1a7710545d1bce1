"""Every snippet printed in the README, the pages and the text of notebooks runs as printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

import xaicore as xc
from tests.book.snippets import LANGUAGES, Reader, Snippet, check_shell, snippets
from tests.xaicore.inputs.subjects import small_resnet
from xaibook.data import find_data
from xaibook.flowers import Flowers, flower_classifier
from xaicore.attribution import opticam
from xaicore.metrics.causal import CAUSAL_PROTOCOLS, CausalProtocol
from xaicore.training import ca_stream
from xaicore.training.interpretable_gradients import InterpretableGradient, both_gradients
from xaicore.training.loop import fit

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for folder, kind in (
        (ROOT, "*.md"),
        (ROOT / "book", "*.md"),
        (ROOT / "book" / "reference", "*.md"),
        (ROOT / "notebooks", "*.ipynb"),
    )
    for path in sorted(folder.glob(kind))
    if any(snippet.language in LANGUAGES for snippet in snippets(path))
]

NOT_RUN = {
    "make book": "an hour; `make` is tested by its own tests",
    "git clone": "needs a network",
    "torchrun": "needs as many GPUs",
    "xaicore train interpretable-gradient": "ten minutes",
    "xaicore leaderboard": "minutes; tests of the book's package score few pictures",
    "pair = pretrain(a, b": "minutes; tests of the book's package train a little",
}
"""Why blocks that begin like this are read by the shell and the parsers alone."""


def photographs(folder: Path) -> dict[str, Any]:
    """A photograph, a folder of them, and one of validation with its labels and boxes."""
    bands = [Image.linear_gradient("L").rotate(90 * turn).resize((60, 40)) for turn in range(3)]
    photo = Image.merge("RGB", bands)
    photo.save("photo.jpg")
    for name in ("photos", "val"):
        (folder / name).mkdir()
        photo.save(folder / name / "a.jpg")
    (folder / "labels.csv").write_text("file,label\na.jpg,2\n")
    (folder / "boxes.csv").write_text("file,x0,y0,x1,y1\na.jpg,10,10,40,30\n")
    return {"images": torch.rand(1, 3, 64, 64), "targets": torch.tensor([1])}


def own(folder: Path) -> dict[str, Any]:
    """A network, and a data set with boxes; a module that returns the network."""
    named = photographs(folder)
    net = small_resnet()
    (folder / "my_network.py").write_text(
        "import xaicore as xc\nfrom tests.networks import classifier as build\n"
    )
    dataset = [(image, 1) for image in named["images"]]
    normal = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "other": xc.Classifier(small_resnet())}
    return (
        named | normal | {"net": net, "dataset": dataset, "boxes": [torch.tensor([[8, 8, 40, 40]])]}
    )


def shared(folder: Path) -> dict[str, Any]:
    """The shared data, where they are."""
    data = find_data()
    if data is None or not (data / "small" / "pneumonia_cnn.pt").is_file():
        pytest.skip("the X-rays and their network are not here: set XAICORE_DATA")
    return {}


def flowers(folder: Path) -> dict[str, Any]:
    """What the chapter on interpretable gradients speaks of."""
    test, model = Flowers("species", "test", 32), flower_classifier()
    names = {"net": model.net, "inputs": model.normalised(test.images), "targets": test.targets}
    known = {"both_gradients": both_gradients, "InterpretableGradient": InterpretableGradient}
    return names | known | {"fit": fit}


def reference(folder: Path) -> dict[str, Any]:
    """A classifier, a data set, and a batch of it."""
    dataset, model = Flowers("species", "train", 64), flower_classifier()
    images, targets = dataset.images[:8], dataset.targets[:8]
    normalised = model.normalised(images)
    return {
        "model": model,
        "dataset": dataset,
        "normalised": normalised,
        "net": small_resnet(),
        **photographs(folder),
        "images": images,
        "targets": targets,
    }


PREPARED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "README.md": photographs,
    "book/how_to_run.md": own,
    "book/how_to_xrays.md": shared,
    "book/coming_from.md": own,
    **dict.fromkeys(
        (
            f"book/how_to_{page}.md"
            for page in ("photograph", "layer", "own_network", "hugging_face", "train", "trouble")
        ),
        photographs,
    ),
    "notebooks/interpretable_gradients.ipynb": flowers,
    **{f"book/reference/{page}.md": reference for page in ("training", "classifier", "evaluation")},
}
"""What a reader of a page has; of others nothing."""


def readme(names: dict[str, Any]) -> None:
    assert len(list(Path("maps").iterdir())) == 2
    assert names["pixels"].shape == (1, 3, 224, 224)
    assert names["found"].name == "tabby"
    assert names["gain"].shape == (1,)


def xrays(names: dict[str, Any]) -> None:
    drawn = np.asarray(Image.open("map.png").convert("RGB")).astype(int)
    assert drawn.std() > 10
    assert names["explanation"].name == "pneumonia"
    records = xc.read_records("runs/chest")
    assert (records["failed"] == "").all()
    drops = records[records["metric"] == "AD"].groupby("method")["value"].mean()
    assert drops["opti-cam"] < drops["noise"]
    assert drops["grad-cam"] < drops["noise"]
    again = names["records"].query("metric == 'AD' and method == 'grad-cam'")["value"].mean()
    assert again == pytest.approx(drops["grad-cam"], rel=1e-4)


def colours(names: dict[str, Any]) -> None:
    """Each of two labels is measured by itself: the map of one may hide the other."""
    records = xc.read_records("runs/colours")
    assert len(records.drop_duplicates("image")) == 6
    drops = records[records["metric"] == "AD"].groupby("method")["value"].max()
    assert drops["grad-cam"] == pytest.approx(0, abs=1e-6)
    assert drops["noise"] > 0.05
    assert not torch.equal(names["yes"], names["no"])


ENDED: dict[str, Callable[[dict[str, Any]], None]] = {
    "README.md": readme,
    "book/how_to_xrays.md": xrays,
    "book/how_to_labels.md": colours,
}
"""What holds when a reader has come to the end of a page, with the names of its programs."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the reader is; modules of pages are not remembered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for page in PAGES:
        for snippet in snippets(ROOT / page):
            if snippet.file:
                monkeypatch.delitem(sys.modules, snippet.file[:-3], raising=False)
    return tmp_path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of torchvision with few layers and random weights, and little training."""

    def network(name: str, weights: object = None) -> models.ResNet:
        net = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
        net.conv1.stride = (8, 8)
        return net

    monkeypatch.setattr(models, "get_model", network)
    paper = replace(opticam.PRESETS["paper"], iterations=2)
    monkeypatch.setitem(opticam.PRESETS, "paper", paper)
    monkeypatch.setitem(CAUSAL_PROTOCOLS, "paper", CausalProtocol(steps=8))
    monkeypatch.setitem(ca_stream.RECIPES, "quick", replace(ca_stream.RECIPES["quick"], epochs=1))
    few = Flowers("species", "train", 128)
    for name in ("training_set", "validation_set"):
        monkeypatch.setattr(f"xaibook.flowers.{name}", lambda: few)


def not_run(snippet: Snippet) -> bool:
    return any(snippet.code.startswith(start) for start in NOT_RUN)


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run_as_printed(page: str, place: Path, short: None) -> None:
    reader = Reader(PREPARED[page](place) if page in PREPARED else {})
    for snippet in snippets(ROOT / page):
        if snippet.language == "bash":
            check_shell(snippet)
        if snippet.language in LANGUAGES and not not_run(snippet):
            reader.read(snippet)
    if page in ENDED:
        ENDED[page](reader.names)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_names_its_language(page: str) -> None:
    assert [s.code for s in snippets(ROOT / page) if not s.language] == []


def test_what_is_not_run_is_printed_somewhere() -> None:
    printed = [snippet for page in PAGES for snippet in snippets(ROOT / page)]
    unused = [start for start in NOT_RUN if not any(s.code.startswith(start) for s in printed)]
    assert unused == []
