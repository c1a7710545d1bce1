"""Maps made elsewhere, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaicore.attribution.explainer import Explainer


def taken(methods: Mapping[str, Any], count: int) -> dict[str, Explainer | Tensor]:
    """Return methods, in which maps made elsewhere are tensors ``(N, 1, h, w)``.

    Args:
        methods: explainers; or maps, ``(N, 1, h, w)`` or ``(N, h, w)``, of torch or NumPy.
        count: N, the number of images.

    Raises:
        ValueError: something is neither, or maps have another shape or number, or are not finite.
    """
    if not isinstance(methods, Mapping):
        raise ValueError(
            "explainers must be a dictionary of methods by the name that their records carry, "
            f"{{'grad-cam': GradCAM(model)}}, not a {type(methods).__name__}"
        )
    return {
        name: method if isinstance(method, Explainer) else _maps(name, method, count)
        for name, method in methods.items()
    }


def _maps(name: str, given: Any, count: int) -> Tensor:
    if isinstance(given, type):
        raise ValueError(f"{name}: {given.__name__} is a class: make one, {given.__name__}(model)")
    if not isinstance(given, Tensor | np.ndarray):
        raise ValueError(
            f"{name}: a method is an explainer, or maps (N, 1, h, w) of torch or NumPy, not a "
            f"{type(given).__name__}"
        )
    maps = _tensor(name, given)
    if maps.ndim == 3:
        maps = maps[:, None]
    shape = tuple(given.shape)
    if maps.ndim != 4 or maps.shape[1] != 1 or 0 in maps.shape[2:]:
        raise ValueError(f"{name}: maps must have shape (N, 1, h, w) or (N, h, w), not {shape}")
    if len(maps) != count:
        raise ValueError(f"{name}: {len(maps)} maps for {count} images")
    bad = (~maps.float().isfinite()).flatten(1).any(1).nonzero()[:, 0].tolist()
    if bad:
        what = "numbers beyond float32" if maps.isfinite().all() else "NaN or infinity"
        raise ValueError(
            f"{name}: {len(bad)} of {count} maps hold {what}, the first is that of image {bad[0]}"
        )
    return maps


def _tensor(name: str, given: Tensor | np.ndarray) -> Tensor:
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "biuf":
            raise ValueError(f"{name}: maps must be numbers, not {given.dtype}")
        given = torch.from_numpy(np.array(given, dtype=given.dtype.newbyteorder("="), order="C"))
    maps = given.detach()
    if maps.is_meta or maps.layout != torch.strided:
        what = "on the meta device" if maps.is_meta else "sparse"
        raise ValueError(f"{name}: maps must be dense tensors of numbers, not {what}")
    if maps.is_complex():
        raise ValueError(f"{name}: maps must be real numbers, not {maps.dtype}")
    return maps if maps.is_floating_point() else maps.float()
