"""What a run costs is told by its first passes, and what fails at once is given up at once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import xaicore as xc
from tests.networks import ATTENTION, QUICK, Counter, classifier, pictures
from tests.xaicore.evaluation.subject import Some, run, same
from xaicore.attribution import METHODS
from xaicore.attribution.explainer import Explainer
from xaicore.classifier import Classifier
from xaicore.cli.main import main
from xaicore.evaluation.batch import Job, Settings
from xaicore.evaluation.dataset import Items
from xaicore.evaluation.estimate import Estimate, estimate
from xaicore.evaluation.price import bill
from xaicore.evaluation.run import Run, Sizes

PLAIN = sorted(set(METHODS) - ATTENTION)


def counting() -> tuple[Counter, Classifier]:
    counter = Counter(classifier().net).eval()
    return counter, Classifier(counter, layer="net.5")


def job_of(model: Classifier, name: str, *metrics: str, **given: object) -> Job:
    made = METHODS[name](model, **(given or QUICK.get(name, {})))
    return Job(model, {name: made}, Settings(metrics or ("AD",)))


@pytest.mark.parametrize("name", PLAIN)
def test_a_method_says_how_many_images_will_pass(name: str) -> None:
    """So many pass; what the bill counts besides are the image itself and its masking."""
    counter, model = counting()
    job = job_of(model, name)
    items = [Items(Some(2))[place] for place in range(2)]
    whole = bill(job, items, patience=60)
    assert whole.price.forwards == counter.forwards
    assert not whole.partly
    assert not whole.failure
    own = job.methods[name].forwards((16, 16), 6)  # type: ignore[union-attr]
    if own is not None:
        assert whole.price.forwards == 2 * own + 2 + 2


@pytest.mark.parametrize("name", ["score-cam", "opti-cam", "rise", "smoothgrad", "occlusion"])
def test_the_first_passes_tell_the_price_of_all(name: str) -> None:
    many = {"opti-cam": {"iterations": 50}, "rise": {"masks": 400}, "smoothgrad": {"samples": 90}}
    given = many.get(name, {"batch_size": 1})
    items = [Items(Some(2))[place] for place in range(2)]
    prices = {}
    for patience in (60, 0):
        counter, model = counting()
        found = bill(job_of(model, name, **given), items, patience)
        assert found.partly == (set() if patience else {name})
        prices[patience] = found.price, counter.forwards
    (whole, all_passed), (told, passed) = prices[60], prices[0]
    assert told.forwards == whole.forwards == all_passed
    assert passed < all_passed / 2
    assert told.backwards == pytest.approx(whole.backwards, rel=0.1, abs=2)


def test_measures_that_make_maps_again_and_curves_are_priced_whole() -> None:
    counter, model = counting()
    items = [Items(Some(1))[0]]
    metrics = "MS", "ADCC", "insertion", "deletion"
    cheap = bill(job_of(model, "rise", *metrics, masks=30), items, patience=60)
    before = counter.forwards
    told = bill(job_of(model, "rise", *metrics, masks=3000), items, patience=0)
    assert counter.forwards - before < 600
    each = 1 + 3000
    shared, others = 1 + 2, 2  # the image and the ends of curves; two of ADCC
    assert cheap.price.forwards == shared + 13 * 31 + 2 * 15 + others
    assert told.price.forwards == pytest.approx(13 * each + 2 * 15 + 5, rel=0.001)


def dry(model: Classifier, **methods: Explainer) -> Estimate:
    job = Job(model, methods, Settings(("AD",)))
    return estimate(Run(job, Items(Some(12)), Sizes(2)))


def test_a_dry_run_does_not_make_long_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaicore.evaluation.estimate.PATIENCE", 0)
    counter, model = counting()
    told = dry(model, rise=xc.RISE(model, masks=100_000), cam=xc.CAM(model))
    assert counter.forwards < 1000
    assert told.forwards == pytest.approx(100_000 + 4)
    assert told.partly == ("rise",)
    assert "of rise the first passes, which tell the pace of all" in str(told)


def test_a_dry_run_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    job = Job(model, {"cam": xc.CAM(model)}, Settings(("AD",)))
    one = Run(job, Items(Some(12)), Sizes(2))
    estimate(one, shown=True)
    assert "batch 1, cam" in capsys.readouterr().err
    estimate(one)
    assert capsys.readouterr().err == ""


class Failing(Explainer):
    """Fails for the images that its reasons are for."""

    def __init__(self, model: Classifier, reasons: dict[float, str] | str) -> None:
        super().__init__(model)
        self.reasons = reasons
        self.calls = 0

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        self.calls += 1
        for image in images:
            known = self.reasons
            reason = known if isinstance(known, str) else known.get(image.sum().item(), "")
            if reason:
                raise ValueError(reason)
        return images[:, :1]


Failing.name = "failing"
Failing.cost = "nothing"


class TestGivenUp:
    def test_a_method_that_fails_alike_is_not_called_again(self, tmp_path: Path) -> None:
        model = classifier()
        failing = Failing(model, "no luck")
        methods = {"cam": xc.CAM(model), "failing": failing}
        with pytest.warns(UserWarning, match=r"no luck|12 of 12") as told:
            found = run(tmp_path, model=model, methods=methods, metrics=["AD"])
        assert failing.calls == 3
        words = [str(one.message) for one in told]
        assert "failing fails for the first 3 images and is given up: no luck" in words
        assert "12 of 12 images failed: see records['failed']" in words
        of = found[found["method"] == "failing"]
        assert (of["failed"] == "no luck").all()
        assert len(of) == 12
        alone = run(model=model, methods={"cam": xc.CAM(model)}, metrics=["AD"])
        same(found[found["method"] == "cam"].reset_index(drop=True), alone)

    def test_where_all_fail_nothing_is_measured(self, tmp_path: Path) -> None:
        model = classifier()
        methods = {name: Failing(model, f"no {name}") for name in ("luck", "fun")}
        with pytest.raises(ValueError, match=r"first 3 images, .*; luck: no luck; fun: no fun"):
            run(tmp_path / "run", model=model, methods=methods)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("failed", [2, 3])
    def test_other_failures_are_those_of_images(self, failed: int) -> None:
        """Two of three, or three for different reasons."""
        model, data = classifier(), Some(5)
        reasons = {
            data[i][0].sum().item(): "no luck" if failed == 2 else f"no luck {i}"
            for i in range(failed)
        }
        methods = {"failing": Failing(model, reasons)}
        with pytest.warns(UserWarning, match=f"{failed} of 5 images failed"):
            found = run(model=model, dataset=data, methods=methods, metrics=["AD"])
        assert (found["failed"] != "").tolist() == [True] * failed + [False] * (5 - failed)

    def test_three_images_are_all_tried(self) -> None:
        model = classifier()
        with pytest.warns(UserWarning, match="3 of 3 images failed"):
            run(model=model, count=3, methods={"failing": Failing(model, "no luck")})

    def test_a_map_is_only_begun(self) -> None:
        counter, model = counting()
        rise = xc.RISE(model, masks=1000, batch_size=10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(model=model, count=4, methods={"rise": rise}, metrics=["AD"], batch_size=4)
        assert counter.forwards <= 4 * (1 + 1 + 1000 + 1) + (1 + 1 + 3 * 10)

    def test_images_that_cannot_be_had_are_passed_over(self) -> None:
        model = classifier()
        bad: dict[int, Any] = {i: ValueError("gone") for i in (0, 2)}
        methods = {"cam": xc.CAM(model), "failing": Failing(model, "no luck")}
        with pytest.warns(UserWarning, match="is given up: no luck"):
            found = run(dataset=Some(8, bad), model=model, methods=methods, metrics=["AD"])
        by_image = found[found["method"] == "failing"]["failed"].tolist()
        assert by_image == ["gone", "no luck", "gone", *["no luck"] * 5]

    def test_a_cut_gradient_is_found_at_once(self) -> None:
        """Saying so takes passes of its own, which are no part of a map."""

        class Cut(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = classifier().net

            def forward(self, images: Tensor) -> Tensor:
                return self.net(images).detach()

        model = Classifier(Cut().eval(), layer="net.5")
        names = ["grad-cam", "saliency", "opti-cam", "integrated-gradients", "score-cam"]
        methods = {name: METHODS[name](model, **QUICK.get(name, {})) for name in names}
        with pytest.warns(UserWarning, match="is given up: no gradient reaches"):
            found = run(model=model, count=5, methods=methods, metrics=["AD"])
        reasons = found.groupby("method", sort=False)["failed"].unique()
        assert list(reasons["score-cam"]) == [""]
        for name in names[:-1]:
            (reason,) = reasons[name]
            assert "Cut cuts the gradient inside" in reason

    def test_the_command_line_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = ["evaluate", "--model", "tests.xaicore.evaluation.models:small", "--metrics", "ad"]
        words += ["--images", "tests.xaicore.evaluation.models:gallery", "-o"]
        assert main([*words, str(tmp_path / "run"), "--methods", "cam,tibav"]) == 1
        told = capsys.readouterr().err
        assert "tibav fails for the first 3 images and is given up: Sequential has no self" in told
        assert main([*words, str(tmp_path / "none"), "--methods", "tibav"]) == 2
        assert "no method can explain the first 3 images, so nothing is" in capsys.readouterr().err
        assert not (tmp_path / "none").exists()


def test_the_price_of_nothing_usable_says_why() -> None:
    model = classifier()
    items = [Items(Some(1, {0: ValueError("gone")}))[0]]
    found = bill(job_of(model, "cam"), items)
    assert found.failure == "image 0, cam, AD: gone"
    assert found.price.forwards == 0
    nan = Classifier(torch.nn.Sequential(classifier().net, Nan()).eval(), layer="0.5")
    items = [Items([(pictures(1)[0], 1)])[0]]  # type: ignore[arg-type]
    assert "cam, AD: the network gives NaN" in bill(job_of(nan, "cam"), items).failure


class Nan(torch.nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits / 0
