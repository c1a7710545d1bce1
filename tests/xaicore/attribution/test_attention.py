"""Transformer explanations: against the equations written out, PyTorch's own weights, and no trace.

The literal network below is a vision transformer of one image in float64, written a second time;
its relevance is computed from the share of every single input in every single output.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from tests.networks import NEUTRAL, pictures, state_of
from xaicore.attribution.attention import (
    TIBAV,
    AttentionRollout,
    RawAttention,
    capture_attention,
)
from xaicore.attribution.explainer import Explainer
from xaicore.attribution.relevance import RelevanceRules
from xaicore.classifier import Classifier

METHODS = [RawAttention, AttentionRollout, TIBAV]
NETWORKS = ["torchvision", "representation", "timm", "registers", "deit"]
TARGETS = torch.tensor([1, 4, 0])


def build(name: str) -> nn.Module:
    if name in {"torchvision", "representation"}:
        size = {"torchvision": None, "representation": 7}[name]
        return models.VisionTransformer(
            32, 8, 3, 2, 16, 32, num_classes=5, representation_size=size
        )
    pytest.importorskip("timm")
    from timm.models import deit, vision_transformer

    settings: dict[str, Any] = {
        "img_size": 32,
        "patch_size": 8,
        "depth": 3,
        "num_heads": 2,
        "embed_dim": 16,
        "mlp_ratio": 2,
        "num_classes": 5,
    }
    if name == "deit":
        return deit.VisionTransformerDistilled(**settings)
    if name == "registers":
        settings |= {"reg_tokens": 4, "init_values": 0.5, "qk_norm": True}
    if name == "wide":
        settings["img_size"] = (24, 40)
    return vision_transformer.VisionTransformer(**settings)


def transformer(name: str = "torchvision") -> Classifier:
    """A network with random weights everywhere: torchvision's head, for one, starts at zero."""
    net = build(name)
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Classifier(net.eval(), **NEUTRAL)  # type: ignore[arg-type]


def images(count: int = 3, height: int = 32, width: int = 32) -> Tensor:
    return pictures(count, height, width)


# ---------------------------------------------------------------------------------- literal oracle


class Block(NamedTuple):
    """The parts of one block, whatever library it comes from."""

    norm_1: nn.Module
    qkv: tuple[Tensor, Tensor]
    proj: nn.Linear
    norm_2: nn.Module
    fc_1: nn.Linear
    fc_2: nn.Linear


def parts_of(net: Any) -> tuple[list[Block], nn.Module, nn.Linear]:
    if isinstance(net, models.VisionTransformer):
        blocks = [
            Block(
                b.ln_1,
                (b.self_attention.in_proj_weight, b.self_attention.in_proj_bias),
                b.self_attention.out_proj,
                b.ln_2,
                b.mlp[0],
                b.mlp[3],
            )
            for b in net.encoder.layers
        ]
        return blocks, net.encoder.ln, net.heads.head
    blocks = [
        Block(
            b.norm1,
            (b.attn.qkv.weight, b.attn.qkv.bias),
            b.attn.proj,
            b.norm2,
            b.mlp.fc1,
            b.mlp.fc2,
        )
        for b in net.blocks
    ]
    return blocks, net.norm, net.head


def first_tokens(net: Any, image: Tensor) -> Tensor:
    """The tokens that enter the first block, ``(N, D)``."""
    first = net.encoder.layers[0] if isinstance(net, models.VisionTransformer) else net.blocks[0]
    found = []
    handle = first.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0][0]))
    net(image[None])
    handle.remove()
    return found[0].detach()


def shares(x: Tensor, weight: Tensor, R: Tensor) -> Tensor:
    """Relevance of inputs x (N, I) from that of outputs R (N, J): positive contributions only."""
    contributions = (x[:, None, :] * weight[None]).clamp(min=0)  # (N, J, I)
    whole = contributions.sum(2, keepdim=True)
    return (contributions / whole * R[:, :, None]).sum(1)


def halves(A: Tensor, V: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of both factors of Y = A V, from each term of each sum."""
    terms = A[:, :, None] * V[None]  # (i, j, d): Y_id = sum_j A_ij V_jd
    flow = terms / terms.sum(1, keepdim=True) * R[:, None, :]
    return flow.sum(2) / 2, flow.sum(0) / 2


def residual(a: Tensor, b: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
    r_a, r_b = a / (a + b) * R, b / (a + b) * R
    size = r_a.sum().abs() + r_b.sum().abs()
    return (
        r_a * r_a.sum().abs() / size * R.sum() / r_a.sum(),
        r_b * r_b.sum().abs() / size * R.sum() / r_b.sum(),
    )


def literal(net: Any, image: Tensor, target: int) -> dict[str, Tensor]:
    """Attention, gradient, relevance and the three maps of one image, equation by equation."""
    blocks, norm, head = parts_of(net)
    heads, tokens, memory, attentions = 2, first_tokens(net, image), [], []
    for block in blocks:
        normed = block.norm_1(tokens)
        q, k, v = F.linear(normed, *block.qkv).chunk(3, dim=1)
        split = [[x[:, h * 8 : (h + 1) * 8] for h in range(heads)] for x in (q, k, v)]
        A = [torch.softmax(a @ b.T / 8**0.5, 1) for a, b in zip(*split[:2], strict=True)]
        A = [a if a.requires_grad else a.detach().requires_grad_() for a in A]
        mixed = torch.cat([a @ b for a, b in zip(A, split[2], strict=True)], 1)
        attended = block.proj(mixed)
        middle = tokens + attended
        hidden = F.gelu(block.fc_1(block.norm_2(middle)))
        after = block.fc_2(hidden)
        memory.append((tokens, normed, split, A, mixed, attended, middle, hidden, after))
        attentions += A
        tokens = middle + after
    last = norm(tokens)[:1]
    logits = head(last)
    gradients = torch.autograd.grad(logits[0, target], attentions)

    R = torch.zeros_like(tokens)
    R[:1] = shares(last, head.weight, F.one_hot(torch.tensor([target]), 5).to(last))
    relevances: list[Tensor] = []
    for block, (x, normed, split, A, mixed, attended, middle, hidden, after) in zip(
        reversed(blocks), reversed(memory), strict=True
    ):
        R, branch = residual(middle, after, R)
        branch = shares(hidden, block.fc_2.weight, branch)
        R = R + shares(block.norm_2(middle), block.fc_1.weight, branch)
        R, branch = residual(x, attended, R)
        branch = shares(mixed, block.proj.weight, branch)
        packed: list[list[Tensor]] = [[], [], []]
        for h in range(heads):
            R_A, R_v = halves(A[h], split[2][h], branch[:, h * 8 : (h + 1) * 8])
            R_q, R_k = halves(split[0][h], split[1][h].T, R_A)
            relevances.insert(h, R_A)
            for part, value in zip(packed, (R_q, R_k.T, R_v), strict=True):
                part.append(value)
        flat = torch.cat([value for part in packed for value in part], 1)
        R = R + shares(normed, block.qkv[0], flat)

    depth, N = len(blocks), len(tokens)
    A, G, R = (
        torch.stack(list(x)).unflatten(0, (depth, heads))
        for x in (attentions, gradients, relevances)
    )
    rollout, relevance = torch.eye(N).to(A), torch.eye(N).to(A)
    for layer in range(depth):
        rollout = (A[layer].mean(0) + torch.eye(N)) / 2 @ rollout
        relevance = ((G[layer] * R[layer]).clamp(min=0).mean(0) + torch.eye(N)) @ relevance
    return {
        "A": A,
        "gradient": G,
        "relevance": R,
        "RawAttention": A[-1].mean(0)[0, 1:],
        "AttentionRollout": rollout[0, 1:],
        "TIBAV": relevance[0, 1:],
    }


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_methods_equal_a_literal_reimplementation_in_float64(name: str) -> None:
    model, batch = transformer(name).double(), images().double()
    for method in METHODS:
        found = method(model).raw(batch, TARGETS)
        assert found.shape == (3, 1, 4, 4)
        for image, target, row in zip(batch, TARGETS, found.flatten(1), strict=True):
            expected = literal(model.net, image, int(target))[method.__name__].detach()
            torch.testing.assert_close(row, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_attention_gradient_and_relevance_equal_the_literal_ones(name: str) -> None:
    model, batch = transformer(name).double(), images(1).double()
    expected = literal(model.net, batch[0], 4)
    captured = capture_attention(model, batch, differentiable=True)
    with RelevanceRules():
        ruled = capture_attention(model, batch, differentiable=True)
    for key, found in (
        ("A", captured.attentions),
        ("gradient", captured.gradients(torch.tensor([4]))),
        ("relevance", ruled.gradients(torch.tensor([4]))),
    ):
        torch.testing.assert_close(
            torch.cat(found).detach(), expected[key].detach(), rtol=1e-5, atol=1e-9
        )


# ---------------------------------------------------------------------------------------- capture


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_are_those_of_the_plain_network(name: str) -> None:
    model, batch = transformer(name), images()
    captured = capture_attention(model, batch)
    torch.testing.assert_close(captured.logits, model(batch), rtol=1e-5, atol=1e-5)
    assert len(captured.attentions) == 3
    for attention in captured.attentions:
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
        assert not attention.requires_grad


def test_attention_is_what_pytorch_itself_reports() -> None:
    model, batch = transformer(), images()
    block = model.net.encoder.layers[-1]
    inputs: list[Tensor] = []
    handle = block.ln_1.register_forward_hook(lambda _m, _i, output: inputs.append(output))
    model(batch)
    handle.remove()
    x = inputs[0]
    _, expected = block.self_attention(x, x, x, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(capture_attention(model, batch).attentions[-1], expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_with_the_rules_a_network_computes_the_same(name: str) -> None:
    model, batch = transformer(name), images()
    with RelevanceRules():
        captured = capture_attention(model, batch, differentiable=True)
    torch.testing.assert_close(captured.logits.detach(), model(batch).detach())


@pytest.mark.parametrize("method", METHODS)
def test_timm_without_fused_kernels_gives_the_same_map(method: type[Explainer]) -> None:
    model, batch = transformer("timm"), images()
    expected = method(model).raw(batch, TARGETS)
    for block in model.net.blocks:
        block.attn.fused_attn = False
    torch.testing.assert_close(method(model).raw(batch, TARGETS), expected)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_maps_are_the_same_in_every_mode(
    method: type[Explainer], mode: Any, trainable: bool
) -> None:
    model, batch = transformer(), images()
    expected = method(model)(batch, TARGETS)
    model.requires_grad_(trainable)
    with mode():
        assert torch.equal(method(model)(batch, TARGETS), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["torchvision", "deit"])
def test_the_model_is_left_as_it_was(name: str, method: type[Explainer]) -> None:
    model = transformer(name)
    before = state_of(model)
    method(model)(images(), TARGETS)
    assert state_of(model) == before
    pickle.loads(pickle.dumps(model))


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the head fails")


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_leaves_no_hook_and_no_rule(method: type[Explainer]) -> None:
    model = transformer()
    model.net.heads = Failing().eval()
    before = state_of(model)
    with pytest.raises(RuntimeError, match="the head fails"):
        method(model)(images(), TARGETS)
    assert state_of(model) == before
    x = torch.ones(2, requires_grad=True)
    assert torch.autograd.grad(F.gelu(x).sum(), x)[0][0] != 1


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_autocast_keeps_the_map(method: type[Explainer]) -> None:
    model, batch = transformer(), images()
    expected = method(model).raw(batch, TARGETS)
    with torch.autocast("cpu", torch.bfloat16):
        found = method(model).raw(batch, TARGETS)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.02 * expected.max()


# ------------------------------------------------------------------------------------------- maps


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_gives_what_its_images_give(name: str, method: type[Explainer]) -> None:
    explain, batch = method(transformer(name).double()), images().double()
    found = explain(batch, TARGETS)
    singles = [explain(image[None], target) for image, target in zip(batch, TARGETS, strict=True)]
    torch.testing.assert_close(found, torch.cat(singles), rtol=0, atol=1e-9)
    assert found.shape == (3, 1, 32, 32)
    assert explain(batch[:0]).shape == (0, 1, 32, 32)


@pytest.mark.parametrize("method", METHODS)
def test_patches_lie_row_by_row_on_an_image_that_is_not_square(method: type[Explainer]) -> None:
    model, batch = transformer("wide"), images(2, 24, 40)
    found = method(model).raw(batch)
    assert found.shape == (2, 1, 3, 5)
    raw = capture_attention(model, batch).attentions[-1].mean(1)[:, 0, 1:]
    assert torch.equal(RawAttention(model).raw(batch).flatten(1), raw)


def test_only_tibav_depends_on_the_class() -> None:
    model, batch = transformer(), images()
    for method in METHODS:
        same = torch.equal(method(model).raw(batch, 0), method(model).raw(batch, 1))
        assert same == (method is not TIBAV)
        with pytest.raises(ValueError, match="class 5 is out of range"):
            method(model)(batch, 5)


def test_without_a_target_the_predicted_class_is_explained() -> None:
    model, batch = transformer(), images()
    assert torch.equal(TIBAV(model)(batch), TIBAV(model)(batch, model(batch).argmax(1)))


def test_uniform_attention_rolls_out_to_a_constant() -> None:
    """With queries of zero every token attends to all alike: no patch stands out."""
    model = transformer()
    for block in model.net.encoder.layers:
        with torch.no_grad():
            block.self_attention.in_proj_weight[:16] = 0
            block.self_attention.in_proj_bias[:16] = 0
    raw = RawAttention(model).raw(images())
    torch.testing.assert_close(raw, torch.full_like(raw, 1 / 17))
    rollout = AttentionRollout(model).raw(images())
    torch.testing.assert_close(rollout, torch.full_like(rollout, (1 - 0.5**3) / 17))


def test_a_rollout_is_a_distribution_over_tokens() -> None:
    model, batch = transformer(), images()
    rollout = AttentionRollout(model).raw(batch).sum(dim=(1, 2, 3))
    assert ((rollout > 0) & (rollout < 1)).all()


def test_a_class_without_weights_has_no_relevance() -> None:
    model = transformer()
    nn.init.zeros_(model.net.heads.head.weight)
    assert not TIBAV(model)(images(), 2).any()


@pytest.mark.parametrize(
    ("method", "forwards"), [(RawAttention, 1), (AttentionRollout, 1), (TIBAV, 2)]
)
def test_the_cost_is_the_stated_one(method: type[Explainer], forwards: int) -> None:
    model, passed = transformer(), []
    model.net.register_forward_hook(lambda _m, inputs, _o: passed.append(len(inputs[0])))
    method(model)(images(), TARGETS)
    assert passed == [3] * forwards


# -------------------------------------------------------------------------------------- refusals


class Gated(nn.MultiheadAttention):
    """Attention that does more than it says."""

    def forward(self, *args: Any, **settings: Any) -> Any:
        out, weights = super().forward(*args, **settings)
        return 0.9 * out, weights


@pytest.mark.parametrize("method", METHODS)
def test_networks_without_global_attention_are_refused(method: type[Explainer]) -> None:
    small = models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=5).eval()
    for net, words in ((models.resnet18().eval(), "has no self-attention"), (small, "windows")):
        model = Classifier(net)
        before = state_of(model)
        with pytest.raises(ValueError, match=words):
            method(model)(images())
        assert state_of(model) == before


def test_attention_that_is_not_plain_is_refused() -> None:
    model = transformer()
    block = model.net.encoder.layers[1]
    gated = Gated(16, 2, batch_first=True).eval()
    gated.load_state_dict(block.self_attention.state_dict())
    block.self_attention = gated
    with pytest.raises(ValueError, match="is not softmax"):
        AttentionRollout(model)(images())


@pytest.mark.parametrize("settings", [{"class_token": False}, {}])
def test_a_head_that_reads_all_tokens_is_refused(settings: dict[str, bool]) -> None:
    vit = pytest.importorskip("timm").models.vision_transformer.VisionTransformer
    net = vit(
        img_size=32, patch_size=8, depth=1, num_heads=2, embed_dim=16, global_pool="avg", **settings
    )
    with pytest.raises(ValueError, match="does not read the class token"):
        RawAttention(Classifier(net.eval()))(images())


# ------------------------------------------------------------------------------------------ rules


def ruled(function: Any, *inputs: Tensor, R: Tensor) -> tuple[Tensor, ...]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    with RelevanceRules():
        output = function(*leaves)
    return torch.autograd.grad(output, leaves, R)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_linear_layer_conserves_relevance_and_shares_what_is_positive() -> None:
    x, weight, bias, R = random(2, 7, 6), random(5, 6, seed=1), random(5, seed=2), random(2, 7, 5)
    (found,) = ruled(lambda x: F.linear(x, weight, bias), x, R=R)
    torch.testing.assert_close(found.sum(-1), R.sum(-1))
    torch.testing.assert_close(found[1], shares(x[1], weight, R[1]))
    (by_hand,) = ruled(
        lambda x: F.linear(x, torch.tensor([[2.0, 1.0, 5.0]])),
        torch.tensor([[1.0, 2.0, -1.0]]),
        R=torch.tensor([[8.0]]),
    )
    torch.testing.assert_close(by_hand, torch.tensor([[4.0, 4.0, 0.0]]))


def test_a_product_conserves_relevance_and_shares_it_alike() -> None:
    A, V, R = random(2, 3, 4, 5).softmax(-1), random(2, 3, 5, 6), random(2, 3, 4, 6, seed=1)
    R_A, R_V = ruled(torch.matmul, A, V, R=R)
    for part in (R_A, R_V):
        torch.testing.assert_close(part.sum(), R.sum() / 2)
    expected = halves(A[1, 2], V[1, 2], R[1, 2])
    torch.testing.assert_close(R_A[1, 2], expected[0], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(R_V[1, 2], expected[1], rtol=1e-5, atol=1e-7)


def test_a_sum_conserves_the_relevance_of_each_image() -> None:
    a, b, R = random(3, 4, 5), random(3, 4, 5, seed=1), random(3, 4, 5, seed=2)
    R_a, R_b = ruled(torch.add, a, b, R=R)
    torch.testing.assert_close((R_a + R_b).sum(dim=(1, 2)), R.sum(dim=(1, 2)))
    for i in range(3):
        expected = residual(a[i], b[i], R[i])
        torch.testing.assert_close(R_a[i], expected[0], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(R_b[i], expected[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "function",
    [
        F.gelu,
        torch.tanh,
        lambda x: F.layer_norm(x, (4,)),
        lambda x: x.softmax(-1),
        lambda x: F.dropout(x, training=False),
        lambda x: x * 0.1,
        lambda x: 3 * x,
        lambda x: x / 2,
    ],
)
def test_one_tensor_in_one_out_passes_relevance_unchanged(function: Any) -> None:
    R = random(2, 4, seed=3)
    assert torch.equal(ruled(function, random(2, 4), R=R)[0], R)


def test_a_tensor_used_twice_receives_the_sum() -> None:
    x, R = random(2, 6), random(2, 6, seed=1)
    first, second = x.clone(), x.clone()
    expected = sum(ruled(lambda a, b: F.gelu(a) + b.tanh(), first, second, R=R))
    torch.testing.assert_close(ruled(lambda x: F.gelu(x) + x.tanh(), x, R=R)[0], expected)


def test_zero_outputs_give_no_relevance_and_no_nan() -> None:
    zero, R = torch.zeros(2, 3), torch.ones(2, 3)
    for function in (torch.add, lambda a, b: a @ b.mT @ b):
        for part in ruled(function, zero, zero, R=R):
            assert torch.equal(part, zero)


@pytest.mark.parametrize(
    ("function", "words"),
    [(torch.sigmoid, "'sigmoid'"), (lambda x: x * x, "'mul'"), (lambda x: x + 1, "equal shape")],
)
def test_an_operation_without_a_rule_is_refused(function: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ruled(function, random(2, 3), R=random(2, 3))
