"""Shape against texture is counted as it is said, on three small pictures."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from studies import shape_bias
from xaicore.classifier import Classifier

SHADES = {"square": 60, "bar": 200}


class Shade(torch.nn.Module):
    """Three classes: dark, bright, and one that nothing is."""

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return torch.stack([9 - 18 * mean, 18 * mean - 9, torch.full_like(mean, -99)], 1)


class Places(torch.nn.Module):
    """Three classes: bright places, dark places, and one that is nowhere."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Conv2d(3, 2, 1)
        torch.nn.init.constant_(self.features.weight[0], 1 / 3)
        torch.nn.init.constant_(self.features.weight[1], -1 / 3)
        self.features.bias.data = torch.tensor([0.0, 1.0])

    def forward(self, x):
        means = self.features(x).mean((2, 3))
        return torch.cat([means, torch.full_like(means[:, :1], -99)], 1)


def silhouette(kind: str, number: int) -> Image.Image:
    """A black square or bar on white, farther to the right with every number."""
    drawn = Image.new("RGB", (224, 224), "white")
    size = (80, 80) if kind == "square" else (40, 180)
    drawn.paste((0, 0, 0), (10 * number, 20, 10 * number + size[0], 20 + size[1]))
    return drawn


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Silhouettes of two categories, and pictures with the shape of one of them."""
    home = tmp_path / "cue_conflict"
    for kind in SHADES:
        (home / "filled-silhouettes" / kind).mkdir(parents=True)
        for number in range(1, 11):
            silhouette(kind, number).save(
                home / "filled-silhouettes" / kind / f"{kind}{number}.png"
            )
    (home / "images").mkdir()
    rows = [("square2-bar1", "bar"), ("square7-square1", "square"), ("bar3-square1", "square")]
    for name, texture in rows:
        shape, number = name.split("-")[0][:-1], int(name.split("-")[0][-1])
        if name.startswith("bar"):
            number = 9  # not the shape that its name says
        mask = silhouette(shape, number).convert("L").point(lambda v: 255 - v)
        drawn = Image.new("RGB", (224, 224), (SHADES[texture],) * 3)
        drawn.paste((SHADES[texture] + 30,) * 3, mask=mask)
        drawn.save(home / "images" / f"{name}.jpg", quality=98)
    listed = [(f"{n}.jpg", n.split("-")[0][:-1], texture) for n, texture in rows]
    pd.DataFrame(listed, columns=["file", "shape", "texture"]).to_csv(
        home / "labels.csv", index=False
    )
    groups = pd.DataFrame({"category": [*SHADES], "imagenet_indices": ["0 2", "1"]})
    groups.to_csv(home / "categories.csv", index=False)
    monkeypatch.setattr(shape_bias, "real_images", lambda: tmp_path)
    cached = ("conflicts", "categories", "silhouette", "outline", "fitting")
    for name in cached:
        getattr(shape_bias, name).cache_clear()
    yield home
    for name in cached:
        getattr(shape_bias, name).cache_clear()


def test_answers_for_shape_and_for_texture_are_counted(folder, monkeypatch):
    model = Classifier(Shade(), [0.0], [1.0])
    monkeypatch.setattr(shape_bias, "real_classifier", lambda *_: model)
    found = shape_bias.decisions("shade")
    # a square of a square is no conflict; the probability of a category is a mean over its classes
    assert found[["shape", "texture"]].to_numpy().tolist() == [[0, 1], [0, 1]]
    right = shape_bias.recognised("shade").groupby("kind")["right"]
    assert right.mean().to_dict() == {"filled-silhouettes": 0.5}  # white paper is bright: a bar


def test_a_silhouette_fits_where_the_picture_changes_along_it(folder):
    square, bar = sorted(shape_bias.conflicts(), key=lambda of: of.shape)[::-1]
    mask = shape_bias.fits(square)
    assert mask.shape == (1, 224, 224)
    assert mask[0, 60, 60] == 1
    assert mask.mean().item() == pytest.approx(80 * 80 / 224**2, rel=0.01)
    assert shape_bias.fits(bar) is None


def test_maps_of_both_classes_are_placed(folder, monkeypatch):
    model = Classifier(Places().eval(), [0.0] * 3, [1.0] * 3, layer="features")
    monkeypatch.setattr(shape_bias, "real_classifier", lambda *_: model)
    found = shape_bias.asked_twice("places").set_index("explained")
    assert found.loc["shape", "inside"] > 0.5  # the square is brighter than its ground
    assert found.loc["texture", "inside"] < 0.1
    assert found["covered"].tolist() == pytest.approx([80 * 80 / 224**2] * 2, rel=0.01)
    assert found["alike"].tolist() == pytest.approx([-1] * 2, abs=1e-3)
