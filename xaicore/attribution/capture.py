"""The one capture: a layer's features and the logits as a function of them.

Every method that looks inside a network comes through here. Nothing of the user's model is changed:
a forward hook lives only inside the call, parameters are used detached, and gradients are asked of
tensors, never accumulated. It works under ``torch.no_grad`` and ``torch.inference_mode``, with
frozen parameters, and with layers followed by in-place operations.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from xaicore.attribution.cuts import FREE, changes, differentiating
from xaicore.attribution.explainer import resolve_targets
from xaicore.attribution.tokens import from_grid, to_grid
from xaicore.classifier import Classifier, hint, known_layer
from xaicore.processes import out_of_memory


@dataclass(frozen=True, eq=False)
class Capture:
    r"""What one forward pass shows of a layer.

    Attributes:
        classifier: the classifier that ran.
        images: the images it ran on, ``(B, channels, H, W)``.
        targets: the classes to explain, ``(B,)``.
        leaf: the layer's output :math:`A` as a grid ``(B, K, h, w)``, requiring a gradient.
        logits: the network's output ``(B, C)``, differentiable with respect to ``leaf`` alone,
            unless the network cuts its graph above the layer.
    """

    classifier: Classifier
    images: Tensor
    targets: Tensor
    leaf: Tensor
    logits: Tensor

    @cached_property
    def features(self) -> Tensor:
        """The feature maps :math:`A`, ``(B, K, h, w)``, detached, float32 at least."""
        return full_precision(self.leaf.detach())

    @cached_property
    def gradient(self) -> Tensor:
        r"""The gradient :math:`\partial y_c / \partial A`, ``(B, K, h, w)``, float32 at least.

        Cost: one backward from the logits to the layer, the first time it is asked for.

        Raises:
            ValueError: none arrives, for the network cuts its graph; or that of an image is zero
                everywhere.
        """
        with gradients_on(), self._differentiating():
            scores = self.logits.gather(1, self.targets[:, None]).sum()
            (gradient,) = torch.autograd.grad(scores, self.leaf)
        dead = (gradient == 0).flatten(1).all(1).nonzero()[:, 0].tolist()
        if dead:
            raise ValueError(
                f"the gradient at layer '{self.classifier.layer_name}' is zero everywhere for "
                f"image {dead[0]} of the batch ({len(dead)} in all): {self._why_zero(dead[0])}"
            )
        return full_precision(gradient)

    def _differentiating(self) -> AbstractContextManager[None]:
        layer = self.classifier.layer_name
        return differentiating(
            partial(logits_above, self.classifier, own(self.images)),
            own(self.leaf),
            type(self.classifier.net).__name__,
            f"layer '{layer}'",
            f"; {_advice(self.classifier)}",
        )

    def looked_at(self) -> bool:
        """Return whether the logits change with the layer's output; two forwards."""
        return changes(partial(logits_above, self.classifier, own(self.images)), own(self.leaf))

    def _why_zero(self, row: int) -> str:
        image, features = (own(part)[row : row + 1] for part in (self.images, self.leaf))
        if changes(partial(logits_above, self.classifier, image), features):
            told = "the network is flat there, saturated, rounded or cut inside"
            return f"{told}; {_advice(self.classifier)}, or {FREE}"
        return f"the class does not depend on this layer there; {_advice(self.classifier)}"


@contextmanager
def gradients_on() -> Iterator[None]:
    """Record gradients inside, whatever the caller's grad and inference modes are."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def own(tensor: Tensor) -> Tensor:
    """Return a detached view; a copy if the tensor was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def frozen(
    classifier: Classifier,
    layout: torch.memory_format = torch.preserve_format,
) -> Callable[[Tensor], Tensor]:
    """Return the classifier as a function of its images, its parameters held constant.

    No parameter takes part in the graph, so no gradient is computed for any, and the parameters'
    own ``requires_grad`` and ``.grad`` are left alone. Inside autocast float32 filters are brought
    to its precision here, once, which spares each call doing so.

    Args:
        classifier: the classifier.
        layout: how the filters lie in memory. Where many calls follow, a copy with channels last
            spares each of them making its own; the results are the same to within rounding.
    """
    device = classifier.mean.device.type
    lower = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None

    def constant(tensor: Tensor) -> Tensor:
        if tensor.ndim != 4:
            return own(tensor)
        dtype = lower if tensor.dtype == torch.float32 else None
        return own(tensor).to(dtype or tensor.dtype, memory_format=layout)

    state = {
        name: constant(tensor)
        for tensors in (classifier.named_parameters(), classifier.named_buffers())
        for name, tensor in tensors
    }

    def call(images: Tensor) -> Tensor:
        return functional_call(classifier, state, (images,))

    return call


def capture(classifier: Classifier, images: Tensor, targets: Tensor | None = None) -> Capture:
    """Run the classifier once and capture its CAM layer.

    Tokens ``(B, N, K)`` and channels-last maps ``(B, h, w, K)`` are brought to ``(B, K, h, w)``;
    a class token stays what it was. The images are laid out with channels last, which convolutions
    run faster on. Cost: one forward. Only the part above the layer is recorded for a backward.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        targets: the classes ``(B,)``; ``None`` for the predicted ones.

    Raises:
        ValueError: the layer runs never or more than once, its output is no feature map, the logits
            do not depend on it, or a class does not exist.
    """
    with gradients_on():
        try:
            leaf, logits = _passed(classifier, images)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            with torch.no_grad():  # it may run where nothing is recorded
                leaf, logits = _passed(classifier, images)
        classes = own(resolve_targets(targets, logits.detach()))
    if leaf.shape[-2:] == (1, 1):
        warnings.warn(
            f"layer '{classifier.layer_name}' has one position for images of {images.shape[2]}x"
            f"{images.shape[3]} pixels, so every map of it is constant: choose an earlier layer or "
            "larger images",
            stacklevel=2,
        )
    captured = Capture(classifier, images, classes, leaf.requires_grad_(), logits)
    if not logits.requires_grad and len(logits) and not captured.looked_at():
        raise ValueError(
            f"the logits do not depend on layer '{classifier.layer_name}'; {_advice(classifier)}"
        )
    return captured


def _passed(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the layer's output as a leaf, and the logits that follow from it."""
    leaves: list[Tensor] = []
    recorded = torch.is_grad_enabled()

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        with torch.inference_mode(False), torch.set_grad_enabled(recorded):
            leaf = own(_grid(output, classifier, images)).requires_grad_(recorded)
            leaves.append(leaf)
            return from_grid(leaf.clone(), own(output))

    with hooked([classifier.layer], replace):
        logits = frozen(classifier)(own(images).contiguous(memory_format=torch.channels_last))
    if len(leaves) != 1:
        raise ValueError(
            f"layer '{classifier.layer_name}' ran {len(leaves)} times in one forward pass; "
            "a CAM needs a layer that runs exactly once"
        )
    return leaves[0], logits


@torch.no_grad()
def logits_above(classifier: Classifier, images: Tensor, features: Tensor) -> Tensor:
    """Return the logits ``(N, C)`` that follow from changed features.

    The layers below run on the images only, the layers above on the features. Cost: at most one
    forward of the images and N times the part above the layer.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(1, channels, H, W)`` of one image, or of N.
        features: what stands in the layer's place, ``(N, K, h, w)``.
    """

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
        rows = output.expand(len(features), *output.shape[1:])
        return from_grid(features.to(output.dtype), rows)

    with hooked([classifier.layer], replace):
        return classifier(images)


@contextmanager
def hooked(
    modules: Iterable[nn.Module], hook: Callable[[nn.Module, Any, Any], Any]
) -> Iterator[None]:
    """Let a forward hook replace the output of modules, inside only."""
    handles: list[RemovableHandle] = []
    try:
        for module in modules:
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watched(
    classifier: Classifier, layers: Iterable[str], see: Callable[[str, Tensor], Tensor | None]
) -> Iterator[None]:
    """Show what each of several layers puts out in one forward pass, inside only.

    Args:
        classifier: the classifier that will run, once.
        layers: dotted names of modules of ``classifier.net``.
        see: receives a name and an output, and returns what takes its place, or ``None``. The name
            is the layer's; from the second run of a layer in the pass on, with its number:
            ``"relu"``, ``"relu:1"``.

    Raises:
        ValueError: the network has no such layer.
    """
    names = {_module(classifier, layer): layer for layer in layers}
    runs: Counter[str] = Counter()

    def hook(module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
        layer = names[module]
        name = f"{layer}:{runs[layer]}" if runs[layer] else layer
        runs[layer] += 1
        return see(name, output)

    with hooked(names, hook):
        yield


def _module(classifier: Classifier, layer: str) -> nn.Module:
    modules = dict(classifier.net.named_modules())
    if layer not in modules or not layer:
        raise ValueError(
            f"layers: the network has no module called '{layer}'{hint(layer, modules)}"
        )
    return modules[layer]


def _grid(output: Any, classifier: Classifier, images: Tensor) -> Tensor:
    name = classifier.layer_name
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer '{name}' gives {shape}, not a feature map (B, K, h, w) nor tokens (B, N, K): "
            "choose a spatial layer"
        )
    return to_grid(output, images.shape[-2:])


def _advice(classifier: Classifier) -> str:
    known = known_layer(classifier.net)
    if known is None or known == classifier.layer_name:
        return "choose a layer below it, layer='…' (see net.named_modules())"
    return (
        f"choose layer='{known}', the last layer of this {type(classifier.net).__name__} "
        "whose positions all reach the logits"
    )


def full_precision(tensor: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others unchanged."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@dataclass
class Passes:
    """How many images passed a network.

    Attributes:
        forwards: images that went in.
        backwards: gradients that came back from the logits.
    """

    forwards: int = 0
    backwards: int = 0


@contextmanager
def counted(net: nn.Module, called: Callable[[], object] = lambda: None) -> Iterator[Passes]:
    """Count the images that pass a network inside.

    Args:
        net: the network.
        called: is called after each call of it, and may raise.
    """
    passes = Passes()

    def came_back(gradient: Tensor | None) -> None:
        passes.backwards += 0 if gradient is None else len(gradient)

    def count(_module: nn.Module, inputs: Any, output: Any) -> None:
        passes.forwards += len(inputs[0])
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(came_back)
        called()

    with hooked([net], count):
        yield passes
