"""The three steps: a VAE for each domain, then both together. One loop trains them all."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.lr_scheduler import LambdaLR

from xaibook.translation import losses
from xaibook.translation.model import VAE, Discriminator, Pair
from xaicore.classifier import check_name
from xaicore.training.loop import Recipe, train

STARTS = ("warm", "independent", "none")
"""Where the second VAE begins: as a copy of the first, or on its own; or none is pretrained."""

CAMERA = 0.08
"""Standard deviation of the noise on all that the discriminator sees."""


@dataclass(frozen=True)
class Adam(Recipe):
    """Adam in the place of SGD (Kingma and Ba, ICLR 2015), and a schedule of its own.

    The learning rate rises for a tenth of the steps, stays to the middle and falls to zero.

    Attributes:
        betas: decay of the two moments.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of a network's parameters."""
        return torch.optim.Adam(net.parameters(), self.learning_rate, self.betas)

    def scheduler(self, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
        """Return the schedule of the learning rate; an epoch has so many steps."""
        total = self.epochs * steps
        return LambdaLR(
            optimizer, lambda done: min(1, 10 * (done + 1) / total, 2 * (1 - done / total))
        )


STEP_1 = Adam(epochs=8, learning_rate=3e-3)
STEP_2 = {"warm": Adam(epochs=5, learning_rate=2e-3), "independent": STEP_1}
STEP_3 = Adam(epochs=3, learning_rate=1e-3, betas=(0.5, 0.99))
"""Recipes for 3,000 pictures a domain, 93 batches an epoch."""


@dataclass(frozen=True)
class Weights:
    """How much each loss of step 3 counts; called by the loop, it is their weighted sum.

    The loss of the discriminator, of which nothing else learns, counts 1.

    Attributes:
        vae: of the negative ELBOs, in units of squared error of a pixel.
        gan: of the GAN losses.
        cycle: of the cycle loss.
        similarity: of the similarity loss.
        kind: what the similarity compares, one of ``losses.SIMILARITIES``.
    """

    vae: float = 10.0
    gan: float = 0.1
    cycle: float = 1.0
    similarity: float = 0.5
    kind: str = "pixels"

    def __post_init__(self) -> None:
        """Refuse a negative weight and an unknown similarity."""
        for name, value in asdict(self).items():
            if name != "kind" and not value >= 0:
                raise ValueError(f"{name} must not be negative, but is {value}")
        check_name("kind", self.kind, losses.SIMILARITIES)

    def __call__(self, net: nn.Module, batch: Batch, _: Tensor) -> Tensor:
        """Return the weighted sum of the terms of a ``Translator``."""
        weights = {**asdict(self), "discriminator": 1.0}
        return torch.stack([weights[name] * term for name, term in net(batch).items()]).sum()


class Batch(NamedTuple):
    """What a step sees: pictures of both domains, and all its random numbers.

    The first half of the pictures is translated; the discriminator sees all.

    Attributes:
        a: pixels of the first domain, ``(B, 3, H, W)``.
        b: of the second.
        codes: standard normal, ``(B / 2, 4, code)``: for a, b and their translations.
        camera: standard normal, ``(B, 2, 3, H, W)``: on a and b.
        translated: standard normal, ``(B / 2, 4, 3, H, W)``: on the translations into a and b as
            the discriminator sees them to learn, and then to judge.
    """

    a: Tensor
    b: Tensor
    codes: Tensor
    camera: Tensor
    translated: Tensor


class Singles:
    """Pictures of one domain with the noise of their codes, as the loop takes them.

    Args:
        images: pixels ``(N, 3, H, W)`` in [0, 1].
        code: numbers in a code.
        device: where batches are put.
    """

    def __init__(self, images: Tensor, code: int, device: torch.device) -> None:
        self.images, self.code, self.device = images, code, device

    def __len__(self) -> int:
        return len(self.images)

    def epoch(
        self, batches: Sequence[Tensor], share: slice, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pictures and noise; every process draws the same random numbers."""
        for batch in batches:
            noise = torch.randn(len(batch), self.code, generator=generator)
            yield self.images[batch[share]].to(self.device), noise[share].to(self.device)


class Unpaired:
    """Pictures of two domains in two orders, as the loop takes them.

    Args:
        a: pixels of the first domain, ``(N, 3, H, W)`` in [0, 1].
        b: of the second, at least as many.
        code: numbers in a code.
        device: where batches are put.

    Raises:
        ValueError: there are fewer pictures of the second domain, or they are of another size.
    """

    def __init__(self, a: Tensor, b: Tensor, code: int, device: torch.device) -> None:
        if len(b) < len(a) or a.shape[1:] != b.shape[1:]:
            raise ValueError(
                f"b must be as many pictures as a, of the same size: not {tuple(b.shape)} beside "
                f"{tuple(a.shape)}"
            )
        self.a, self.b, self.code, self.device = a, b, code, device

    def __len__(self) -> int:
        return len(self.a)

    def epoch(
        self, batches: Sequence[Tensor], share: slice, generator: torch.Generator
    ) -> Iterator[tuple[Batch, Tensor]]:
        """Yield batches of both; every process draws the same random numbers."""
        others = torch.randperm(len(self.b), generator=generator)
        for i, batch in enumerate(batches):
            count, shape = len(batch), self.a.shape[1:]
            partners = others[i * count : (i + 1) * count]
            drawn = Batch(
                self.a[batch],
                self.b[partners],
                torch.randn(count // 2, 4, self.code, generator=generator),
                torch.randn(count, 2, *shape, generator=generator),
                torch.randn(count // 2, 4, *shape, generator=generator),
            )
            yield Batch(*(each[share].to(self.device) for each in drawn)), batch


class Translator(nn.Module):
    """Step 3: two VAEs and the discriminator of their translations, trained by one optimiser.

    No gradient of the VAEs' losses reaches the discriminator, and none of its reaches them. Both
    take their steps at the same time.

    Args:
        pair: the VAEs.
        weights: how much each loss counts; what counts nothing is not computed.
    """

    def __init__(self, pair: Pair, weights: Weights) -> None:
        super().__init__()
        self.pair, self.weights = pair, weights
        if weights.gan:
            self.discriminator = Discriminator(pair.a.size)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms, each a scalar: ``vae``, and what counts of the others."""
        half = len(batch.codes)
        a, b = batch.a[:half], batch.b[:half]
        noise = batch.codes.unbind(1)
        decoded_a, code_a, *normal_a = self.pair.a(a, noise[0])
        decoded_b, code_b, *normal_b = self.pair.b(b, noise[1])
        into_b, into_a = self.pair.b.decoder(code_a), self.pair.a.decoder(code_b)
        elbos = losses.negative_elbo(a, decoded_a, *normal_a)
        elbos = elbos + losses.negative_elbo(b, decoded_b, *normal_b)
        terms = {"vae": elbos * losses.per_pixel(a)}
        if self.weights.gan:
            terms |= self._adversarial(batch, into_a, into_b)
        if self.weights.cycle:
            again_a = self.pair.a.decoder(self.pair.b.sample(into_b, noise[2])[0])
            again_b = self.pair.b.decoder(self.pair.a.sample(into_a, noise[3])[0])
            terms["cycle"] = (again_a - a).abs().mean() + (again_b - b).abs().mean()
        if self.weights.similarity:
            kind = self.weights.kind
            terms["similarity"] = losses.similarity(kind, a, into_b)
            terms["similarity"] += losses.similarity(kind, b, into_a)
        return terms

    def _adversarial(self, batch: Batch, into_a: Tensor, into_b: Tensor) -> dict[str, Tensor]:
        """Return the GAN losses of the VAEs and the loss of the discriminator."""
        D, noise = self.discriminator, CAMERA * batch.translated
        real = torch.cat([batch.a, batch.b]) + CAMERA * batch.camera.transpose(0, 1).flatten(0, 1)
        made = torch.cat([into_a, into_b])
        seen = made.detach() + torch.cat([noise[:, 0], noise[:, 1]])
        sizes = [len(batch.a), len(batch.b), len(into_a), len(into_b)]
        learning = losses.discerning(*D(torch.cat([real, seen])).split(sizes))
        fixed = {name: value.detach() for name, value in D.named_parameters()}
        judged = functional_call(D, fixed, (made + torch.cat([noise[:, 2], noise[:, 3]]),))
        return {"gan": losses.fooling(*judged.chunk(2)), "discriminator": learning}


def vae_loss(net: nn.Module, images: Tensor, noise: Tensor) -> Tensor:
    """Return the negative ELBO of a batch, the loss of steps 1 and 2."""
    decoded, _, mean, log_variance = net(images, noise)
    return losses.negative_elbo(images, decoded, mean, log_variance)


def train_vae(
    vae: VAE, images: Tensor, recipe: Recipe, seed: int, checkpoint: Path | None = None
) -> VAE:
    """Train a VAE in place, and return it.

    Args:
        vae: the network, on any device.
        images: pixels ``(N, 3, H, W)`` in [0, 1], at least a batch.
        recipe: how to train.
        seed: of the order of the pictures and the noise.
        checkpoint: file that holds the progress, as in ``xaicore.training.loop.train``.
    """
    device = next(vae.parameters()).device
    train(vae, Singles(images, vae.code, device), recipe, seed, vae_loss, checkpoint=checkpoint)
    return vae


def new_vae(seed: int, size: int = 32) -> VAE:
    """Return an untrained VAE whose weights the seed decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(size)


def pretrain(
    a: Tensor,
    b: Tensor,
    start: str = "warm",
    seed: int = 0,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    shorter: int = 1,
) -> Pair:
    """Steps 1 and 2: train a VAE for each domain; about 25 seconds on one processor core.

    Args:
        a: pixels of the first domain, ``(N, 3, H, W)`` in [0, 1].
        b: of the second.
        start: one of ``STARTS``.
        seed: of weights, order and noise.
        device: where to train.
        folder: holds the progress of both; None keeps none. All starts share the first step.
        shorter: by what to divide the epochs.

    Raises:
        ValueError: the start is unknown, or the progress in the folder is of another run.
    """
    check_name("start", start, STARTS)
    size = a.shape[-1]
    first, second = new_vae(seed, size).to(device), new_vae(seed + 500, size).to(device)
    if start != "none":
        step_1, step_2 = (_shortened(r, shorter) for r in (STEP_1, STEP_2[start]))
        train_vae(first, a, step_1, seed, folder and folder / "step1.pt")
        if start == "warm":
            second = copy.deepcopy(first)
        train_vae(second, b, step_2, seed + 1, folder and folder / f"step2-{start}.pt")
    return Pair(first, second).eval()


def learn_to_translate(
    pair: Pair,
    a: Tensor,
    b: Tensor,
    weights: Weights | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    recipe: Recipe = STEP_3,
) -> Pair:
    """Step 3: train both VAEs with all losses, in place; about 30 seconds on one processor core.

    Args:
        pair: the VAEs, on any device.
        a: pixels of the first domain, ``(N, 3, H, W)`` in [0, 1].
        b: of the second, at least as many, in any order: nothing is paired.
        weights: how much each loss counts.
        seed: of the discriminator, the order and the noise.
        checkpoint: file that holds the progress, as in ``xaicore.training.loop.train``.
        recipe: how to train.

    Returns:
        The pair.
    """
    weights = weights or Weights()
    device = next(pair.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 7)
        translator = Translator(pair, weights).to(device)
    data = Unpaired(a, b, pair.a.code, device)
    train(translator, data, recipe, seed + 1000, weights, checkpoint=checkpoint)
    return pair


def _shortened(recipe: Adam, by: int) -> Adam:
    return replace(recipe, epochs=-(-recipe.epochs // by))
