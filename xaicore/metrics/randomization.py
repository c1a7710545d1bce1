"""Does a map depend on what the network has learned? The sanity check of Adebayo et al.

A map that explains a network must change when the network's weights are drawn anew. So: explain,
randomise layer by layer from the logits down, explain again, and compare the maps.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaicore.classifier import Classifier
from xaicore.metrics.faithfulness import ratio

__all__ = [
    "randomized",
    "spearman",
    "structural_similarity",
]

WINDOW = 11
"""Side of the window of structural similarity, in pixels."""


def randomized(
    classifier: Classifier,
    layers: Sequence[str] | None = None,
    cascading: bool = True,
    seed: int = 0,
) -> Iterator[tuple[str, Classifier]]:
    """Yield copies of a classifier whose layers are drawn anew, one layer after the other.

    The layers draw their weights as when the network was built, by their own ``reset_parameters``.
    Parameters that belong to no such layer (a class token, a layer scale) stay as they are. The
    given classifier is not touched, nor is torch's random state.

    Args:
        classifier: the classifier; each copy has its mode and its device.
        layers: names of modules of ``classifier.net``, from the logits down; all that is inside one
            is drawn at once. ``None``: every single layer, in the reverse order of registration.
        cascading: keep the layers before random as well. False: draw one layer at a time.
        seed: the seed of the weights.

    Yields:
        The name of the layer drawn last, and the copy.

    Raises:
        ValueError: there is no such layer, or none that can be drawn anew.

    Example:
        >>> [name for name, copy in xc.metrics.randomized(model)]
        ['4', '0']
    """
    groups = _groups(classifier.net, layers)
    for i, (name, _) in enumerate(groups):
        chosen = groups[: i + 1] if cascading else groups[i : i + 1]
        yield (
            name,
            _reset_copy(classifier, [layer for _, inside in chosen for layer in inside], seed),
        )


def spearman(maps: Tensor, others: Tensor) -> Tensor:
    """Return Spearman's rank correlation of each pair of maps, in ``[-1, 1]``.

    Equal pixels share the mean of their ranks. A constant map has no order: 0.

    Args:
        maps: maps ``(B, 1, H, W)``.
        others: the maps to compare them with, of the same shape.

    Returns:
        One value per image, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: the shapes differ, or a value is not finite.

    Example:
        >>> ramp = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> xc.metrics.spearman(ramp, 1 - ramp)
        tensor([-1.], dtype=torch.float64)
    """
    a, b = (_centred_ranks(t.flatten(1)) for t in _pair(maps, others))
    norm = a.norm(dim=1) * b.norm(dim=1)
    return ratio((a * b).sum(1), norm).clamp(-1, 1)


def structural_similarity(maps: Tensor, others: Tensor) -> Tensor:
    r"""Return the mean structural similarity (SSIM) of each pair of maps, in ``[-1, 1]``.

    .. math:: \mathrm{SSIM}(a, b) = \frac{(2 \mu_a \mu_b + C_1)(2 \sigma_{ab} + C_2)}
        {(\mu_a^2 + \mu_b^2 + C_1)(\sigma_a^2 + \sigma_b^2 + C_2)}

    Means and (co)variances are weighted by a Gaussian of 11 pixels and sigma 1.5; the mean is
    over the windows that lie inside; :math:`C_1 = 0.01^2, C_2 = 0.03^2` for values in ``[0, 1]``.
    Wang et al., IEEE TIP 2004.

    Args:
        maps: maps ``(B, 1, H, W)`` in ``[0, 1]``, at least 11 pixels wide and high.
        others: the maps to compare them with, of the same shape.

    Returns:
        One value per image, float64 ``(B,)``, on the CPU.

    Raises:
        ValueError: the shapes differ, are too small, or a value is not finite.

    Example:
        >>> xc.metrics.structural_similarity(left, left)
        tensor([1., 1.], dtype=torch.float64)
    """
    a, b = _pair(maps, others)
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(
            f"maps must be at least {WINDOW} pixels high and wide: upsample them first"
        )
    local = _gaussian_mean()
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return (luminance * structure).mean((1, 2, 3))


def _groups(net: nn.Module, layers: Sequence[str] | None) -> list[tuple[str, list[nn.Module]]]:
    """Names, and the layers with weights of their own below each; raises if there are none."""
    modules = dict(net.named_modules())
    if layers is None:
        layers = [name for name, module in reversed(modules.items()) if _resets(module)]
        if not layers:
            raise ValueError(
                "the network has no layer with reset_parameters: none can be drawn anew"
            )
        return [(name, [modules[name]]) for name in layers]
    groups = []
    for name in layers:
        if name not in modules:
            raise ValueError(f"layers: the network has no module called '{name}'")
        inside = [module for module in modules[name].modules() if _resets(module)]
        if not inside:
            raise ValueError(f"layers: nothing in '{name}' has reset_parameters")
        groups.append((name, inside))
    return groups


def _resets(module: nn.Module) -> Callable[[], None] | None:
    """What draws the module's own weights; attention keeps it private."""
    if not any(True for _ in module.parameters(recurse=False)):
        return None
    return getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))


def _reset_copy(classifier: Classifier, layers: list[nn.Module], seed: int) -> Classifier:
    """A copy with these layers drawn anew, on the CPU: the same weights on every device."""
    names = {module: name for name, module in classifier.named_modules()}
    with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
        copy = deepcopy(classifier)
        torch.default_generator.manual_seed(seed)
        for layer in layers:
            module = copy.get_submodule(names[layer])
            device = next(module.parameters()).device
            reset = _resets(module.cpu())
            assert reset is not None
            reset()
            module.to(device)
    return copy


def _pair(maps: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    if maps.ndim != 4 or maps.shape[1] != 1 or maps.shape != others.shape:
        raise ValueError(
            "both maps must have one shape (B, 1, H, W), not "
            f"{tuple(maps.shape)} and {tuple(others.shape)}"
        )
    a, b = (t.detach().cpu().double() for t in (maps, others))
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("maps must be finite")
    return a, b


def _centred_ranks(values: Tensor) -> Tensor:
    """The rank of each value in its row, equal ones sharing their mean, minus the mean rank."""
    ordered = values.sort(1).values
    values = values.contiguous()
    below = torch.searchsorted(ordered, values)
    upto = torch.searchsorted(ordered, values, right=True)
    return (below + upto - values.shape[1]).double() / 2


def _gaussian_mean() -> Callable[[Tensor], Tensor]:
    """The mean of each window that lies inside, weighted by a Gaussian."""
    x = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(x**2) / (2 * 1.5**2))
    weights /= weights.sum()
    down, across = weights.reshape(1, 1, -1, 1), weights.reshape(1, 1, 1, -1)
    return lambda maps: F.conv2d(F.conv2d(maps, down), across)
