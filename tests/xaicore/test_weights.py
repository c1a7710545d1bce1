"""Weights as people have them: wrapped, prefixed, of another head, or no weights at all."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from xaicore.classifier import Classifier
from xaicore.models.timm import from_timm
from xaicore.weights import CONTAINERS, load_weights

State = dict[str, Tensor]


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(classes)
    )


@pytest.fixture
def trained() -> nn.Sequential:
    torch.manual_seed(0)
    net = network().eval()
    net(torch.rand(1, 3, 5, 5))
    return net


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


WRAPPED: dict[str, tuple[Callable[[State], Any], str]] = {
    **{name: (lambda s, n=name: {"epoch": 3, n: s}, f"under '{name}'") for name in CONTAINERS},
    "data parallel": (lambda s: prefixed("module.", s), "the prefix 'module.'"),
    "compiled": (lambda s: prefixed("_orig_mod.", s), "the prefix '_orig_mod.'"),
    "both": (lambda s: prefixed("module._orig_mod.", s), "the prefix 'module._orig_mod.'"),
    "a backbone": (lambda s: prefixed("backbone.", s), "the prefix 'backbone.'"),
    "Lightning": (
        lambda s: {"state_dict": prefixed("model.", s), "pytorch-lightning_version": "2"},
        "under 'state_dict' and the prefix 'model.'",
    ),
    "a loss beside it": (
        lambda s: {"state_dict": {**prefixed("net.", s), "loss.weight": torch.ones(3)}},
        "the prefix 'net.'; entries left aside: 1",
    ),
    "containers in one another": (
        lambda s: {"model": {"state_dict": s}, "optimizer": {}},
        "under 'model' and 'state_dict'",
    ),
    "counted operations": (
        lambda s: {**s, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)},
        "entries left aside: 2",
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_weights_are_wrapped_in_is_peeled_and_named(
    kind: str, trained: nn.Sequential, tmp_path: Path
) -> None:
    wrap, told = WRAPPED[kind]
    torch.save(wrap(trained.state_dict()), tmp_path / "net.pt")
    other = network().eval()
    other(torch.rand(1, 3, 5, 5))
    with pytest.warns(UserWarning, match=told):
        load_weights(other, tmp_path / "net.pt")
    images = torch.rand(2, 3, 5, 5)
    assert torch.equal(other(images), trained(images))


def test_plain_weights_are_read_without_a_word(
    trained: nn.Sequential, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    torch.save(trained.state_dict(), tmp_path / "net.pt")
    load_weights(trained, tmp_path / "net.pt")
    assert not recwarn


def test_weights_are_told_from_their_running_mean(trained: nn.Sequential, tmp_path: Path) -> None:
    state = trained.state_dict()
    other = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save({"state_dict_ema": other, "state_dict": state}, tmp_path / "net.pt")
    with pytest.warns(UserWarning, match="under 'state_dict', not under 'state_dict_ema', the run"):
        load_weights(trained, tmp_path / "net.pt")
    assert trained.state_dict()["0.weight"].any()


def test_a_folder_is_no_file_of_weights(trained: nn.Sequential, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder: give the file in it"):
        load_weights(trained, tmp_path)


def test_a_damaged_file_of_safetensors_is_refused(trained: nn.Sequential, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(ValueError, match=r"not a file of weights saved by torch\.save"):
        load_weights(trained, tmp_path / "net.safetensors")


def test_of_several_networks_in_a_file_none_is_chosen(
    trained: nn.Sequential, tmp_path: Path
) -> None:
    state = trained.state_dict()
    torch.save(prefixed("model.", state) | prefixed("ema.", state), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"several such networks, under model\., ema\."):
        load_weights(trained, tmp_path / "net.pt")


TEXTS = {
    "text": "no weights",
    "a pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    "a page": "<!DOCTYPE html>",
}

KINDS = {"whole numbers": torch.int8, "no numbers": "meta", "nothing inside": None}
"""What state dicts are brought to."""


def write(kind: str, net: nn.Module, path: Path) -> None:
    """Write a file that is no state dict."""
    if kind == "a whole network":
        torch.save(net, path)
    elif kind == "a whole network, as torch wrote it once":
        torch.save(net, path, _use_new_zipfile_serialization=False)
    elif kind == "a path beside the weights":
        torch.save({"state_dict": net.state_dict(), "folder": path}, path)
    elif kind == "a program":
        torch.jit.script(net).save(str(path))
    elif kind == "cut short":
        torch.save(net.state_dict(), path)
        path.write_bytes(path.read_bytes()[:500])
    elif kind == "a pickle":
        path.write_bytes(pickle.dumps({"weight": 1}))
    elif kind == "arrays":
        with path.open("wb") as file:
            np.savez(file, weight=np.ones(3))
    elif kind in TEXTS:
        path.write_text(TEXTS[kind])
    elif kind in KINDS:
        state = net.state_dict() if KINDS[kind] else {}
        torch.save({name: value.to(KINDS[kind]) for name, value in state.items()}, path)
    else:
        path.touch()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("a whole network", r"unsafe pickle: .*Sequential.*save net\.state_dict\(\)"),
        ("a whole network, as torch wrote it once", "unsafe pickle: .*Sequential"),
        ("a path beside the weights", r"unsafe pickle: .*pathlib\."),
        ("a program", r"TorchScript program.*save net\.state_dict\(\)"),
        ("cut short", "damaged or incomplete"),
        ("a pickle", "not a file of weights saved by torch.save"),
        ("arrays", "not a file of weights saved by torch.save"),
        ("text", "not a file of weights saved by torch.save"),
        ("nothing", "not a file of weights saved by torch.save"),
        ("nothing inside", "it holds nothing"),
        ("a pointer", "a pointer of Git LFS, not the file itself"),
        ("a page", "a page of the web, not the file itself"),
        ("whole numbers", r"holds torch\.int8 in 0\.weight: quantised weights"),
        ("no numbers", r"no numbers in 0\.weight: it is on the meta device"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_unsafe_file_is_told_from_one_of_another_kind(
    kind: str, words: str, trained: nn.Sequential, tmp_path: Path
) -> None:
    write(kind, trained, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=words):
        load_weights(trained, tmp_path / "net.pt")


@pytest.mark.parametrize(
    "name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "maxvit_t"]
)
def test_the_head_is_sized_from_the_file(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=5).eval()
    torch.save(net.state_dict(), tmp_path / "five.pt")
    model = Classifier.from_torchvision(name, tmp_path / "five.pt")
    assert model.classes is None
    images = torch.rand(1, 3, 224, 224)
    assert torch.equal(model.net(images), net(images))


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_the_head_of_a_network_of_timm_is_sized_too(name: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=5).eval()
    torch.save(net.state_dict(), tmp_path / "five.pt")
    model = from_timm(name, tmp_path / "five.pt")
    images = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(model.net(images), net(images))


def test_the_cure_is_told_where_the_head_alone_is_of_another_size(
    trained: nn.Sequential, tmp_path: Path
) -> None:
    torch.save(trained.state_dict(), tmp_path / "three.pt")
    other = network(5).eval()
    other(torch.rand(1, 3, 5, 5))
    with pytest.raises(ValueError, match=r"is \(3, 36\), not \(5, 36\): build the network with as"):
        load_weights(other, tmp_path / "three.pt")


def test_a_body_of_another_size_is_still_refused(tmp_path: Path) -> None:
    torch.save(models.resnet34(weights=None, num_classes=5).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"does not hold the weights of this ResNet: .*layer1\.2"):
        Classifier.from_torchvision("resnet18", tmp_path / "other.pt")
