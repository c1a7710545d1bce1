"""Runs in which other networks judge the maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

import xaicore as xc
from tests.networks import Counter, classifier, pooled_network
from tests.xaicore.evaluation.subject import Some, run, same
from tests.xaicore.evaluation.test_command import command, gallery
from xaicore.attribution import GradCAM
from xaicore.classifier import Classifier, to_pixels
from xaicore.cli.main import main
from xaicore.evaluation.batch import Job, Settings
from xaicore.evaluation.dataset import Items
from xaicore.evaluation.estimate import estimate
from xaicore.evaluation.folder import read_records
from xaicore.evaluation.run import Run, Sizes
from xaicore.metrics import average_gain, transfer

__all__ = ["gallery"]

SMALL = "tests.xaicore.evaluation.models:small"


def other(seed: int = 5, **settings: Any) -> Classifier:
    """A network of the same classes with other weights."""
    net = pooled_network()
    torch.manual_seed(seed)
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    return Classifier(net, **settings)


def judged(out: Path | None = None, **options: Any) -> pd.DataFrame:
    judges = options.pop("judges", None) or {"b": other(), "a": classifier()}
    return run(out, metrics=["AG", "transfer"], judges=judges, **options)


def column(records: pd.DataFrame, name: str) -> torch.Tensor:
    return torch.tensor(records[name].to_numpy())


def test_the_network_itself_gives_back_what_it_said() -> None:
    found = judged(judges={"itself": classifier()})
    for kind in "po":
        torch.testing.assert_close(column(found, f"{kind} on itself"), column(found, kind))
    values = found[found["metric"] == "transfer"]
    gained = values["o"] > values["p"]
    assert gained.any()
    assert not gained.all()
    assert values.loc[gained, "value"].to_numpy() == pytest.approx(1)
    assert values.loc[~gained, "value"].isna().all()
    assert (found["failed"] == "").all()


def test_records_keep_what_each_judge_said_and_transfer_follows_from_it() -> None:
    found = judged()
    assert [name for name in found if " on " in name] == ["p on a", "o on a", "p on b", "o on b"]
    values = found[found["metric"] == "transfer"]
    kinds = (torch.stack([column(values, f"{kind} on {n}") for n in "ab"]) for kind in "po")
    again = transfer(column(values, "p"), column(values, "o"), *kinds)
    torch.testing.assert_close(again, column(values, "value"), equal_nan=True)
    model, images = classifier(), Some(12).images
    maps, targets = GradCAM(model)(images, torch.arange(12) % 5), torch.arange(12) % 5
    p, o = xc.confidence(other(), images, maps, targets)
    of_one = values[values["method"] == "grad-cam"]
    torch.testing.assert_close(column(of_one, "p on b"), p)
    torch.testing.assert_close(column(of_one, "o on b"), o)
    assert average_gain(p, o).gt(0).any()


def test_transfer_is_measured_unasked_where_there_are_judges() -> None:
    model = classifier()
    found = xc.evaluate(model, Some(2), {"m": GradCAM(model)}, judges={"b": other()})
    assert list(found["metric"].unique()) == ["AD", "AG", "AI", "transfer"]
    report = xc.summarize(found)
    assert report.loc[("m", "transfer"), "n"] <= report.loc[("m", "AG"), "n"]


def test_a_run_on_disk_goes_on_with_the_same_judges_alone(tmp_path: Path) -> None:
    whole = judged(tmp_path / "run", count=6)
    same(judged(count=6), whole)
    (tmp_path / "run" / "chunks" / "000001.parquet").unlink()
    swapped = {"a": classifier(), "b": other()}  # the order in which they are given is no matter
    same(whole, judged(tmp_path / "run", count=6, judges=swapped))
    for given in ({"a": other()}, {"a": classifier()}):
        with pytest.raises(ValueError, match=r"holds another run.*measured judges"):
            judged(tmp_path / "run", count=6, judges=given)


def test_a_batch_is_judged_as_its_images_are() -> None:
    together, alone = judged(count=4, batch_size=4), judged(count=4, batch_size=1)
    for name in ("value", "o on a", "o on b"):
        torch.testing.assert_close(column(together, name), column(alone, name), equal_nan=True)


def named(*classes: str) -> Classifier:
    return classifier(classes=classes)


REFUSED = {
    "for transfer give judges": {"judges": {}},
    "no metric asks them: name transfer": {"metrics": ["AD"], "judges": {"b": classifier()}},
    "must be a dictionary of classifiers": {"judges": [classifier()]},
    "b must be a Classifier, not a Sequential": {"judges": {"b": pooled_network()}},
    "b: the classifier is in training mode": {"judges": {"b": classifier().train()}},
    "b takes 1 channels, the network 3": {
        "judges": {"b": Classifier(nn.Flatten().eval(), (0.5,), (1,))}
    },
    "class 1 is 'cat' to b and 'dog' to the network": {"judges": {"b": named("ant", "cat")}},
    "b has 4 classes, the network 5": {"judges": {"b": Classifier(pooled_network(classes=4))}},
    "b cannot judge the images: mm: mat1": {"judges": {"b": Classifier(nn.Linear(7, 5).eval())}},
}


@pytest.mark.parametrize(("told", "given"), REFUSED.items())
def test_what_cannot_judge_is_refused_at_the_door(told: str, given: dict[str, Any]) -> None:
    model = named("ant", "dog", "eel", "fly", "gnu")
    with pytest.raises(ValueError, match=told):
        xc.evaluate(model, Some(2), {"m": GradCAM(model)}, **given)


def test_a_dry_run_counts_what_passes_the_judges() -> None:
    """Of each image: two forwards of the network, and two of every judge that is another."""
    counters = [Counter(judge.net).eval() for judge in (classifier(), other(), other(6))]
    model, *judges = (Classifier(counter, layer="net.5") for counter in counters)
    settings = Settings(("AD", "transfer"), judges=dict(enumerate(judges)))  # type: ignore[arg-type]
    plan = Run(Job(model, {"m": GradCAM(model)}, settings), Items(Some(4)), Sizes(2))
    told = estimate(plan)
    assert told.forwards == 2 + 2 * 2
    assert counters[1].forwards == counters[2].forwards == 2 * (1 + 2)  # a batch of one, then two


def test_the_command_names_judges_as_it_names_the_network(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(command(gallery, out, "--limit", 4, "--judges", SMALL)) == 0
    found = read_records(out)
    assert list(found["metric"].unique()) == ["AD", "AG", "AI", "transfer"]
    torch.testing.assert_close(column(found, f"o on {SMALL}"), column(found, "o"))
    assert main(["report", str(out), "--no-pictures"]) == 0
    assert "how much of the gain" in (out / "report" / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    for more, told in (
        (["--metrics", "transfer"], "for transfer give judges"),
        (["--metrics", "ad", "--judges", SMALL], "no metric asks them"),
        (["--judges", "nonesuch"], "no classification network called 'nonesuch'"),
    ):
        assert main(command(gallery, tmp_path / "other", *more)) == 2
        assert told in capsys.readouterr().err


def test_a_judge_may_see_another_size() -> None:
    judge = other(transform=to_pixels(v2.Resize((20, 20))))
    found = judged(count=2, judges={"b": judge})
    assert found["o on b"].between(0, 1).all()
