"""Which pixels a position of a layer can see: receptive fields, followed operation by operation.

Rows and columns are followed apart. Each position of a tensor knows the first and the last row (and
column) of the image that reach it; an operation takes the first of the firsts and the last of the
lasts in its window, so padding, uneven strides and several branches come out right at the borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

from xaicore.attribution.capture import watched
from xaicore.attribution.explainer import check_evaluation_mode
from xaicore.classifier import Classifier

POINTWISE = frozenset(
    {"add", "iadd", "sub", "isub", "mul", "imul", "truediv", "div", "rsub", "rmul", "radd", "clone"}
    | {"relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "silu", "gelu", "elu", "leaky_relu"}
    | {
        "sigmoid",
        "tanh",
        "softplus",
        "batch_norm",
        "dropout",
        "to",
        "contiguous",
        "detach",
        "float",
    }
    | {"local_response_norm", "clamp", "clamp_min", "square", "sqrt", "exp", "abs", "type"}
)
"""Operations that leave every position where it is."""

ADAPTIVE = frozenset({"adaptive_avg_pool2d", "adaptive_max_pool2d"})
WINDOWS = frozenset({"conv2d", "max_pool2d", "avg_pool2d"})
GLOBAL = frozenset({"mean", "flatten", "linear"})
"""Operations after which every position sees what any one saw."""


@dataclass(frozen=True, eq=False)
class Field:
    """The pixels that each position of a layer sees; at most these can change it.

    Attributes:
        rows: the first and the last row, for each row of the layer, ``(h, 2)``.
        columns: the first and the last column, for each column of the layer, ``(w, 2)``.
    """

    rows: Tensor
    columns: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the field of a position whose field lies inside the image.

        Where no position's does, of the largest part that does.
        """
        height, width = ((span[:, 1] - span[:, 0] + 1).amax() for span in (self.rows, self.columns))
        return int(height), int(width)


def receptive_fields(
    classifier: Classifier, size: Sequence[int], layers: Iterable[str]
) -> dict[str, Field]:
    """Return the receptive field of each position of some layers, cut to the image.

    Cost: one forward of one image.

    Args:
        classifier: the classifier, in evaluation mode.
        size: the size of the image, ``(H, W)``.
        layers: dotted names of modules of ``classifier.net``; later runs of one are found too.

    Returns:
        The fields by the name of the layer, ``"relu:1"`` for a second run.

    Raises:
        ValueError: the network has no such layer, or an operation below it has no rule.
    """
    check_evaluation_mode(classifier)
    found: dict[str, Field] = {}

    def see(name: str, output: Tensor) -> None:
        if _field(output) is None:
            raise ValueError(
                f"layers: what layer '{name}' sees cannot be followed, for an operation below it "
                "has no rule (convolutions, pooling and what works position by position have one)"
            )
        found[name] = output.receptive_field  # type: ignore[attr-defined]

    image = torch.zeros(1, classifier.mean.shape[1], *size, device=classifier.mean.device)
    _mark(image, Field(*(torch.arange(side)[:, None].repeat(1, 2) for side in size)))
    with torch.no_grad(), watched(classifier, layers, see), _Fields():
        classifier.net(classifier.normalised(image))  # which need not end in logits
    return found


class _Fields(TorchFunctionMode):
    """Let the outputs of torch's operations know the fields of their positions."""

    def __torch_function__(
        self, function: Callable, types: Any, args: Sequence = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        fields = [_field(x) for x in _tensors(args)]
        known = [field for field in fields if field is not None]
        result = function(*args, **kwargs)
        name = function.__name__.strip("_")
        if not known or not isinstance(result, Tensor):
            return result
        return _mark(result, _after(name, known, result, args, kwargs))


def _tensors(args: Sequence) -> list[Tensor]:
    flat = [y for x in args for y in (x if isinstance(x, list | tuple) else [x])]
    return [x for x in flat if isinstance(x, Tensor)]


def _field(tensor: Tensor) -> Field | None:
    return getattr(tensor, "receptive_field", None)


def _mark(tensor: Tensor, field: Field | None) -> Tensor:
    tensor.receptive_field = field  # type: ignore[attr-defined]
    return tensor


def _after(
    name: str, known: list[Field], result: Tensor, args: Sequence, kwargs: dict
) -> Field | None:
    """Return the field after an operation, or None if it has no rule."""
    if name in POINTWISE or name in ("cat", "concat"):
        return _union(known, result)
    if name in GLOBAL:
        return _everything(known[0], result)
    spans, sides = (known[0].rows, known[0].columns), result.shape[-2:]
    if name in ADAPTIVE:
        return Field(*(_bins(*each) for each in zip(spans, sides, strict=True)))
    if name in WINDOWS:
        windows = _windows(name, args, kwargs)
        return Field(*(_slide(*each) for each in zip(spans, sides, windows, strict=True)))
    if name == "pad":
        left, top = (*args[1][::2], 0)[:2]
        windows = [(1, 1, padding, 1) for padding in (top, left)]
        return Field(*(_slide(*each) for each in zip(spans, sides, windows, strict=True)))
    return None


def _union(known: list[Field], result: Tensor) -> Field | None:
    """Return what several tensors of one size see together; None if they differ in size."""
    spans = []
    for name, side in zip(("rows", "columns"), result.shape[-2:], strict=True):
        parts = [getattr(field, name) for field in known]
        if any(len(part) not in (1, side) for part in parts):
            return None
        parts = [part.expand(side, 2) for part in parts]
        first = torch.stack([part[:, 0] for part in parts]).amin(0)
        last = torch.stack([part[:, 1] for part in parts]).amax(0)
        spans.append(torch.stack([first, last], dim=1))
    return Field(*spans)


def _everything(field: Field, result: Tensor) -> Field:
    sides = result.shape[-2:] if result.ndim == 4 else (1, 1)
    spans = []
    for span, side in zip((field.rows, field.columns), sides, strict=True):
        whole = torch.stack([span[:, 0].amin(), span[:, 1].amax()])
        spans.append(whole.expand(side, 2))
    return Field(*spans)


def _windows(name: str, args: Sequence, kwargs: dict) -> list[tuple[int, int, int, int]]:
    """Return kernel, stride, padding and dilation of each axis."""
    if name == "conv2d":
        kernel: Any = args[1].shape[-2:]
        stride, padding, dilation = _settings(args[3:], kwargs, (1, 0, 1))
    else:
        kernel = _pair(kwargs.get("kernel_size", args[1] if len(args) > 1 else None))
        stride, padding, dilation = _settings(args[2:], kwargs, (None, 0, 1))
        stride = stride or kernel
        dilation = dilation if name == "max_pool2d" else 1
    if isinstance(padding, str):
        same = zip(_pair(dilation), kernel, strict=True)
        padding = [0 if padding == "valid" else d * (k - 1) // 2 for d, k in same]
    return list(zip(kernel, _pair(stride), _pair(padding), _pair(dilation), strict=True))


def _settings(args: Sequence, kwargs: dict, defaults: tuple) -> tuple[Any, ...]:
    """Return stride, padding and dilation, given by position or by name."""
    names = ("stride", "padding", "dilation")
    given = dict(zip(names, args, strict=False)) | kwargs
    return tuple(given.get(name, default) for name, default in zip(names, defaults, strict=True))


def _slide(span: Tensor, count: int, window: tuple[int, int, int, int]) -> Tensor:
    """Return first and last pixel seen by a window at each of ``count`` places, ``(count, 2)``."""
    kernel, stride, padding, dilation = window
    places = torch.arange(count)[:, None] * stride - padding + torch.arange(kernel) * dilation
    inside = (places >= 0) & (places < len(span))
    at = places.clamp(0, len(span) - 1)
    beyond = int(span.max()) + 1
    first = span[at, 0].where(inside, beyond).amin(1)
    last = span[at, 1].where(inside, -1).amax(1)
    return torch.stack([first, last], dim=1)


def _bins(span: Tensor, count: int) -> Tensor:
    """Return first and last pixel seen by each of ``count`` bins that share a side evenly."""
    place, side = torch.arange(count), len(span)
    first, last = place * side // count, -(-(place + 1) * side // count) - 1
    return torch.stack([span[first, 0], span[last, 1]], dim=1)
