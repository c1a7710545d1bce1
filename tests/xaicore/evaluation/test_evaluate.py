"""Runs in memory and on disk: the same records, whatever the portions and whoever goes on."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from tests.networks import Counter, classifier, pictures
from tests.xaicore.evaluation.subject import METRICS, Hungry, Some, methods, run, same
from xaicore.attribution import CAM, AblationCAM, FakeCAM, GradCAM, LayerCAM, OptiCAM, ScoreCAM
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.evaluation.batch import Job, Settings
from xaicore.evaluation.dataset import Items, Truth
from xaicore.evaluation.estimate import Estimate, estimate
from xaicore.evaluation.folder import Folder, read_records
from xaicore.evaluation.progress import Progress
from xaicore.evaluation.run import Run, Sizes

PAPER = Settings(METRICS)
"""All metrics, with the curves that are the default."""


def test_a_run_has_one_row_per_image_method_and_metric_in_that_order() -> None:
    found = run()
    rows = list(product(range(12), methods(classifier()), METRICS))
    assert list(found[["image", "method", "metric"]].itertuples(False, None)) == rows
    assert (found["failed"] == "").all()
    assert found["value"].notna().all()


@pytest.mark.parametrize("chunk_size", [1, 2, 6, 50])
def test_chunks_of_whole_batches_do_not_change_a_bit(chunk_size: int, tmp_path: Path) -> None:
    if chunk_size == 1:
        same(run(batch_size=1), run(tmp_path / "run", batch_size=1, chunk_size=1))
    else:
        same(run(), run(tmp_path / "run", chunk_size=chunk_size))


def test_workers_that_read_ahead_change_nothing(tmp_path: Path) -> None:
    same(run(), run(tmp_path / "run", workers=1))


def test_finished_chunks_are_kept_and_not_measured_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "run")
    folder = Folder(tmp_path / "run")
    times = {file: file.stat().st_mtime_ns for file in (folder.path / "chunks").iterdir()}
    folder.chunk(1).unlink()
    again = run(tmp_path / "run")
    same(whole, again)
    changed = [f.name for f, t in times.items() if f.stat().st_mtime_ns != t]
    assert changed == ["000001.parquet"]
    pd.testing.assert_frame_equal(again, run(tmp_path / "run"), check_exact=True)


def test_a_damaged_chunk_is_measured_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "run")
    damaged = Folder(tmp_path / "run").chunk(2)
    for content in (b"", b"PAR1 nonsense", damaged.read_bytes()[:400]):
        damaged.write_bytes(content)
        assert len(read_records(tmp_path / "run")) == 8 * 3 * 5
        same(whole, run(tmp_path / "run"))


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    run(tmp_path / "run")
    folder = Folder(tmp_path / "run")
    folder.chunk(0).unlink()
    left = folder.path / "chunks" / ".000000.123.part.parquet"
    left.write_bytes(b"half")
    run(tmp_path / "run")
    assert not left.exists()
    assert len(folder.listed()) == 3


def test_a_run_stopped_before_its_manifest_begins_anew(tmp_path: Path) -> None:
    (tmp_path / ".manifest.123.part.json").write_text("{")
    same(run(), run(tmp_path))


def other_weights() -> Classifier:
    model = classifier()
    with torch.no_grad():
        model.net[-1].bias[0] += 1e-3  # type: ignore[index, union-attr]
    return model


OTHERS = {
    "model weights": lambda: {"model": other_weights()},
    "model layer: 5 there, 2 here": lambda: {"model": classifier(layer="2")},
    "model structure": lambda: {"model": classifier(inplace=True)},
    "data images: 12 there, 10 here": lambda: {"count": 10},
    "data content": lambda: {"dataset": Some(bad={11: (pictures(12)[3], 1)})},
    "methods score-cam: nothing there": lambda: {"methods": more()},
    "methods opti-cam settings": lambda: {"methods": more("opti-cam", iterations=3)},
    "measured metrics: AD, AG, AI, insertion, deletion there, AD here": lambda: {"metrics": ["AD"]},
    "measured baseline: black there, mean here": lambda: {"baseline": "mean"},
    "measured curves": lambda: {"curves": "rise"},
    "batch_size: 2 there, 3 here": lambda: {"batch_size": 3},
    "chunk_size: 4 there, 6 here": lambda: {"chunk_size": 6},
    "precision: float32 there, bfloat16 here": lambda: {"precision": "bfloat16"},
    "threads: 1 there, 2 here": lambda: {"threads": 2},
}


def more(name: str = "score-cam", **settings: int) -> dict[str, object]:
    model = classifier()
    made = {"score-cam": ScoreCAM, "opti-cam": OptiCAM}[name](model, **settings)
    return {**methods(model), name: made}


@pytest.mark.parametrize("words", OTHERS)
def test_another_run_is_not_mixed_in(words: str, tmp_path: Path) -> None:
    start = {"methods": more("opti-cam", iterations=2)} if "opti-cam" in words else {}
    run(tmp_path / "run", **start)
    before = {f: f.read_bytes() for f in (tmp_path / "run").rglob("*.*")}
    with pytest.raises(ValueError, match=f"holds another run .*{words}.*give another folder"):
        run(tmp_path / "run", **OTHERS[words]())
    assert before == {f: f.read_bytes() for f in (tmp_path / "run").rglob("*.*")}


def test_other_versions_are_not_mixed_in(tmp_path: Path) -> None:
    run(tmp_path / "run")
    file = tmp_path / "run" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"versions torch: 1\.0 there"):
        run(tmp_path / "run")


def test_methods_in_another_order_go_on_in_the_first(tmp_path: Path) -> None:
    whole = run(tmp_path / "run")
    Folder(tmp_path / "run").chunk(1).unlink()
    turned = dict(reversed(methods(classifier()).items()))
    same(whole, run(tmp_path / "run", methods=turned, metrics=["deletion", *METRICS[:4]]))


def test_what_is_not_given_is_taken_from_the_run(tmp_path: Path) -> None:
    whole = run(tmp_path / "run", batch_size=3, chunk_size=6)
    Folder(tmp_path / "run").chunk(0).unlink()
    same(whole, run(tmp_path / "run", batch_size=None, chunk_size=None))


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds other things"):
        run(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_batch_size_is_found_and_kept(tmp_path: Path) -> None:
    """Eight images do not fit, four do; the records are those of a run that was given four."""
    model = Classifier(Hungry(4), layer="net.5")
    found = run(tmp_path / "run", model=model, batch_size=None)
    assert Folder(tmp_path / "run").manifest["batch_size"] == 4
    same(run(model=Classifier(Hungry(99), layer="net.5"), batch_size=4), found)


def test_the_search_for_a_batch_size_takes_short_curves() -> None:
    """Curves of all 16 rows, of the 8 images of a first batch, would take 2 (16 - 1) forwards each;
    those of 9 steps take 16, and with them the image, its blur, its masking, and one black image.
    """
    counter = Counter(classifier().net).eval()
    job = Job(Classifier(counter, layer="net.5"), {"m": FakeCAM(classifier())}, PAPER)
    assert Run(job, Items(Some(12)), Sizes()).settled() == Sizes(8, 64, torch.get_num_threads())
    assert counter.forwards == 8 * (1 + 1 + 1 + 16) + 1


def estimated(most: int, batch: int | None = None) -> Estimate:
    job = Job(Classifier(Hungry(most), layer="net.5"), methods(classifier()), PAPER)
    return estimate(Run(job, Items(Some(12)), Sizes(batch)))


def test_a_probe_grows_until_a_batch_is_whole_or_takes_long_enough_or_memory_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(*given: int) -> tuple[int, int]:
        told = estimated(*given)
        return told.batches, told.probed

    assert found(99, 6) == (4, 6)
    assert found(99, 1) == (2, 1)
    assert found(99) == (4, 8)
    assert found(5, 4) == (3, 4)
    monkeypatch.setattr("xaicore.evaluation.estimate.ENOUGH", 0)
    assert found(99) == (2, 1)
    monkeypatch.setattr("xaicore.evaluation.estimate.PLENTY", 0)
    assert found(99) == (1, 1)
    with pytest.raises(MemoryError):
        estimated(0)


def test_memory_that_is_short_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    calm = run(model=Classifier(Hungry(99), layer="net.5"))
    for call in (1, 2, 9, 20):
        short = Classifier(Hungry(99, (call,)), layer="net.5")
        same(calm, run(tmp_path / str(call), model=short))


def test_memory_that_stays_short_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    calm = run(model=Classifier(Hungry(99), layer="net.5"))
    short = Classifier(Hungry(99, tuple(range(90, 9999))), layer="net.5")
    with pytest.raises(MemoryError, match="run the same command again"):
        run(tmp_path, model=short)
    assert 0 < len(Folder(tmp_path).finished()) < 3
    same(calm, run(tmp_path, model=Classifier(Hungry(99), layer="net.5")))


def test_not_even_one_image_fits(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="one image alone"):
        run(tmp_path, model=Classifier(Hungry(0), layer="net.5"), batch_size=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:TF32")
def test_records_do_not_depend_on_the_batch_size_where_the_network_does_not() -> None:
    """Kernels of a fixed order: convolutions without oneDNN, and no linear layer."""
    net = torch.nn.Sequential(*list(classifier().net)[:6], torch.nn.Conv2d(6, 5, 1))
    net.extend([torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()])
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        found = [run(model=Classifier(net.eval(), layer="5"), batch_size=n) for n in (1, 2, 4)]
    same(found[0], found[1])
    same(found[0], found[2])


def test_everything_that_can_be_shared_is_computed_once() -> None:
    """Five methods that look at one layer, and three groups of metrics: one forward of the image.

    Besides, each map is masked once, its curves take 2 (n - 1) forwards, and the black image one
    for the batch, the start of insertion one per image.
    """
    counter = Counter(classifier().net).eval()
    model = Classifier(counter, layer="net.5")
    chosen = {
        name: method(model)
        for name, method in {"a": GradCAM, "b": LayerCAM, "c": CAM, "d": AblationCAM}.items()
    }
    steps, images, maps = 4, 6, 6 * len(chosen)
    run(model=model, methods=chosen, count=6, batch_size=6, chunk_size=6)
    tails = 0  # Ablation-CAM has a closed form here
    curves = 2 * (steps - 1) * maps + images + 1
    tried = 1  # the first image, by all methods, before the others
    assert counter.forwards == tried + images + maps + curves + tails


def test_the_truth_may_come_with_the_images() -> None:
    box, mask = torch.tensor([[2.0, 2, 9, 9]]), torch.zeros(1, 16, 16)
    mask[:, 2:9, 2:9] = 1
    images = pictures(4)
    told = Some(4, {i: (images[i], i, {"boxes": box, "mask": mask}) for i in range(4)})
    metrics = ["LE", "EP", "RMA", "SM", "AOPC", "ADCC", "MS"]
    own = run(dataset=told, metrics=metrics)
    apart = run(count=4, metrics=metrics, truth=Truth([box] * 4, mask.expand(4, 1, 16, 16)))
    same(own, apart)
    assert own["value"].notna().all()
    ratio = own[own["metric"].isin(["EP", "RMA"])].pivot(
        index=["image", "method"], columns="metric", values="value"
    )
    np.testing.assert_allclose(ratio["EP"], ratio["RMA"])


def test_an_image_without_a_class_is_explained_for_the_predicted_one() -> None:
    model, images = classifier(), pictures(4)
    predicted = model(images).argmax(1)
    named = TensorDataset(images, predicted)
    for label in (None, -1):
        unnamed = Some(4, {i: (images[i], label) for i in range(4)})
        with_class, without = run(dataset=named), run(dataset=unnamed)
        assert with_class["labelled"].all()
        assert not without["labelled"].any()
        assert (without["predicted"] == without["target"]).all()
        same(*(records.drop(columns="labelled") for records in (with_class, without)))


def test_images_of_different_sizes_are_measured_together() -> None:
    tall = pictures(12, 24, 16)
    mixed = Some(bad={i: (tall[i], i % 5) for i in (1, 4, 5)})
    found, square = run(dataset=mixed), run()
    assert (found["failed"] == "").all()
    untouched = found["image"].isin([2, 3, 6, 7, 8, 9, 10, 11])
    same(found[untouched], square[untouched])


def test_half_precision_is_near() -> None:
    one, half = (run(metrics=["AD"], precision=p) for p in ("float32", "bfloat16"))
    assert (one["value"] - half["value"]).abs().max() < 0.05
    assert not one["value"].equals(half["value"])


def test_records_of_a_run_that_goes_on_are_read(tmp_path: Path) -> None:
    whole = run(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "open")
    Folder(tmp_path / "open").chunk(1).unlink()
    part = read_records(tmp_path / "open")
    assert part["image"].unique().tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    same(whole[whole["image"].isin(part["image"])].reset_index(drop=True), part)
    with pytest.raises(ValueError, match="not the folder of a run"):
        read_records(tmp_path)


def test_the_bar_counts_every_image_once_and_says_the_means(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run")
    assert capsys.readouterr().err == ""
    Folder(tmp_path / "run").chunk(1).unlink()
    found = run(tmp_path / "run", progress=True)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "12/12" in last
    assert "images/s" in last
    mean = found[found["metric"] == "AD"].groupby("method")["value"].mean()["grad-cam"]
    assert f"AD grad-cam {mean:.3g}" in last
    run(tmp_path / "quiet", progress=None)
    assert capsys.readouterr().err == ""


def test_the_bar_counts_a_chunk_that_is_not_finished() -> None:
    found = run(count=4, metrics=["AD"])
    half = found[found["image"] < 2]
    with closing(Progress(8, True)) as bar:
        for show, records, images in ((bar.open, half, 2), (bar.add, found, 4)):
            show(records)
            assert bar.bar.n == images
            mean = records.groupby("method")["value"].mean()["grad-cam"]
            assert bar.means().startswith(f"AD grad-cam {mean:.3g} ")


def test_nothing_to_do_is_refused() -> None:
    model = classifier()
    for dataset, chosen, metrics, words in (
        (Some(0), methods(model), ["AD"], "at least one image and one method"),
        (Some(), {}, ["AD"], "at least one image and one method"),
        (Some(), methods(model), [], "at least one of AD"),
        (Some(), methods(model), ["AUC"], "no metric is called 'AUC'"),
        (Some(), {"m": torch.rand(3, 1, 4, 4)}, ["AD"], "3 maps for 12 images"),
        (Some(), {"m": GradCAM(Classifier(classifier().net))}, ["AD"], "no CAM layer is known"),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate(model, dataset, chosen, metrics)
    with pytest.raises(ValueError, match="training mode"):
        run(model=classifier().train())
    with pytest.raises(ValueError, match="precision must be one of"):
        run(precision="int8")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        run(batch_size=0)


def test_maps_made_elsewhere_are_checked_before_a_number_is_made() -> None:
    model = classifier()
    maps = torch.rand(12, 1, 4, 4)
    holed = maps.clone()
    holed[3, 0, 1, 1] = torch.nan
    for given, words in (
        (torch.rand(12, 3, 4, 4), r"\(N, 1, h, w\) or \(N, h, w\), not \(12, 3, 4, 4\)"),
        (torch.rand(4, 4), r"not \(4, 4\)"),
        (maps[:3], "3 maps for 12 images"),
        (holed, "1 of 12 maps hold NaN or infinity, the first is that of image 3"),
        (maps.numpy().astype(str), "maps must be numbers"),
        (maps.tolist(), "not a list"),
        (GradCAM, "GradCAM is a class"),
    ):
        with pytest.raises(ValueError, match=words):
            run(model=model, methods={"m": given}, metrics=["AD"])
    one = run(model=model, methods={"m": maps}, metrics=["AD"])
    for alike in (maps[:, 0], maps.numpy(), maps[:, 0].numpy()):
        same(one, run(model=model, methods={"m": alike}, metrics=["AD"]))
    assert run(model=model, methods={"m": maps > 0.5}, metrics=["AD"])["value"].notna().all()
