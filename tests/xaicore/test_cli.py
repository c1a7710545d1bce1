"""The command line: what it prints and writes, and one clear line for everything it refuses."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models
from torchvision.transforms.v2.functional import to_pil_image

import xaicore
from xaibook.data import find_data
from xaibook.flowers.dataset import Flowers
from xaicore.attribution import METHODS
from xaicore.attribution.capture import Passes
from xaicore.cli.explain import _progress
from xaicore.cli.main import main
from xaicore.cli.options import whole_parser
from xaicore.evaluation.batch import PRECISIONS
from xaicore.interpretation import FITTED
from xaicore.masking import BASELINES
from xaicore.metrics import MEASURES
from xaicore.metrics.causal import CAUSAL_PROTOCOLS
from xaicore.training.ca_stream import RECIPES
from xaicore.training.interpretable_gradients import ERRORS, TARGETS, InterpretableGradient
from xaicore.training.loop import Recipe

FLOWERS = "xaibook.flowers:flower_classifier"


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "flower.png"
    to_pil_image(Flowers("species", "test", 1).images[0]).save(path)
    return path


ATTENTION = {"raw-attention", "rollout", "tibav"}


@pytest.mark.parametrize("method", sorted(set(METHODS) - ATTENTION))
def test_explain_writes_the_overlay_and_prints_what_the_network_sees(
    method: str, flower: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "map.png"
    iterative = method in {"opti-cam", "extremal-perturbation"}
    options = ["--set", f"{method}.iterations=3"] if iterative else []
    command = ["explain", str(flower), "--method", method, "--model", FLOWERS, "-o", str(output)]
    assert main([*command, *options]) == 0
    with Image.open(output) as overlay:
        assert overlay.width > overlay.height > 300
    printed = capsys.readouterr().out
    assert f"64 × 64 pixels, {FLOWERS} predicts" in printed
    assert f"{method} explains" in printed
    assert "the map took" in printed
    assert list(tmp_path.iterdir()) == [output]


def test_a_preset_is_chosen_and_overridden(
    flower: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", str(flower), "--model", FLOWERS, "-o", str(tmp_path / "map.png")]
    settings = ["--set", "opti-cam.preset=fast", "--set", "opti-cam.iterations=2"]
    assert main([*command, *settings]) == 0
    assert "opti-cam explains" in capsys.readouterr().out


def test_a_target_is_given_by_name(
    flower: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", str(flower), "--model", FLOWERS, "--method", "grad-cam"]
    name = Flowers("species", "test", 1).classes[4]
    assert main([*command, "--target", name, "-o", str(tmp_path / "map.png")]) == 0
    assert f"grad-cam explains {name} (4)" in capsys.readouterr().out


def test_a_method_that_is_fitted_first_is_left_to_python(
    flower: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", str(flower), "--model", FLOWERS, "--method", "vebi"]
    assert main([*command, "-o", str(tmp_path / "map.png")]) == 2
    assert "'vebi' is fitted to a data set first" in capsys.readouterr().err


def test_methods_lists_every_method_with_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for name, method in (METHODS | FITTED).items():
        assert f"{name} " in printed
        assert method.cost in printed
    assert ", ".join(MEASURES) in printed


def bad_picture(kind: str, folder: Path) -> Path:
    path = folder / "photo.jpg"
    if kind == "a folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("this is no picture")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        Image.effect_noise((200, 200), 80).convert("RGB").save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "one pixel":
        Image.new("RGB", (1, 1)).save(path)
    return path


@pytest.mark.parametrize("kind", ["missing", "a folder", "text", "empty", "truncated", "one pixel"])
def test_a_bad_picture_is_refused_in_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bad_picture(kind, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    refused(["explain", str(path), "--model", FLOWERS, "-o", str(tmp_path / "m.png")], capsys)
    assert sorted(tmp_path.rglob("*")) == before


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; return its one line of complaint."""
    try:
        code = main(command)
    except SystemExit as leaving:
        code = int(str(leaving.code))
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert ": error: " in printed.err
    return printed.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "resnet-18"], "did you mean resnet18"),
        (["--model", "timm/resnet-18"], "did you mean resnet18"),
        (["--method", "rollout"], "has no self-attention"),
        (["--method", "opticam"], "no method is called 'opticam'"),
        (["--target", "daffodil"], "no class is called 'daffodil'"),
        (["--target", "99"], "out of range"),
        (["--weights", "{folder}/none.pt"], "there is no file"),
        (["--weights", "{folder}/text.pt"], "not a file of weights"),
        (["--weights", "{folder}/other.pt"], "does not hold the weights"),
        (["--method", "grad-cam", "--set", "grad-cam.steps=5"], "grad-cam has no setting 'steps'"),
        (["--set", "rise.masks=5"], "'rise' is none of the methods opti-cam"),
        (["--set", "opti-cam.preset=slow"], "preset must be one of paper, fast"),
        (["--set", "opti-cam.iterations=-5"], "iterations >= 0"),
        (["--set", "opti-cam.iterations=many"], "cannot be made with iterations='many'"),
        (["--set", "opti-cam"], "write METHOD.SETTING=VALUE"),
        (["--layer", "stages.9"], "no module called 'stages.9'; did you mean stages"),
        (["--limit", "many"], "unrecognized arguments"),
        (["--device", "toaster"], "cannot be used"),
        (["--method", "grad-cam,gradcam"], "no method is called 'gradcam'; did you mean"),
        (["--method", "grad-cam,cam", "--output", "{folder}/m.npy"], "write .npz for several"),
        (["--activation", "tanh"], "activation must be one of softmax, sigmoid"),
        (["--mean", "0.5"], "mean and std belong together"),
        (["--mean", "a", "--std", "1"], "no list of numbers"),
        (["--mean", "0.5", "--std", "0.5"], "or --mean and --std"),
        (["--overlays", "{folder}/none/maps"], "no folder"),
        (["--output", "{folder}/none/map.png"], "no folder"),
        (["--output", "{folder}"], "must end in .png"),
        (["--output", "{folder}/map.txt"], "must end in .png"),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    options: list[str],
    words: str,
    flower: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save(models.squeezenet1_1(weights=None).state_dict(), tmp_path / "other.pt")
    before = sorted(tmp_path.rglob("*"))
    options = [option.format(folder=tmp_path) for option in options]
    command = ["explain", str(flower), "--model", FLOWERS, "-o", str(tmp_path / "m.png")]
    assert words in refused([*command, *options], capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_no_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    refused([], capsys)


def test_a_failed_download_is_one_clear_line(
    flower: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    command = ["explain", str(flower), "--model", "resnet18", "-o", str(tmp_path / "m.png")]
    assert "could not be downloaded (no network)" in refused(command, capsys)


@pytest.mark.starts
def test_python_m_xaicore_is_the_same_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xaicore", "explain", "none.jpg", "-o", "map.png"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr
    assert shutil.which("xaicore", path=Path(sys.executable).parent), (
        "the console script is missing"
    )


def test_a_photograph_is_explained_by_a_network_with_imagenet_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = find_data()
    if data is None:
        pytest.skip("no real images: set XAICORE_DATA to their folder")
    photo = data / "photos_cc_by" / "images" / "000b7d55b6184b08.jpg"
    weights = data / "weights" / "resnet18_pqf_small.pt"
    output = tmp_path / "map.png"
    command = ["explain", str(photo), "--model", "resnet18", "--weights", str(weights)]
    assert main([*command, "--set", "opti-cam.iterations=5", "-o", str(output)]) == 0
    assert "giant panda" in capsys.readouterr().out
    assert output.stat().st_size > 10_000


# What costs nothing -------------------------------------------------------------------------------

HEAVY = ("torch", "torchvision", "pandas", "matplotlib", "scipy", "captum", "PIL", "xaibook")


def loaded(code: str, root: Path) -> list[str]:
    """Return which heavy packages a new Python holds after some code."""
    code = f"import sys\n{code}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1].split()


@pytest.mark.starts
def test_help_and_versions_load_nothing(root: Path) -> None:
    """Nor does what is refused before it is begun."""
    code = """
from xaicore.cli.main import main
from xaicore.cli.options import whole_parser
for command in ("--help", "--version", "explain --help", "evaluate --help", "train", "none"):
    try:
        main(command.split())
    except SystemExit:
        pass
"""
    assert loaded(code, root) == []


@pytest.mark.starts
def test_a_network_and_its_masks_load_torch_alone(root: Path) -> None:
    modules = "xaicore.classifier, xaicore.masking, xaicore.models.stems, xaicore.models.timm"
    assert loaded(f"import {modules}, xaicore.files, xaicore.processes", root) == ["torch"]


@pytest.mark.starts
def test_methods_and_metrics_load_torch_alone(root: Path) -> None:
    used = "xc.Classifier, xc.METHODS, xc.VEBI, xc.confidence, xc.metrics.auc, xc.CAStream"
    assert loaded("import xaicore as xc", root) == []
    assert loaded(f"import xaicore as xc\n{used}", root) == ["torch"]


def test_the_version_is_told_with_those_of_what_computes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told["xaicore"] == xaicore.__version__
    assert told["torch"] == torch.__version__.partition("+")[0]
    assert {*told} == {"xaicore", "torch", "torchvision", "commit"}


def text_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_the_options_name_the_choices_and_defaults_of_what_they_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are written down a second time, so that a parser loads nothing."""
    told = text_of("evaluate", capsys)
    assert all(
        name in told for table in (BASELINES, CAUSAL_PROTOCOLS, PRECISIONS) for name in table
    )
    assert all(name in text_of("train ca-stream", capsys) for name in RECIPES)
    told = text_of("train interpretable-gradient", capsys)
    assert all(name in told for name in (*ERRORS, *TARGETS))
    command = ["train", "interpretable-gradient", "--model", "m", "--images", "i", "-o", "o"]
    options = whole_parser().parse_args(command)
    given = InterpretableGradient(options.weight, options.error, options.target)
    assert given == InterpretableGradient()
    recipe = Recipe(options.epochs, options.learning_rate, options.batch_size)
    assert recipe == Recipe(epochs=16)


# What may go wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "proposed"),
    [
        ("alexnet", "avgpool or features"),
        ("mobilenet_v3_small", "features"),
        ("shufflenet_v2_x0_5", "conv5 or stage4"),
        ("regnet_y_400mf", "trunk_output"),
    ],
)
def test_layers_are_proposed_where_none_is_known(
    network: str,
    proposed: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "untrained.py").write_text(
        f"from torchvision import models\ndef net(): return models.{network}(weights=None)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "untrained", raising=False)
    Image.effect_noise((224, 224), 60).save("noise.png")
    command = ["explain", "noise.png", "--model", "untrained:net", "--method", "grad-cam"]
    told = refused([*command, "-o", "map.png"], capsys)
    assert f"give --layer, for example {proposed}\n" in told
    named = proposed.split(maxsplit=1)[0]
    assert main([*command, "--layer", named, "-o", "map.png"]) == 0


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (FloatingPointError("the loss is nan"), 2, "error: the loss is nan\n"),
        (ZeroDivisionError("division by zero"), 2, "error: division by zero\n"),
        (torch.OutOfMemoryError("CUDA out\n of memory"), 2, "error: CUDA out of memory\n"),
        (NotImplementedError(), 2, "error: NotImplementedError\n"),
        (KeyboardInterrupt(), 130, "\nstopped\n"),
    ],
)
def test_what_goes_wrong_within_a_command_is_one_line(
    error: BaseException,
    code: int,
    words: str,
    flower: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(_: object) -> None:
        raise error

    monkeypatch.setattr("xaicore.cli.explain.run", failing)
    assert main(["explain", str(flower), "-o", "map.png"]) == code
    assert capsys.readouterr().err.endswith(words)


# Own networks, several pictures, several methods --------------------------------------------------

OWN = """
import torch, xaicore as xc
from torch import nn

class Net(nn.Module):
    def __init__(self, channels=3, classes=3):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8, classes)
    def forward(self, x): return self.head(self.body(x).mean((2, 3)))

class Broken(Net):
    def forward(self, x): return self.hed(x)

class Interrupted(Net):
    def forward(self, x): raise KeyboardInterrupt

def colour(): return Net().eval()
def grey(): return Net(1).eval()
def binary(): return Net(classes=1).eval()
def broken(): return Broken().eval()
def interrupted(): return Interrupted().eval()
def flat():
    net = Net().eval()
    nn.init.zeros_(net.body[0].weight)
    return net
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which is the current one, with a module of networks and a folder of pictures."""
    (tmp_path / "nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    photos = tmp_path / "photos"
    photos.mkdir()
    for index, size in enumerate([(40, 30), (24, 36), (30, 30)]):
        bands = [Image.effect_noise(size, 90) for _ in range(3)]
        Image.merge("RGB", bands).save(photos / f"{index}.png")
    (photos / "notes.txt").write_text("no picture")
    return tmp_path


def explain(model: str, *words: str, picture: str = "photos/0.png") -> int:
    options = ["--model", f"nets:{model}", "--layer", "body", *words]
    return main(["explain", picture, "--method", "grad-cam", "-o", "map.png", *options])


def test_a_folder_is_explained_by_several_methods(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ["--method", "grad-cam,saliency, centre", "--overlays", "maps"]
    assert explain("colour", *methods, picture="photos") == 0
    with Image.open("map.png") as figure:
        assert figure.width > 1500
        assert figure.height > 1200
    names = [f"{i}.{method}" for i in range(3) for method in ("grad-cam", "saliency", "centre")]
    assert sorted(path.stem for path in (place / "maps").iterdir()) == sorted(names)
    for index, size in enumerate([(40, 30), (24, 36), (30, 30)]):
        with Image.open(f"maps/{index}.saliency.png") as overlay:
            assert overlay.size == size
    printed = capsys.readouterr().out
    assert printed.count("nets:colour predicts") == 3
    assert printed.count("saliency explains class") == 3


def test_raw_maps_are_written_as_arrays(place: Path) -> None:
    assert explain("colour", "-o", "map.npy") == 0
    assert np.load("map.npy").shape == (1, 1, 30, 40)
    assert explain("colour", "--method", "grad-cam,saliency", "-o", "m.npz", picture="photos") == 0
    with np.load("m.npz") as maps:
        assert set(maps) == {f"{i}.png/{m}" for i in range(3) for m in ("grad-cam", "saliency")}
        assert maps["1.png/grad-cam"].shape == (1, 36, 24)


def test_pictures_of_one_name_are_kept_apart(place: Path) -> None:
    shutil.copytree(place / "photos", place / "more")
    command = ["explain", "photos", "more", "--model", "nets:colour", "--layer", "body"]
    command += ["--method", "grad-cam", "--overlays", "maps", "-o", "m.npz"]
    assert main(command) == 0
    assert len(list((place / "maps").iterdir())) == 6
    assert len(np.load("m.npz")) == 6


def test_a_bad_picture_among_others_is_left_out_aloud(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "photos" / "0a.png").write_text("no picture")
    assert explain("colour", picture="photos") == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "0a.png is left out: " in told.err
    assert told.out.count("predicts") == 3


def test_a_folder_without_pictures_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "empty").mkdir()
    command = ["explain", "empty", "--model", "nets:colour", "-o", "map.png"]
    assert "no picture in the folder empty" in refused(command, capsys)


def test_one_logit_is_explained_under_a_sigmoid(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("binary") == 2
    assert "activation" in capsys.readouterr().err
    assert explain("binary", "--activation", "sigmoid", "--target", "0") == 0
    assert "explains class 0 (0)" in capsys.readouterr().out


def test_one_channel_is_explained_with_its_mean(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("grey") == 2
    told = capsys.readouterr().err
    assert "the network takes 1 channel, not 3: give mean and std" in told
    assert explain("grey", "--mean", "0.5", "--std", "0.25") == 0


def test_evaluate_has_the_same_options(place: Path) -> None:
    words = ["--images", "photos", "--methods", "grad-cam", "--layer", "body", "-o", "run"]
    command = ["evaluate", "--model", "nets:binary", "--activation", "sigmoid", *words]
    normal = ["--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    assert main([*command, *normal]) == 0


def test_constant_maps_are_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = ["--method", "grad-cam,centre"]
    assert explain("flat", *methods, picture="photos") == 0
    assert "3 of 3 maps of grad-cam are constant" in capsys.readouterr().out


def test_where_a_transform_looks_is_said_to_be_unknown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (place / "nets.py").open("a") as file:
        file.write(
            "def odd():\n"
            "    from torchvision.transforms.v2.functional import pil_to_tensor as pixels\n"
            "    cut = lambda picture: pixels(picture.crop((0, 0, 16, 16))) / 255\n"
            "    return xc.Classifier(Net().eval(), layer='body', transform=cut)\n"
        )
    assert explain("odd", "--overlays", "maps") == 0
    assert "where its transform looks is unknown" in capsys.readouterr().out
    with Image.open("maps/0.grad-cam.png") as overlay:
        assert overlay.size == (16, 16)


@pytest.mark.starts
def test_what_weights_were_wrapped_in_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c"]
    code = "import torch, nets; s = nets.colour().state_dict(); "
    code += "torch.save({'model': {'module.' + k: v for k, v in s.items()}}, 'net.pt')"
    subprocess.run([*command, code], check=True)
    told = started("explain", "photos/0.png", *MINE, "--weights", "net.pt")
    assert told.returncode == 0
    line = "xaicore: warning: net.pt: the weights were found under 'model' and the prefix 'module.'"
    assert told.stderr.decode() == f"{line}\n"


# The last line of defence -------------------------------------------------------------------------

MINE = ("--model", "nets:colour", "--layer", "body", "--method", "grad-cam", "-o", "map.png")


def started(*words: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in another process."""
    command = [sys.executable, "-m", "xaicore", *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings
    return subprocess.run(command, check=False, **streams)


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "ascii", "cp437", "utf-8"])
def test_any_console_can_print_it(
    encoding: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "photos" / "0.png").rename(place / "photos" / "ä → 文.png")
    printed, told = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(sys, "stderr", told)
    assert main(["explain", "photos/ä → 文.png", *MINE]) == 0
    assert main(["explain", "文.png", *MINE]) == 2
    for stream in (printed, told):
        stream.flush()
    assert b"40" in printed.buffer.getvalue()
    assert told.buffer.getvalue().count(b"\n") == 1


@pytest.mark.starts
def test_a_console_of_another_encoding_can_print_it(place: Path) -> None:
    (place / "photos" / "0.png").rename(place / "photos" / "ä → 文.png")
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = started("explain", "photos/ä → 文.png", *MINE, env=environment)
    assert (done.returncode, b"40" in done.stdout) == (0, True), done.stderr


@pytest.mark.starts
@pytest.mark.parametrize("words", ["--help", "methods", "--version"])
def test_a_reader_that_has_gone_is_no_error(words: str, place: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = started(*words.split(), stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_that_breaks_within_a_command_is_an_error(
    flower: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the reader of what is printed may go."""

    def failing(_: object) -> None:
        raise BrokenPipeError("a process that reads pictures has gone")

    monkeypatch.setattr("xaicore.cli.explain.run", failing)
    assert "has gone" in refused(["explain", str(flower), "-o", "map.png"], capsys)


def test_ctrl_c_within_the_network_is_130(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("interrupted") == 130
    assert capsys.readouterr().err == "\nstopped\n"


def test_an_error_of_the_users_network_is_one_line_with_its_place(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain("broken") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "AttributeError: 'Broken' object has no attribute 'hed'" in told
    assert "nets.py, line 14" in told
    assert "--traceback shows more" in told


@pytest.mark.parametrize("first", [True, False])
def test_a_traceback_is_shown_on_demand(
    first: bool, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", "photos/0.png", "--model", "nets:broken", "--layer", "body"]
    command += ["--method", "grad-cam", "-o", "map.png"]
    command = ["--traceback", *command] if first else [*command, "--traceback"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.startswith("Traceback (most recent call last)")
    assert "return self.hed(x)" in told


def test_progress_is_shown_of_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal, also while one map is computed; before that nothing."""
    monkeypatch.setattr("xaicore.cli.explain.QUIET", 0.05)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with _progress(3, Passes(forwards=7)):
        pass
    assert "0/3" not in capsys.readouterr().err
    with _progress(3, Passes(forwards=7)):
        time.sleep(0.3)
    shown = capsys.readouterr().err
    assert "0/3" in shown
    assert "7 passes of the network" in shown
