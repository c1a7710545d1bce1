"""Networks that cut their graph: told apart from networks that do not look there.

A network may run its layers under ``torch.no_grad`` or ``inference_mode``, detach, go through NumPy
or through quantised layers. No gradient then arrives where a method asks for one, though the logits
change with what is there. Torch's own words for this do not say which of the two it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from xaicore.processes import out_of_memory

FREE = "use a method that needs none: Score-CAM, Ablation-CAM, RISE or occlusion"
"""What can be done without a gradient."""

CUTS = (
    "does not require grad",
    "not have been used",
    "that requires grad",
    "Inference tensors",
    "inference tensor",
)
"""What torch says where a graph is cut; other errors are told in its words."""

Network = Callable[[Tensor], Tensor]


@contextmanager
def differentiating(
    network: Network, inputs: Tensor, called: str, place: str = "the pixels", advice: str = ""
) -> Iterator[None]:
    """Say in words, inside, why no gradient arrives.

    Cost: nothing; after an error two forwards, which tell whether the logits change.

    Args:
        network: the logits as a function of the inputs, whatever the gradient is asked of.
        inputs: what it receives.
        called: the name of the network.
        place: where the gradient is asked for.
        advice: what ends the sentence if the network does not look there.

    Raises:
        ValueError: the network cuts its graph, or does not look there.
    """
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        try:
            differ = changes(network, inputs)
        except RuntimeError:
            raise error from None  # it does not run at all
        if not differ:
            raise ValueError(f"the logits do not depend on {place}{advice}") from error
        raise ValueError(_told(called, place, " ".join(str(error).split()))) from error


def _told(called: str, place: str, words: str) -> str:
    """Why no gradient arrives though the logits change; torch said something in words."""
    if any(cut in words for cut in CUTS):
        return (
            f"no gradient reaches {place}, though the logits change with {place}: {called} cuts "
            "the gradient inside (torch.no_grad, inference_mode, detach, NumPy or quantised "
            f"layers): take that out of its forward, or {FREE}"
        )
    return f"{called} cannot be differentiated by {place} ({words}): {FREE}"


@torch.no_grad()
def changes(network: Network, inputs: Tensor) -> bool:
    """Return whether other inputs give other logits, beyond rounding; two forwards."""
    noise = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0)).to(inputs)
    spread = inputs.detach().float().std(correction=0).to(inputs) + 1
    before, after = (network(each).float() for each in (inputs.detach(), noise * spread))
    return not torch.allclose(before, after, equal_nan=True)
