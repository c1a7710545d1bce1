"""A flower network as the playground's script reads it: half-precision weights by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xaibook.flowers import SmallResNet, flower_classifier
from xaibook.flowers.trained import WEIGHTS
from xaibook.playground.encode import encoded

COUNTER = "num_batches_tracked"


def exported(task: str, seed: int = 0) -> dict[str, Any]:
    """Return a network: its classes, its normalisation, its strides and its weights.

    The weights are the stored halves as they are, one after the other; a name leads to the place of
    its first number and to its shape. Batch normalisation is not folded: the script does that in
    double precision.

    Args:
        task: the question the network answers.
        seed: the seed it was trained with.

    Raises:
        ValueError: the network is not what ``net.js`` computes, or not stored in halves.
    """
    classifier = flower_classifier(task, seed)
    state = torch.load(WEIGHTS / f"{task}-seed{seed}.pt", weights_only=True)
    tensors = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    halves, places = packed(tensors)
    return {
        "classes": classifier.classes,
        "mean": classifier.mean.flatten().tolist(),
        "std": classifier.std.flatten().tolist(),
        "weights": places,
        "halves": encoded(halves),
        **architecture(classifier.net),
    }


def architecture(net: nn.Module) -> dict[str, Any]:
    """Return what ``net.js`` asks of a network beside its weights: strides and epsilon.

    Raises:
        ValueError: the script would compute something else than this network does.
    """
    if not isinstance(net, SmallResNet):
        raise ValueError(f"net.js computes a SmallResNet, not a {type(net).__name__}")
    convolutions = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d)]
    strides = {name: module.stride[0] for name, module in convolutions}
    if any(f"stages.{i}.shortcut.0" not in strides for i in range(len(net.stages))):
        raise ValueError("net.js has a convolution in every shortcut; this network has not")
    norms = {module.eps for module in net.modules() if isinstance(module, nn.BatchNorm2d)}
    if len(norms) != 1:
        raise ValueError(f"net.js has one epsilon for every batch normalisation, not {norms}")
    return {
        "strides": [strides["stem.0"]]
        + [strides[f"stages.{i}.conv1"] for i in range(len(net.stages))],
        "epsilon": norms.pop(),
    }


def packed(tensors: dict[str, Tensor]) -> tuple[bytes, dict[str, tuple[int, list[int]]]]:
    """Return all numbers in a row, and where each tensor's begin, with its shape."""
    content, places = bytearray(), {}
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float16:
            raise ValueError(f"{name} is stored as {tensor.dtype}, not in half precision")
        places[name] = len(content) // 2, list(tensor.shape)
        content += tensor.numpy().astype("<f2").tobytes()
    return bytes(content), places
