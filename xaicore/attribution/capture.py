"""The one capture: a layer's features and the logits as a function of them.

Every method that looks inside a network comes through here. Nothing of the user's model is changed:
a forward hook lives only inside the call, parameters are used detached, and gradients are asked of
tensors, never accumulated. It works under ``torch.no_grad`` and ``torch.inference_mode``, with
frozen parameters, and with layers followed by in-place operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xaicore.classifier import Classifier


class Capture(NamedTuple):
    """What one forward pass shows of a layer.

    Attributes:
        features: the layer's output :math:`A`, ``(B, K, h, w)``: a leaf that requires a gradient.
        logits: the network's output ``(B, C)``, differentiable with respect to ``features`` alone.
    """

    features: Tensor
    logits: Tensor

    def gradient(self, targets: Tensor) -> Tensor:
        r"""Return :math:`\partial y_c / \partial A`, ``(B, K, h, w)``; one backward."""
        with gradients_on():
            scores = self.logits.gather(1, own(targets)[:, None]).sum()
            (gradient,) = torch.autograd.grad(scores, self.features)
        return gradient


@contextmanager
def gradients_on() -> Iterator[None]:
    """Record gradients inside, whatever the caller's grad and inference modes are."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def own(tensor: Tensor) -> Tensor:
    """Return a detached view; a copy if the tensor was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def frozen(classifier: Classifier) -> Callable[[Tensor], Tensor]:
    """Return the classifier as a function of its images, its parameters held constant.

    No parameter takes part in the graph, so no gradient is computed for any, and the parameters'
    own ``requires_grad`` and ``.grad`` are left alone.
    """
    state = {
        name: own(tensor)
        for tensors in (classifier.named_parameters(), classifier.named_buffers())
        for name, tensor in tensors
    }

    def call(images: Tensor) -> Tensor:
        return functional_call(classifier, state, (images,))

    return call


def capture(classifier: Classifier, images: Tensor) -> Capture:
    """Run the classifier once and capture its CAM layer.

    Cost: one forward. Only the part above the layer is recorded for a backward.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: the layer runs never or more than once, or its output is no feature map.
    """
    leaves: list[Tensor] = []

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        leaf = _leaf(output, classifier.layer_name)
        leaves.append(leaf)
        return leaf.clone()

    handle = classifier.layer.register_forward_hook(replace)
    try:
        with gradients_on():
            logits = frozen(classifier)(own(images))
    finally:
        handle.remove()
    if len(leaves) != 1:
        raise ValueError(
            f"layer '{classifier.layer_name}' ran {len(leaves)} times in one forward pass; "
            "a CAM needs a layer that runs exactly once"
        )
    if not logits.requires_grad:
        raise ValueError(f"the logits do not depend on layer '{classifier.layer_name}'")
    return Capture(leaves[0], logits)


def _leaf(output: Any, name: str | None) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 4:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer '{name}' gives {shape}, not a feature map (B, K, h, w): choose a spatial layer"
        )
    return output.detach().requires_grad_()
