r"""Explanations of vision transformers: what the class token attends to, through all blocks.

They need global self-attention and a class token: the ViT of torchvision, timm and Hugging Face,
DeiT with its distillation token and register tokens included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xaicore.attribution.capture import frozen, full_precision, gradients_on, hooked, own
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.explainer import Explainer, resolve_targets
from xaicore.attribution.relevance import RelevanceRules
from xaicore.attribution.tokens import token_grid
from xaicore.classifier import Classifier

ROUNDING = {torch.float64: 1e-6, torch.float32: 2e-3}
"""How far, relatively, explicit attention may be from the fused one; 0.1 in half precision."""


class RawAttention(Explainer):
    r"""The attention of the last block, from the class token to the patches, mean over the heads.

    .. math:: S = \frac1H \sum_h A^{(L)}_{h,\,\mathrm{cls},\,\cdot}

    It is the same for every class. Cost: one forward, with attention computed explicitly. Source:
    Dosovitskiy et al., ICLR 2021; the baseline "RawAtt" of the Opti-CAM paper.

    Example:
        >>> xc.RawAttention(tokens)(pictures, targets).shape
        torch.Size([2, 1, 32, 32])
    """

    name = "raw-attention"
    label = "Raw attention"
    family = "attention"
    cost = "1 F"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        attentions, logits = capture_attention(self.classifier, images)
        resolve_targets(targets, logits)
        return _patches(attentions[-1].mean(1)[:, 0], self.classifier, images)


class AttentionRollout(Explainer):
    r"""Attention followed through all blocks, the residual connections included.

    .. math:: S = \Big[\hat A^{(L)} \cdots \hat A^{(1)}\Big]_{\mathrm{cls},\,\cdot}, \qquad
        \hat A^{(l)} = \tfrac12\Big(I + \frac1H \sum_h A^{(l)}_h\Big)

    The rows of :math:`A`, hence of :math:`\hat A`, sum to 1. It is the same for every class. Cost:
    one forward, with attention computed explicitly. Source: Abnar and Zuidema, ACL 2020.

    Example:
        >>> xc.AttentionRollout(tokens)(pictures, targets).shape
        torch.Size([2, 1, 32, 32])
    """

    name = "rollout"
    label = "Rollout"
    family = "attention"
    cost = "1 F"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        attentions, logits = capture_attention(self.classifier, images)
        resolve_targets(targets, logits)
        mixed = [(attention.mean(1) + _identity(attention)) / 2 for attention in attentions]
        return _patches(_class_row(mixed), self.classifier, images)


class TIBAV(Explainer):
    r"""Transformer interpretability beyond attention visualization: relevance times gradient.

    .. math:: S = \Big[\bar A^{(L)} \cdots \bar A^{(1)}\Big]_{\mathrm{cls},\,\cdot}, \qquad
        \bar A^{(l)} = I + \frac1H \sum_h
        \Big(\frac{\partial y_c}{\partial A^{(l)}_h} \odot R_{A^{(l)}_h}\Big)^+

    :math:`R` is relevance, propagated from 1 at the logit of the target by the rules of
    ``relevance.py``. Where paper and authors' code differ, the code is followed: later blocks
    multiply from the left; both factors of a product receive half of the relevance, without the
    normalisation that the paper gives them; that of a sum is made per image, so that a batch gives
    what its images give one by one. Relevance is computed outside autocast.

    Cost: two forwards and two backwards to the first attention; that of relevance takes four
    products for each linear layer, not one. A quotient by a sum that nearly cancels amplifies
    rounding: float32 agrees with float64 to about 1 % of the map's range. Source: Chefer, Gur and
    Wolf, CVPR 2021.

    Example:
        >>> xc.TIBAV(tokens)(pictures, targets).shape
        torch.Size([2, 1, 32, 32])
    """

    name = "tibav"
    label = "TIBAV"
    family = "attention"
    cost = "2 (F + B)"

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        called = type(self.classifier.net).__name__
        with differentiating(self.classifier, own(images), called, "the attention of every block"):
            gradients, targets = self._gradients(images, targets)
            relevances = self._relevances(images, targets)
        mixed = [
            (gradient * relevance).relu().mean(1) + _identity(gradient)
            for gradient, relevance in zip(gradients, relevances, strict=True)
        ]
        return _patches(_class_row(mixed), self.classifier, images)

    def _relevances(self, images: Tensor, targets: Tensor) -> list[Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            with RelevanceRules():
                captured = capture_attention(self.classifier, images, differentiable=True)
            return captured.gradients(targets)

    def _gradients(self, images: Tensor, targets: Tensor | None) -> tuple[list[Tensor], Tensor]:
        captured = capture_attention(self.classifier, images, differentiable=True)
        targets = resolve_targets(targets, captured.logits)
        return captured.gradients(targets), targets


PARTS = (
    ("qkv", "proj", "num_heads"),
    ("q_proj", "k_proj", "v_proj", "o_proj", "num_attention_heads"),
    ("query", "key", "value", "num_attention_heads"),
)
"""How timm and two generations of Hugging Face's transformers name the parts of attention."""


class AttentionCapture(NamedTuple):
    """What one forward pass shows of a transformer's attention.

    Attributes:
        attentions: the attention :math:`A` of each block in the order they run,
            ``(B, heads, N, N)``; rows sum to 1.
        logits: the network's output ``(B, C)``.
    """

    attentions: list[Tensor]
    logits: Tensor

    def gradients(self, targets: Tensor) -> list[Tensor]:
        r"""Return :math:`\partial y_c / \partial A` of each block; one backward, possible once."""
        with gradients_on():
            scores = self.logits.gather(1, own(targets)[:, None]).sum()
            return list(torch.autograd.grad(scores, self.attentions))


def capture_attention(
    classifier: Classifier, images: Tensor, differentiable: bool = False
) -> AttentionCapture:
    r"""Run the classifier once with explicit attention, which fused kernels do not show.

    Cost: one forward, in which the projections of attention are computed twice.

    Args:
        classifier: the classifier, in evaluation mode.
        images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
        differentiable: record the part above the first attention, for ``gradients``.

    Raises:
        ValueError: the network has no self-attention among all tokens of an image, or one that is
            not :math:`\mathrm{softmax}(q k^\top / \sqrt d)\, v`.
    """
    attentions: list[Tensor] = []

    def replace(module: nn.Module, inputs: Any, output: Any) -> Any:
        fused = output[0] if isinstance(output, tuple) else output
        _check_global(inputs[0], images, classifier)
        attention, explicit = _attend(module, inputs[0], differentiable)
        _check_plain(explicit.detach(), fused.detach(), classifier)
        attentions.append(attention)
        return (explicit, *output[1:]) if isinstance(output, tuple) else explicit

    with gradients_on(), hooked(_attention_modules(classifier), replace):
        logits = frozen(classifier)(own(images))
    return AttentionCapture(attentions, logits)


def _attention_modules(classifier: Classifier) -> list[nn.Module]:
    """Return the attention modules of PyTorch, of timm and of Hugging Face."""
    modules = [
        module
        for module in classifier.net.modules()
        if isinstance(module, nn.MultiheadAttention)
        or any(all(hasattr(module, name) for name in names) for names in PARTS)
    ]
    if not modules:
        raise _refusal(classifier, "has no self-attention")
    if any(hasattr(module, "window_size") for module in modules):
        raise _refusal(classifier, "attends within windows")
    if getattr(classifier.net, "global_pool", "token") != "token":
        raise _refusal(classifier, "has a head that does not read the class token")
    return modules


def _attend(module: Any, tokens: Tensor, differentiable: bool) -> tuple[Tensor, Tensor]:
    """Return the attention ``(B, heads, N, N)`` and the module's output ``(B, N, D)``."""
    project, (q, k, v) = _projected(module, tokens)
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    attention = full_precision(scores).softmax(-1)
    if differentiable:
        attention.requires_grad_()
    return attention, project((attention.to(v.dtype) @ v).transpose(1, 2).flatten(2))


def _projected(module: Any, tokens: Tensor) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return what follows the heads, and queries, keys and values, each ``(B, heads, N, d)``."""
    unchanged = nn.Identity()
    if isinstance(module, nn.MultiheadAttention):
        packed = F.linear(tokens, module.in_proj_weight, module.in_proj_bias)
        return module.out_proj, _heads(packed, module.num_heads)
    if hasattr(module, "qkv"):
        q, k, v = _heads(module.qkv(tokens), module.num_heads)
        norms = (getattr(module, name, unchanged) for name in ("q_norm", "k_norm"))
        q, k = (norm(part) for norm, part in zip(norms, (q, k), strict=True))
        return module.proj, (q, k, v)
    names = next(names for names in PARTS if hasattr(module, names[0]))[:3]
    heads = module.num_attention_heads
    q, k, v = (
        getattr(module, name)(tokens).unflatten(-1, (heads, -1)).transpose(1, 2) for name in names
    )
    return getattr(module, "o_proj", unchanged), (q, k, v)


def _heads(packed: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Return queries, keys and values, each ``(B, heads, N, d)``."""
    width = packed.shape[-1] // (3 * heads)
    return packed.unflatten(-1, (3, heads, width)).permute(2, 0, 3, 1, 4).unbind(0)


def _check_global(tokens: Tensor, images: Tensor, classifier: Classifier) -> None:
    if tokens.ndim != 3 or len(tokens) != len(images):
        raise _refusal(classifier, "does not attend among all tokens (B, N, D) of an image")


def _check_plain(explicit: Tensor, fused: Tensor, classifier: Classifier) -> None:
    """Refuse masks, rotations, biases and gates, which explicit attention does not know."""
    difference, size = (x.float().norm() for x in (fused - explicit, fused))
    if difference > ROUNDING.get(fused.dtype, 0.1) * size:
        raise _refusal(classifier, "has attention that is not softmax(q kᵀ / √d) v")


def _refusal(classifier: Classifier, reason: str) -> ValueError:
    return ValueError(
        f"{type(classifier.net).__name__} {reason}: attention methods explain plain vision "
        "transformers with a class token (ViT and DeiT of torchvision, timm and Hugging Face); "
        "use a CAM"
    )


def _identity(attention: Tensor) -> Tensor:
    return torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)


def _class_row(matrices: Sequence[Tensor]) -> Tensor:
    """Return the first row ``(B, N)`` of the product of matrices, the last one leftmost."""
    *below, last = matrices
    row = last[:, :1]
    with torch.autocast(row.device.type, enabled=False):
        for matrix in reversed(below):
            row = row @ matrix
    return row[:, 0]


def _patches(row: Tensor, classifier: Classifier, images: Tensor) -> Tensor:
    """Return the class token's row ``(B, N)`` as maps ``(B, 1, h, w)``, without prefix tokens."""
    prefix, height, width = token_grid(row.shape[1], images.shape[-2:])
    if prefix == 0:
        raise _refusal(classifier, "has no class token")
    return row[:, prefix:].unflatten(1, (height, width))[:, None]
