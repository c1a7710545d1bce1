"""A method says once what it is called; a new one is a class and an entry of ``METHODS``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

import xaicore as xc
from tests.networks import QUICK, classifier, pictures
from xaicore import attribution, plot
from xaicore.attribution import METHODS, Explainer
from xaicore.cli.main import main
from xaicore.interpretation import FITTED


class Brightness(Explainer):
    """How bright each pixel is."""

    name = "brightness"
    label = "Brightness"
    family = "no explanation"
    cost = "none"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return images.mean(1, keepdim=True)


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, Brightness.name, Brightness)


@pytest.mark.usefixtures("_registered")
def test_a_new_method_has_its_label_and_colour_in_figures_and_stands_in_the_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert xc.METHODS["brightness"] is Brightness
    assert list(plot.labels())[-2:] == ["brightness", "vebi"]
    assert plot.labels()["brightness"] == "Brightness"
    assert plot.colors()["brightness"] == plot.COLORS["no explanation"]
    index = pd.MultiIndex.from_tuples([("brightness", "AG")], names=["method", "metric"])
    ax = Figure().subplots()
    plot.intervals(pd.DataFrame({"mean": [10.0], "half_width": [1.0]}, index=index), ax, "AG")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Brightness"]
    assert main(["methods"]) == 0
    assert "brightness " in capsys.readouterr().out


@pytest.mark.usefixtures("_registered")
def test_a_new_method_is_known_to_the_command_line_and_needs_no_options(tmp_path: Path) -> None:
    """The tests of all methods make one that they do not know with its defaults."""
    picture, output = tmp_path / "picture.png", tmp_path / "map.png"
    to_pil_image(pictures(1)[0]).save(picture)
    model = ["--model", "tests.xaicore.evaluation.models:small"]
    explain = ["explain", str(picture), "--method", "brightness", "-o", str(output)]
    assert main([*explain, *model]) == 0
    assert output.exists()
    made = METHODS["brightness"](classifier(), **QUICK.get("brightness", {}))  # type: ignore[arg-type]
    assert made(pictures()).shape == (3, 1, 16, 16)


def every_method() -> list[type[Explainer]]:
    """Every class of the package's methods that can be made."""
    modules = [
        importlib.import_module(f"{attribution.__name__}.{module.name}")
        for module in pkgutil.iter_modules(attribution.__path__)
    ]
    classes = {c for module in modules for _, c in inspect.getmembers(module, inspect.isclass)}
    return [c for c in classes if issubclass(c, Explainer) and not inspect.isabstract(c)]


def test_every_method_is_registered_under_a_name_of_its_own() -> None:
    methods = every_method()
    assert sorted(METHODS) == sorted(method.name for method in methods)
    assert set(METHODS.values()) == set(methods)
    for method in [*methods, *FITTED.values()]:
        assert {"name", "label"} <= set(vars(method))
        assert method.family in plot.COLORS
        assert getattr(xc, method.__name__) is method
    assert len(set(plot.labels().values())) == len(METHODS | FITTED)


def test_families_stand_together_in_the_order_of_tables() -> None:
    families = [method.family for method in METHODS.values()]
    assert families == sorted(families, key=list(plot.COLORS).index)
