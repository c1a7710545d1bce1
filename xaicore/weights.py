"""Weights in a file: what training programs wrap them in is peeled and named."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Under which names they keep the running mean of the weights, besides or instead."""

CONTAINERS = (
    *("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module"),
    *AVERAGED,
)
"""Under which names training programs keep the state dict in a file, beside other things; of
several the first of these is taken."""

OTHERS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself: git lfs pull",
    b"<": "is a page of the web, not the file itself: download it again",
}
"""How files begin that were taken for weights when they were fetched."""

COUNTED = ("total_ops", "total_params")
"""What a counter of operations leaves in a state dict."""

LONGEST = 64
"""Bytes of a file that tell what it is."""

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
"""How a file begins that torch wrote before its files were archives."""


def load_weights(net: nn.Module, path: Path) -> None:
    """Load a state dict from a file into a network, in the network's own precision.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a state dict, or one of another network.
    """
    fill(net, read_weights(net, path), path)


def fill(net: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Load a state dict, which came from a file, into a network.

    Raises:
        ValueError: it is one of another network.
    """
    _refuse_values(net.state_dict(), state, path)
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"weights: {path} does not hold the weights of this {type(net).__name__}"
            f"{_misfit(net.state_dict(), state)}"
        ) from error


def read_weights(net: nn.Module, path: Path) -> Mapping[str, Any]:
    """Return the state dict in a file, by the names of a network's own parts.

    The state dict may lie in one of ``CONTAINERS``, and its names behind a prefix: ``module.``,
    ``model.``, ``_orig_mod.``, or any other that all names of the network have there. What is
    peeled is said in one warning.

    Args:
        net: the network, whose names are looked for; the sizes may be others.
        path: a file written by ``torch.save``, read with ``weights_only``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file holds no state dict, or those of several such networks.
    """
    state, peeled = _unwrapped(_content(path), [])
    if not isinstance(state, Mapping):
        raise ValueError(
            f"weights: {path} does not hold the weights of this {type(net).__name__}: it holds a "
            f"{type(state).__name__}, not a state dict"
        )
    named = {str(name): value for name, value in state.items()}
    kept = {name: v for name, v in named.items() if name.rpartition(".")[2] not in COUNTED}
    prefix = _prefix(path, net.state_dict(), kept)
    if prefix:
        peeled = [*peeled, f"the prefix '{prefix}'"]
        kept = {n.removeprefix(prefix): v for n, v in kept.items() if n.startswith(prefix)}
    if peeled or len(kept) < len(named):
        aside = len(named) - len(kept)
        left = [f"entries left aside: {aside}"] if aside else []
        found = [f"the weights were found under {' and '.join(peeled)}"] if peeled else []
        warnings.warn(f"{path}: {'; '.join([*found, *left])}", stacklevel=2)
        return kept
    return state


def classes_in(state: Mapping[str, Any], net: nn.Module) -> int | None:
    """Return how many classes the last layer of a network has in a state dict, if it is there."""
    found = state.get(list(net.state_dict())[-1])
    return len(found) if isinstance(found, Tensor) and found.ndim else None


def _content(path: Path) -> object:
    """What a file holds, or in words why it cannot be read."""
    if path.is_dir():
        raise ValueError(f"weights: {path} is a folder: give the file in it")
    if not path.is_file():
        raise FileNotFoundError(f"weights: there is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a warning would say, an error does
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # of many kinds, safetensors' own among them
        _refuse(path, error)


def _refuse(path: Path, error: Exception) -> NoReturn:
    with path.open("rb") as file:
        start = file.read(LONGEST)
    reason = "is not a file of weights saved by torch.save"
    if "TorchScript" in str(error):
        reason = "is a TorchScript program, no file of weights: save net.state_dict()"
    elif isinstance(error, pickle.UnpicklingError) and (
        zipfile.is_zipfile(path) or start.startswith(LEGACY)
    ):
        what = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = (
            f"is an unsafe pickle: besides tensors it holds {what[1] if what else 'objects'}, as "
            "a whole network does, and reading that would run its code: save net.state_dict()"
        )
    elif start.startswith(b"PK") and not zipfile.is_zipfile(path):
        reason = "is damaged or incomplete"
    reason = next((told for begin, told in OTHERS.items() if start.startswith(begin)), reason)
    raise ValueError(f"weights: {path} {reason}") from error


def _unwrapped(content: object, peeled: list[str]) -> tuple[object, list[str]]:
    """What lies inside all containers, and what they are called."""
    if isinstance(content, Mapping) and not isinstance(next(iter(content.values()), None), Tensor):
        for name in CONTAINERS:
            if isinstance(content.get(name), Mapping):
                also = [mean for mean in AVERAGED if mean in content and mean != name]
                beside = f", not under '{also[0]}', the running mean" if also else ""
                return _unwrapped(content[name], [*peeled, f"'{name}'{beside}"])
    return content, peeled


def _prefix(path: Path, wanted: Mapping[str, Tensor], given: Mapping[str, Any]) -> str:
    """What stands before all names of a network in a file, if they are there at all."""
    needed = [name for name in wanted if not name.endswith("num_batches_tracked")]
    if not needed or set(needed) <= set(given):
        return ""
    first = needed[0]
    prefixes = [name.removesuffix(first) for name in given if name.endswith(f".{first}")]
    whole = [prefix for prefix in prefixes if all(prefix + name in given for name in needed)]
    if len(whole) > 1:
        raise ValueError(
            f"weights: {path} holds several such networks, under {', '.join(whole)}: save one"
        )
    return whole[0] if whole else ""


def _refuse_values(wanted: Mapping[str, Tensor], given: Mapping[str, Any], path: Path) -> None:
    """Refuse numbers that torch would take in, and that are no weights of this network."""
    for name, value in given.items():
        if not isinstance(value, Tensor) or name not in wanted:
            continue
        if value.is_meta:
            raise ValueError(f"weights: {path} has no numbers in {name}: it is on the meta device")
        if wanted[name].is_floating_point() and not value.is_floating_point():
            raise ValueError(
                f"weights: {path} holds {value.dtype} in {name}: quantised weights are those of a "
                "quantised network, which package.module:function can return"
            )


def _misfit(wanted: Mapping[str, Tensor], given: Mapping[str, Any]) -> str:
    """What is wrong with a state dict, as the end of a sentence."""
    if not given:
        return ": it holds nothing"
    missing = [name for name in wanted if name not in given]
    if missing:
        there = ", ".join(map(str, list(given)[:3]))
        return f": it has no {missing[0]}; it has {there}, …"
    last = {name.rpartition(".")[0] for name in list(wanted)[-1:]}
    for name, value in wanted.items():
        if getattr(given[name], "shape", None) != value.shape:
            head = name.rpartition(".")[0] in last
            cure = ": build the network with as many classes as the file has" if head else ""
            return f": its {name} is {_size(given[name])}, not {_size(value)}{cure}"
    extra = next((name for name in given if name not in wanted), None)
    return "" if extra is None else f": the network has no {extra}"


def _size(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
