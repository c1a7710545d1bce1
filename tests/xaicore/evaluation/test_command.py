"""``xaicore evaluate`` and ``xaicore report``, as a user calls them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from html import escape
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from tests.networks import pictures, pooled_network
from tests.xaicore.evaluation import models
from tests.xaicore.evaluation.subject import same
from xaicore.cli.main import main
from xaicore.evaluation.folder import read_records

COUNT = 10


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of five classes, with a table of labels, boxes and masks."""
    folder = tmp_path_factory.mktemp("gallery")
    names = []
    for i, image in enumerate(pictures(COUNT, 24, 32)):
        place = folder / "images" / str(i % 5)
        place.mkdir(parents=True, exist_ok=True)
        to_pil_image(image).save(place / f"{i}.png")
        names.append(f"{i % 5}/{i}.png")
        mask = Image.new("L", (32, 24))
        mask.paste(255, (8, 6, 24, 18))
        (folder / "masks" / str(i % 5)).mkdir(parents=True, exist_ok=True)
        mask.save(folder / "masks" / names[-1])
    table = pd.DataFrame({"file": names, "label": [i % 5 for i in range(COUNT)]})
    table.to_csv(folder / "labels.csv", index=False)
    corners = {"x0": 8, "y0": 6, "x1": 24, "y1": 18}
    table.assign(**corners).to_csv(folder / "boxes.csv", index=False)
    fractions = {"x0_frac": 0.25, "y0_frac": 0.25, "x1_frac": 0.75, "y1_frac": 0.75}
    table.assign(**fractions).to_csv(folder / "fractions.csv", index=False)
    return folder


def command(gallery: Path, out: Path, *more: object, model: str = "small") -> list[str]:
    words = [
        "evaluate",
        "--model",
        f"tests.xaicore.evaluation.models:{model}",
        "--images",
        gallery / "images",
    ]
    words += ["--methods", "grad-cam,fake-cam", "--batch-size", 2, "--chunk-size", 2, "-o", out]
    return [str(word) for word in (*words, *more)]


def torchrun(arguments: list[str], root: Path, **more: str) -> subprocess.CompletedProcess[str]:
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, "-m", *launch, "--max-restarts", "2", "-m", "xaicore", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **more},
        timeout=600,
    )


@pytest.mark.starts
def test_two_processes_of_which_one_dies_write_the_same_records(
    gallery: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv(models.MARK, str(mark))
    metrics = ["--metrics", "ad,insertion,deletion"]
    assert main(command(gallery, tmp_path / "one", *metrics, model="dying")) == 0
    two = command(gallery, tmp_path / "two", *metrics, model="dying")
    done = torchrun(two, root, **{models.MARK: str(mark)})
    assert done.returncode == 0, done.stderr
    assert mark.exists()
    assert "10 images measured" in done.stdout  # again, if the restart came after the first end
    assert "images/s" not in done.stderr
    same(*(read_records(tmp_path / name) for name in ("one", "two")))


def test_floors_stand_beside_methods(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ["--methods", "noise,edges,opti-cam", "--set", "noise.seed=3"]
    run = command(gallery, tmp_path / "run", "--metrics", "ad,ag", *methods)
    assert main([*run, "--set", "opti-cam.iterations=2"]) == 0
    records = read_records(tmp_path / "run")
    assert (records["failed"] == "").all()
    assert (records.groupby("method").size() == COUNT * 2).all()
    assert list(records["method"].unique()) == ["noise", "edges", "opti-cam"]
    assert main(["report", str(tmp_path / "run")]) == 0
    assert {"Noise", "Edges", "Opti-CAM"} <= set(capsys.readouterr().out.split())


def test_a_folder_becomes_a_table(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = "ad,AI,ag,le,EP,rma,insertion"
    truth = ["--boxes", gallery / "boxes.csv", "--masks", gallery / "masks"]
    assert main(command(gallery, tmp_path / "run", "--metrics", metrics, *truth)) == 0
    printed = capsys.readouterr()
    assert "10 images measured" in printed.out
    assert "classes: the numbers of 5 folders" in printed.out
    assert "boxes cover 25.0 % of what the network sees" in printed.out
    assert "masks cover 25.0 % of what the network sees" in printed.out
    assert "the prediction is the label for 2 of 10 images (20.0 %)" in printed.out
    assert printed.err == ""
    records = read_records(tmp_path / "run")
    assert len(records) == COUNT * 2 * 7
    assert records["file"].iloc[0] == "0/0.png"
    assert (records["failed"] == "").all()
    assert main(["report", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr()
    assert "All 10 images are measured" in printed.out
    assert "classes: the numbers of 5 folders" in printed.out
    assert "the prediction is the label for 2 of 10 images (20.0 %)" in printed.out
    assert "± is the half-width of the 95 % interval" in printed.out
    assert "behind each mean" not in printed.out  # they are the same
    assert "minus grad-cam" in printed.out
    written = sorted(file.name for file in (tmp_path / "run" / "report").iterdir())
    names = ["curves.png", "differences.csv", "failures.csv", "intervals.png", "report.html"]
    assert written == [*names, "summary.csv", "summary.parquet", "summary.tex"]
    summary = pd.read_csv(tmp_path / "run" / "report" / "summary.csv", index_col="method")
    means = records[records["metric"] == "EP"].groupby("method")["value"].mean()
    assert summary.loc["Grad-CAM", "EP ↑"] == pytest.approx(100 * means["grad-cam"])
    (tmp_path / "run" / "chunks" / "000001.parquet").unlink()  # as if it still went on
    assert main(["report", str(tmp_path / "run"), "--reference", "fake-cam"]) == 0
    printed = capsys.readouterr().out
    assert "8 of 10 images so far are measured" in printed
    assert "minus fake-cam" in printed
    assert main(command(gallery, tmp_path / "run", "--metrics", metrics, *truth)) == 0
    same(records, read_records(tmp_path / "run"))


def test_a_report_says_how_many_images_are_behind_a_mean(
    gallery: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = pd.read_csv(gallery / "boxes.csv")
    boxes.iloc[3:].to_csv(tmp_path / "boxes.csv", index=False)
    words = ["--metrics", "ad,ep", "--boxes", tmp_path / "boxes.csv"]
    out = tmp_path / "a run"
    whole = command(gallery, out, *words)
    monkeypatch.setattr(sys, "argv", ["xaicore", *whole])
    assert main(whole) == 1
    assert main(["report", str(out)]) == 0
    printed = capsys.readouterr().out
    table = printed.split("the images behind each mean:\n\n")[1].splitlines()
    assert table[0].split() == ["AD", "EP"]
    assert table[2].split() == ["Grad-CAM", "10", "7"]
    page = (out / "report" / "report.html").read_text()
    assert "The images behind each mean." in page
    assert escape(shlex.quote(str(out))) in page  # the command can be run again
    assert "booktabs" in (out / "report" / "summary.tex").read_text()
    assert main(["report", str(out), "--reference", "gradcam"]) == 2
    assert "did you mean grad-cam" in capsys.readouterr().err
    assert main(["report", str(out), "-o", str(tmp_path / "boxes.csv")]) == 2
    assert "boxes.csv cannot be written" in capsys.readouterr().err


def test_a_report_of_many_reasons_shows_the_first(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["0/0.png", *(f"gone{i}.png" for i in range(23))]
    pd.DataFrame({"file": names, "label": 0}).to_csv(tmp_path / "labels.csv", index=False)
    words = ["--labels", tmp_path / "labels.csv", "--metrics", "ad,ag,ai,aopc"]
    assert main(command(gallery, tmp_path / "run", *words)) == 1
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "3 other reasons are in failures.csv" in capsys.readouterr().out
    folder = tmp_path / "run" / "report"
    assert "3 other reasons are in failures.csv" in (folder / "report.html").read_text()
    assert len(pd.read_csv(folder / "failures.csv")) == 23


def test_boxes_in_pixels_and_in_fractions_and_masks_meet(gallery: Path, tmp_path: Path) -> None:
    found = {}
    for name in ("boxes", "fractions"):
        words = ["--metrics", "ep,rma", "--boxes", gallery / f"{name}.csv"]
        assert main(command(gallery, tmp_path / name, *words, "--masks", gallery / "masks")) == 0
        found[name] = read_records(tmp_path / name)
    same(*found.values())
    table = found["boxes"].pivot(index=["image", "method"], columns="metric", values="value")
    assert (table["EP"] - table["RMA"]).abs().max() < 1e-9


def test_labels_come_from_folders_a_table_or_the_network(gallery: Path, tmp_path: Path) -> None:
    assert main(command(gallery, tmp_path / "folders")) == 0
    assert main(command(gallery, tmp_path / "table", "--labels", gallery / "labels.csv")) == 0
    folders, table = (read_records(tmp_path / name) for name in ("folders", "table"))
    kept = ["file", "method", "metric", "target"]
    by_file = [t.sort_values(kept, ignore_index=True)[kept] for t in (folders, table)]
    pd.testing.assert_frame_equal(*by_file)
    alone = gallery / "images" / "3"
    words = ["--images", alone, "--metrics", "ad"]
    assert main(command(gallery, tmp_path / "predicted", *words)) == 0
    predicted = read_records(tmp_path / "predicted").drop_duplicates("image")
    model = models.small()
    for row in predicted.itertuples():
        with Image.open(alone / row.file) as picture, torch.no_grad():
            assert row.target == model(model.preprocess(picture)).argmax()


def test_a_dry_run_says_the_cost_and_writes_nothing(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--methods", "grad-cam,hires-cam,saliency", "--metrics", "ad", "--dry-run"]
    assert main(command(gallery, tmp_path / "run", *words)) == 0
    printed = capsys.readouterr().out
    assert "10 images, 10 of them left to measure; 30 records" in printed
    # the image once for both maps and p, once for the gradient, and each of three masked images
    assert "per image: 5.0 forwards, 2.0 backwards" in printed
    assert "measured: batch 2, of 2 images" in printed
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tells_what_the_run_would_refuse(
    gallery: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--metrics", "ad", "--dry-run"]
    assert main(command(gallery, gallery, *words)) == 2
    assert "holds other things" in capsys.readouterr().err
    assert main(command(gallery, tmp_path / "run", *words[:-1])) == 0
    assert main(command(gallery, tmp_path / "run", *words, "--baseline", "mean")) == 2
    assert "measured baseline: black there, mean here" in capsys.readouterr().err
    assert main(command(gallery, tmp_path / "run", *words)) == 0
    assert "10 images, 0 of them left" in capsys.readouterr().out
    assert main(command(gallery, tmp_path / "nan", *words, model="nan")) == 0
    assert (
        "not all can be measured; image 0, grad-cam, AD: the network gives NaN"
        in capsys.readouterr().out
    )
    monkeypatch.setenv("RANK", "1")
    assert main(command(gallery, tmp_path / "second", *words)) == 0
    assert capsys.readouterr().out == ""


def test_settings_of_methods_are_given_and_belong_to_the_run(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--methods", "opti-cam", "--metrics", "ad", "--set", "opti-cam.iterations=2"]
    assert main(command(gallery, tmp_path, *words)) == 0
    assert main(command(gallery, tmp_path, *words[:-1], "opti-cam.iterations=3")) == 2
    assert "holds another run (methods opti-cam settings" in capsys.readouterr().err


def test_a_users_function_returns_the_images(gallery: Path, tmp_path: Path) -> None:
    words = ["--images", "tests.xaicore.evaluation.models:gallery", "--metrics", "ad"]
    assert main(command(gallery, tmp_path / "all", *words)) == 0
    assert main(command(gallery, tmp_path / "two", *words, "--limit", 2)) == 0
    whole, part = (read_records(tmp_path / name) for name in ("all", "two"))
    assert whole["target"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    same(part, whole[whole["image"] < 2])


def test_a_users_network_and_weights(gallery: Path, tmp_path: Path) -> None:
    net = pooled_network()
    with torch.no_grad():
        net[-1].bias[:] = torch.arange(5.0)  # type: ignore[union-attr]
    torch.save(net.state_dict(), tmp_path / "own.pt")
    words = ["--layer", "5", "--metrics", "ad", "--weights", tmp_path / "own.pt"]
    assert main(command(gallery, tmp_path / "own", *words, model="plain")) == 0
    assert main(command(gallery, tmp_path / "as-is", *words[:-2], model="plain")) == 0
    own, as_is = (read_records(tmp_path / name)["p"] for name in ("own", "as-is"))
    assert (own - as_is).abs().min() > 1e-3


def test_failures_are_told_by_exit_code_and_report(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = pd.read_csv(gallery / "labels.csv")
    labels.loc[3, "file"] = "gone.png"
    labels.to_csv(tmp_path / "labels.csv", index=False)
    words = ["--labels", tmp_path / "labels.csv", "--metrics", "ad"]
    assert main(command(gallery, tmp_path / "run", *words)) == 1
    error = capsys.readouterr().err
    assert "1 of 10 images failed, at least in part; image 3, grad-cam, AD: " in error
    assert "gone.png does not exist" in error
    assert main(["report", str(tmp_path / "run"), "-o", str(tmp_path / "told")]) == 0
    printed = capsys.readouterr().out
    assert "1 of them failed, at least in part; each mean is over 9" in printed
    assert "gone.png does not exist" in printed
    assert "gone.png" in (tmp_path / "told" / "report.html").read_text()
    assert main(command(gallery, tmp_path / "run", *words)) == 1  # and still so the next time
    assert main(command(gallery, tmp_path / "strict", *words, "--strict")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "image 3" in error
    assert "gone.png does not exist" in error
    assert len(read_records(tmp_path / "strict")) == 2 * 2


def test_an_interrupted_run_says_how_to_go_on(
    gallery: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xaicore.evaluation.run.patiently", interrupted)
    assert main(command(gallery, tmp_path)) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_labels_that_count_from_1_are_named(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All labels are the prediction but one more, where the network has such a class."""
    model = models.small()
    names = pd.read_csv(gallery / "labels.csv")["file"]
    with torch.no_grad():
        found = [
            int(model(model.preprocess(Image.open(gallery / "images" / name))).argmax())
            for name in names
        ]
    assert max(found) < 4
    words = ["--metrics", "ad", "--labels", tmp_path / "labels.csv"]
    for by, told in ((0, ""), (1, "labels seem to count from 1"), (-1, "")):
        labels = [max(0, label + by) for label in found]
        table = pd.DataFrame({"file": names, "label": labels})
        table.to_csv(tmp_path / "labels.csv", index=False)
        out = tmp_path / f"run{by}"
        assert main(command(gallery, out, *words)) == 0
        printed = capsys.readouterr()
        right = sum(one == other for one, other in zip(labels, found, strict=True))
        line = f"the prediction is the label for {right} of 10 images"
        assert line in printed.out
        assert told in printed.err
        assert main(["report", str(out)]) == 0
        printed = capsys.readouterr()
        assert line in printed.out
        assert told in printed.out


def test_constant_maps_are_counted_aloud(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = pooled_network()
    with torch.no_grad():
        net[8].weight.fill_(-1)  # type: ignore[union-attr, operator]
    torch.save(net.state_dict(), tmp_path / "flat.pt")
    words = ["--metrics", "ad", "--weights", tmp_path / "flat.pt"]
    assert main(command(gallery, tmp_path / "run", *words)) == 0
    assert "10 of 10 maps of grad-cam are constant" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "10 of 10 maps of grad-cam are constant" in capsys.readouterr().out


def test_a_run_in_which_all_first_images_fail_is_not_begun(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*(f"gone{i}.png" for i in range(23)), "0/0.png"]
    pd.DataFrame({"file": names, "label": 0}).to_csv(tmp_path / "labels.csv", index=False)
    words = ["--labels", tmp_path / "labels.csv", "--metrics", "ad"]
    assert main(command(gallery, tmp_path / "run", *words)) == 2
    error = capsys.readouterr().err
    assert "the first 16 images all fail" in error
    assert "gone0.png does not exist" in error
    assert not (tmp_path / "run").exists()
    table = pd.read_csv(tmp_path / "labels.csv").iloc[::-1]
    table.to_csv(tmp_path / "labels.csv", index=False)
    assert main(command(gallery, tmp_path / "run", *words)) == 1
    assert "23 of 24 files are missing, the first gone22.png" in capsys.readouterr().out


def test_a_folded_network_is_measured_as_before_and_the_manifest_says_so(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = ["--metrics", "ad,insertion"]
    plain, light = (command(gallery, tmp_path / name, *metrics) for name in ("plain", "light"))
    assert main(plain) == main([*light, "--folded"]) == 0
    manifests = [
        json.loads((tmp_path / n / "manifest.json").read_text()) for n in ("plain", "light")
    ]
    assert [one["model"].get("folded") for one in manifests] == [None, True]
    assert [one["precision"] for one in manifests] == ["float32"] * 2
    values = [read_records(tmp_path / name)["value"] for name in ("plain", "light")]
    pd.testing.assert_series_equal(*values, rtol=1e-4, atol=1e-5)
    capsys.readouterr()
    assert main(light) == 2
    assert "model folded: True there, nothing here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("doubled", "--folded: only float32 is folded, not torch.float64"),
        ("half_nan", "--folded: the folded network answers otherwise"),
    ],
)
def test_what_cannot_be_folded_is_refused(
    model: str, words: str, gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(gallery, tmp_path / "run", model=model), "--folded"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
