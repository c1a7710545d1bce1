"""The examples in docstrings give what they print."""

import doctest
import importlib
import pkgutil
import re
from pydoc import locate

import pytest
import torch
from torch import nn

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
TOLD = {
    "Explainer",
    *(f"metrics.{name}" for name in ("ADCC", "CausalCurves", "CurveEnds", "Measure")),
    *(f"interpretation.{name}" for name in ("BackwardRules", "Decoupled", "Field", "Layer")),
    *(f"interpretation.{name}" for name in ("RelevantFeatures", "Stability", "Unit")),
    *("Explanation", "interpretation.Visualisation"),
}
"""What is returned, or written by those who add something: shown where it is used."""


@pytest.fixture(scope="module")
def names():
    """What the examples of the reference speak of, as its page says."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(*layers, nn.Linear(4, 3)).eval()
    size = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 3}
    transformer = timm.create_model("vit_tiny_patch16_224", **size).eval()
    left = torch.zeros(2, 1, 16, 16)
    left[..., :8] = 1
    return {
        "torch": torch,
        "xc": xaicore,
        "model": xaicore.Classifier(net, layer=net[1]),
        "tokens": xaicore.Classifier(transformer, layer=transformer.blocks[-1].norm1),
        "images": torch.rand(2, 3, 16, 16),
        "pictures": torch.rand(2, 3, 32, 32),
        "targets": torch.tensor([0, 2]),
        "left": left,
    }


@pytest.mark.parametrize("name", ["xaicore", "xaibook", *MODULES])
def test_examples_give_what_they_print(name, names):
    found = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert found.failed == 0
    assert found.attempted or name not in SHOWN


@pytest.mark.parametrize("page", ["methods", "metrics", "training", "classifier", "evaluation"])
def test_every_entry_of_the_reference_has_an_example(root, page):
    text = (root / "book" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    entries = set(re.findall(r"^\.\. auto(?:function|class):: xaicore\.(\S+)", text, re.MULTILINE))
    code = "".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    shown = set(re.findall(r"\w+", code))
    without = [
        entry
        for entry in entries - TOLD
        if ">>> " not in (locate(f"xaicore.{entry}").__doc__ or "")
        and entry.split(".")[-1] not in shown
    ]
    assert without == []


def test_what_is_told_elsewhere_is_in_the_reference(root):
    pages = (root / "book" / "reference").glob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert [name for name in TOLD if f":: xaicore.{name}\n" not in text] == []
