"""Opti-CAM: a saliency map optimised, image by image, to keep the class's logit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xaicore.attribution.ascent import Adam, natural_gradient
from xaicore.attribution.cam import CAMExplainer, combine
from xaicore.attribution.capture import (
    Capture,
    capture,
    frozen,
    full_precision,
    gradients_on,
    own,
)
from xaicore.attribution.cone import Cone, climb
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.explainer import check_inputs
from xaicore.classifier import Classifier, check_name
from xaicore.masking import mask, normalize, removed, upsample

Network = Callable[[Tensor], Tensor]
"""Brings images ``(B, channels, H, W)`` to logits ``(B, C)``."""


def relative(maps: Tensor) -> Tensor:
    r"""Divide each map ``(B, 1, H, W)`` by its maximum: :math:`n(S) = S_+ / \max S`, eq. 17.

    Negative values become 0, so that the result lies in ``[0, 1]``; so does a map that is nowhere
    positive.
    """
    positive = maps.relu()
    highest = positive.amax(dim=(-2, -1), keepdim=True)
    return positive / torch.where(highest > 0, highest, 1)


NORMALIZATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "range": normalize,
    "max": relative,
    "sigmoid": torch.sigmoid,
}
"""What brings a map to ``[0, 1]``, eqs 16-18."""

OBJECTIVES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mask": lambda _whole, kept, _rest: kept,
    "diff": lambda whole, kept, _rest: -(whole - kept).abs(),
    "iomask": lambda _whole, kept, rest: kept - rest,
    "iodiff": lambda whole, kept, rest: (whole - rest).abs() - (whole - kept).abs(),
}
"""What is maximised, from the logit of the image, of what the map keeps, and of the rest."""

TWO_SIDED = "iomask", "iodiff"
"""The objectives that look at what the map removes as well."""

WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""The instruction sets to which oneDNN can be limited in which it only emulates bfloat16."""


@dataclass(frozen=True)
class Preset:
    r"""How the objective is maximised.

    Attributes:
        iterations: the number of steps, at most.
        learning_rate: the length of a step in each :math:`u_k`.
        betas: the decay of Adam's first and second moments.
        tolerance: an image is finished when its objective changes by less than this in one step.
        natural: whether Adam is given the natural gradient instead of the plain one.
        ahead: whether Adam looks one step ahead and comes to rest over the second half.
        half: whether rounding is traded for speed: bfloat16 where the device computes in it.
    """

    iterations: int
    learning_rate: float
    betas: tuple[float, float]
    tolerance: float = 1e-10
    natural: bool = False
    ahead: bool = False
    half: bool = False


PAPER = Preset(100, 0.1, (0.9, 0.999))
FAST = Preset(30, 0.4, (0.8, 0.99), tolerance=0, natural=True, ahead=True, half=True)
CONE = Cone(24, 0.15, (0.8, 0.95))

PRESETS: dict[str, Preset | Cone] = {"paper": PAPER, "fast": FAST, "cone": CONE}
"""The paper's settings, and those that ``benchmarks/opti_cam_study.py`` chose."""

KNOWN_TO_A_SCALE = {"range": True, "max": False}
"""The normalisations that do not see a map's scale, and whether they miss a constant as well."""


class Optimisation(NamedTuple):
    r"""What Opti-CAM found for each image.

    Attributes:
        features: the feature maps :math:`A`, ``(B, K, h, w)``.
        weights: the channel weights, ``(B, K)``, :math:`\mathrm{softmax}(u^*)` but in the cone,
            where some are 0; none is negative and each row sums to 1.
        objective: the objective before each step, ``(steps, B)``, by default the logit of the
            masked image; a finished image keeps its last value; when all have finished the path
            ends. In the cone it ends with the value after the last step, ``(steps + 1, B)``.
    """

    features: Tensor
    weights: Tensor
    objective: Tensor


class Rows(NamedTuple):
    """The images that are not finished, and all that belongs to each."""

    places: Tensor
    images: Tensor
    absent: Tensor
    features: Tensor
    targets: Tensor
    whole: Tensor
    u: Tensor
    first: Tensor
    second: Tensor
    value: Tensor

    def where(self, kept: Tensor) -> Rows:
        """Keep some of the images; all of them without a copy."""
        return self if kept.all() else Rows(*(tensor[kept] for tensor in self))


class OptiCAM(CAMExplainer):
    r"""Weight the channels so that the image, seen through the map, keeps its logit.

    .. math:: u^* = \arg\max_u\; f_c\big(x \odot n(\mathrm{up}(S(u)))\big), \qquad
        S(u) = \sum_k \mathrm{softmax}(u)_k A^k

    The defaults are the paper's: Adam from :math:`u = 0`, learning rate 0.1, 100 iterations, an
    image stops when its objective moves by less than ``tolerance``. Rounding in float32 can send
    Adam along another path: maps agree across machines in float64, statistics in float32.

    ``preset="fast"`` takes 30 iterations along the natural gradient, in bfloat16 where the device
    computes in it. ``preset="cone"`` climbs the same objective in the map instead of the weights,
    and looks after each step for the weights :math:`w \ge 0` whose map comes nearest: in 24
    iterations, in bfloat16 where it can, it finds higher values than the paper's 100, and other
    maps. It keeps the best weights that it meets, so it never ends below its start.
    ``benchmarks/opti_cam_study.md`` says what each costs in time and reaches in objective. What is
    given explicitly overrides the preset; the cone takes all its steps and no ``tolerance``.

    With :math:`s = n(\mathrm{up}(S))` and the class's logit :math:`g_c`, ``objective`` maximises

    =============  ===================================================================  ========
    ``"mask"``     :math:`g_c(x \odot s)`                                               eq. 10
    ``"diff"``     :math:`-|g_c(x) - g_c(x \odot s)|`                                   eq. 19
    ``"iomask"``   :math:`g_c(x \odot s) - g_c(x \odot (1 - s))`                        eq. F.1
    ``"iodiff"``   :math:`|g_c(x) - g_c(x \odot (1 - s))| - |g_c(x) - g_c(x \odot s)|`  eq. F.2
    =============  ===================================================================  ========

    and ``normalization`` is what brings a map to ``[0, 1]``, while it is optimised and when it is
    returned:

    =============  ==================================================  =======
    ``"range"``    :math:`n(S) = (S - \min S) / (\max S - \min S)`     eq. 16
    ``"max"``      :math:`n(S) = S_+ / \max S`                         eq. 17
    ``"sigmoid"``  :math:`n(S) = 1 / (1 + e^{-S})`                     eq. 18
    =============  ==================================================  =======

    Equation 17 is meant for maps that are nowhere negative. Where one is, as with transformers,
    its negative values become 0; an image whose map is nowhere positive keeps a map of zeros.
    A sigmoid sees the scale of the features: maps that are nowhere negative give values from 0.5.
    The cone has no scale, and refuses it.

    Cost: 1 forward, then one forward and one backward to the input per iteration, two of each for
    the objectives F.1 and F.2, and in the cone a last forward, or two; no gradient for any
    parameter. Source: Zhang, Torres, Sicre, Avrithis and Ayache, CVIU 248 (2024), eqs 8-11; the
    natural gradient and the cone are ours.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        iterations: the number of steps, at most. ``None``, here and below: the preset's.
        learning_rate: Adam's learning rate.
        tolerance: an image is finished when its objective changes by less than this in one step.
        baseline: what replaces removed pixels: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        betas: the decay of Adam's two moments, each in ``[0, 1)``.
        normalization: ``"range"``, ``"max"`` or ``"sigmoid"``.
        objective: ``"mask"``, ``"diff"``, ``"iomask"`` or ``"iodiff"``.
        initial: where :math:`u` starts, broadcast to ``(B, K)``. ``None``: zeros, equal weights.
            The cone starts from :math:`\mathrm{softmax}(u)`.
        preset: ``"paper"``, ``"fast"`` or ``"cone"``, or settings of one's own.

    Raises:
        ValueError: a number is out of range, or a name unknown; the message says which.
        TypeError: ``initial`` is no tensor.

    Example:
        >>> xc.OptiCAM(model, preset="fast")(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "opti-cam"
    label = "Opti-CAM"
    family = "learned"
    cost = "1 F + T (F + B)"

    def __init__(
        self,
        classifier: Classifier,
        iterations: int | None = None,
        learning_rate: float | None = None,
        tolerance: float | None = None,
        baseline: str | Tensor = "black",
        *,
        betas: tuple[float, float] | None = None,
        normalization: str = "range",
        objective: str = "mask",
        initial: Tensor | None = None,
        preset: str | Preset | Cone = "paper",
    ) -> None:
        super().__init__(classifier)
        check_name("normalization", normalization, NORMALIZATIONS)
        check_name("objective", objective, OBJECTIVES)
        _check_initial(initial)
        self.settings = _settled(
            preset,
            iterations=iterations,
            learning_rate=learning_rate,
            tolerance=tolerance,
            betas=betas,
        )
        if isinstance(self.settings, Cone) and normalization not in KNOWN_TO_A_SCALE:
            raise ValueError(
                f"normalization {normalization!r} sees the scale of a map, which a cone has not: "
                f"use {' or '.join(KNOWN_TO_A_SCALE)}, or preset='fast'"
            )
        self.baseline = baseline
        self.normalization = normalization
        self.objective = objective
        self.initial = initial

    def saliency(self, raw: Tensor, size: Sequence[int]) -> Tensor:
        """Bring raw maps to ``size`` and to ``[0, 1]``, as they were when they were optimised."""
        return NORMALIZATIONS[self.normalization](upsample(raw, size))

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map, at most."""
        shown = self.settings.iterations + isinstance(self.settings, Cone)
        return shown * (2 if self.objective in TWO_SIDED else 1)

    def _map(self, captured: Capture) -> Tensor:
        return combine(self._optimise(captured).weights, captured.features)

    def optimise(self, images: Tensor, targets: Tensor | int | None = None) -> Optimisation:
        """Return the weights and the path of the objective; the arguments are those of a call."""
        checked = check_inputs(self.classifier, images, targets)
        return self._optimise(capture(self.classifier, images, checked))

    def _optimise(self, captured: Capture) -> Optimisation:
        network, called = self.classifier, type(self.classifier.net).__name__
        with gradients_on(), differentiating(network, own(captured.images), called):
            weights, objective = self._search(self._start(captured))
        return Optimisation(captured.features, weights, objective)

    def _start(self, captured: Capture) -> Rows:
        images = own(captured.images).contiguous(memory_format=torch.channels_last)
        absent = removed(images, self.baseline, self.classifier.mean).expand_as(images)
        features = own(captured.features)
        u = features.new_zeros(features.shape[:2])
        if self.initial is not None:
            u += _broadcast(self.initial, u)
        logits = full_precision(captured.logits.detach())
        return Rows(
            places=torch.arange(len(u), device=u.device),
            images=images,
            absent=absent,
            features=features,
            targets=captured.targets,
            whole=logits.gather(1, captured.targets[:, None])[:, 0],
            u=u,
            first=torch.zeros_like(u),
            second=torch.zeros_like(u),
            value=u.new_full((len(u),), torch.inf),
        )

    def _search(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the weights of each image's channels, and the path of its objective."""
        settings = self.settings
        network = _network(self.classifier, settings.half, rows.images.device)
        if isinstance(settings, Cone):
            return self._climb(network, rows, settings)
        u, path = self._ascend(network, rows, settings)
        return u.softmax(1), path

    def _climb(self, network: Network, rows: Rows, settings: Cone) -> tuple[Tensor, Tensor]:
        """Step every image's map at once, and keep it in the cone of its channels."""
        size = rows.features.shape[-2:]

        def objective(maps: Tensor) -> Tensor:
            return self._value(network, rows, maps.unflatten(1, size)[:, None])

        return climb(
            objective,
            rows.features.flatten(2),
            rows.u.softmax(1),
            settings,
            shifted=KNOWN_TO_A_SCALE[self.normalization],
        )

    def _ascend(self, network: Network, rows: Rows, settings: Preset) -> tuple[Tensor, Tensor]:
        """Step every image's u at once; an image that is finished leaves the batch."""
        adam = Adam(settings.learning_rate, settings.betas, settings.ahead, settings.iterations)
        u, value = rows.u.clone(), rows.value.clone()
        path = []
        for step in range(1, settings.iterations + 1):
            reached, gradient = self._objective(network, rows, settings.natural)
            first, second = adam.moments(rows.first, rows.second, gradient)
            stepped = rows.u + adam.step(step, first, second, gradient)
            moving = (reached - rows.value).abs() >= settings.tolerance
            u[rows.places], value[rows.places] = stepped, reached
            path.append(value.clone())
            rows = rows._replace(u=stepped, first=first, second=second, value=reached)
            rows = rows.where(moving)
            if not len(rows.places):
                break
        return u, torch.stack(path) if path else u.new_zeros(0, len(u))

    def _objective(self, network: Network, rows: Rows, natural: bool) -> tuple[Tensor, Tensor]:
        """Return the objective of each image and its gradient, natural or with respect to u."""
        u = rows.u.detach().requires_grad_()
        weights = u.softmax(1)
        value = self._value(network, rows, combine(weights, rows.features))
        (gradient,) = torch.autograd.grad(value.sum(), weights if natural else u)
        if natural:
            gradient = natural_gradient(gradient, weights.detach())
        return value.detach().to(u), gradient.to(u)

    def _value(self, network: Network, rows: Rows, raw: Tensor) -> Tensor:
        """Return what raw maps ``(B, 1, h, w)`` are worth, ``(B,)``."""
        return OBJECTIVES[self.objective](rows.whole, *self._logits(network, rows, raw))

    def _logits(self, network: Network, rows: Rows, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class's logit for what maps keep and, where it is looked at, for the rest."""
        saliency = self.saliency(raw, rows.images.shape[-2:]).to(rows.images)
        shown = [saliency, 1 - saliency] if self.objective in TWO_SIDED else [saliency]
        masked = [mask(rows.images, each, rows.absent) for each in shown]
        logits = network(torch.cat(masked) if len(masked) > 1 else masked[0])
        targets = rows.targets.repeat(len(masked))
        values = full_precision(logits.gather(1, targets[:, None]))[:, 0].chunk(len(masked))
        return values[0], values[-1]


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself, which is then faster than float32.

    A processor does not where the variable ``ONEDNN_MAX_CPU_ISA`` keeps oneDNN from it.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if device.type != "cpu" or limit in WITHOUT_BFLOAT16:
        return False
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def _network(classifier: Classifier, half: bool, device: torch.device) -> Network:
    """Return the classifier with constant parameters, in bfloat16 if asked for and if it pays."""
    if not half or not has_bfloat16(device):
        return frozen(classifier, torch.channels_last)
    lower = torch.autocast(device.type, torch.bfloat16)
    with lower:
        network = frozen(classifier, torch.channels_last)
    return lower(network)


def _broadcast(initial: Tensor, u: Tensor) -> Tensor:
    try:
        return torch.broadcast_to(initial, u.shape).to(u)
    except RuntimeError as error:
        raise ValueError(
            f"initial {tuple(initial.shape)} does not broadcast to {tuple(u.shape)}, "
            "one value for each image and channel"
        ) from error


def _settled(preset: str | Preset | Cone, **given: Any) -> Preset | Cone:
    """Return the settings of a preset, overridden by what is given, checked."""
    if not isinstance(preset, Preset | Cone):
        check_name("preset", preset, PRESETS)
        preset = PRESETS[preset]
    given = {name: it for name, it in given.items() if it is not None}
    if isinstance(preset, Cone) and given.pop("tolerance", 0):
        raise ValueError("the cone takes all its steps: leave tolerance out, or set iterations")
    settings = replace(preset, **given)
    _check_settings(settings)
    return settings


def _check_settings(settings: Preset | Cone) -> None:
    tolerance = getattr(settings, "tolerance", 0)
    if settings.iterations < 0 or settings.learning_rate <= 0 or tolerance < 0:
        raise ValueError(
            "OptiCAM needs iterations >= 0, learning_rate > 0 and tolerance >= 0; got "
            f"{settings.iterations}, {settings.learning_rate} and {tolerance}"
        )
    if len(settings.betas) != 2 or not all(0 <= beta < 1 for beta in settings.betas):
        raise ValueError(f"OptiCAM needs two betas in [0, 1); got {settings.betas}")


def _check_initial(initial: Tensor | None) -> None:
    if initial is None:
        return
    if not isinstance(initial, Tensor):
        raise TypeError(f"initial must be a torch tensor or None, not {type(initial).__name__}")
    if not initial.isfinite().all():
        raise ValueError("initial must be finite")
