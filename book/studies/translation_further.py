"""Beyond the chapter's settings, each tried once: less to learn from, other networks and pictures.

Every run is a way to train a pair on a kind of picture. What it reaches is stored as means over the
test flowers; the first of them are stored as they were translated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studies.benchmark import SEEDS
from studies.subjects import KEPT
from studies.translation import FULL, again, eight_bits
from studies.vebi import kept
from xaibook.translation import load_judge, scenes
from xaibook.translation.judge import Judge, train_judge
from xaibook.translation.model import CODE, VAE, WIDTH, Decoder, Encoder, Pair
from xaibook.translation.probes import GROUPS, STYLE, Mover, Ridge, factors, r2
from xaibook.translation.scenes import DOMAINS, SIZE, Pictures
from xaibook.translation.scoring import Task, explained, round_trip, spread, tasks
from xaibook.translation.trained import WEIGHTS
from xaibook.translation.training import (
    STEP_1,
    STEP_2,
    Adam,
    Weights,
    learn_to_translate,
    new_vae,
    pretrain,
    train_vae,
)
from xaicore.files import read_tensors, write_tensors
from xaicore.training.loop import InMemory, train

SHOWN = 4
"""Test flowers whose translations are stored."""

SEED = SEEDS[0]
STYLE_NUMBERS = 12
"""Numbers of a code of its own for style; the other 20 stay for the rest."""

PAIRED = Adam(epochs=6, learning_rate=2e-3)
NOTHING = Weights(gan=0, cycle=0, similarity=0)
"""Only the losses of the two VAEs."""


class World(NamedTuple):
    """What is translated.

    Attributes:
        shapes: the two domains.
        size: width and height of the pictures; they are judged at 32 pixels.
        cluttered: as in ``scenes.scene``.
    """

    shapes: tuple[str, str] = DOMAINS
    size: int = SIZE
    cluttered: bool = False


PLAIN = World()


def rendered(world: World, firsts: tuple[int, int], count: int) -> tuple[Pictures, Pictures]:
    """Return flowers of both domains, from these seeds on."""
    a, b = (
        scenes.pictures(shape, first, count, world.size, world.cluttered)
        for shape, first in zip(world.shapes, firsts, strict=True)
    )
    return a, b


@cache
def training(world: World) -> tuple[Pictures, Pictures]:
    """Return the training pictures of both domains: no flower is in both."""
    return rendered(world, (scenes.FIRST["round"], scenes.FIRST["pointed"]), scenes.TRAINING)


@cache
def shown(world: World) -> tuple[Pictures, Pictures]:
    """Return the test pictures of both domains: the same flowers."""
    return rendered(world, (scenes.TEST_FIRST,) * 2, scenes.PAIRS)


@cache
def judge_of(shapes: tuple[str, str], cluttered: bool) -> Judge:
    """Return who tells outline and shape of such pictures."""
    if shapes == DOMAINS and not cluttered:
        return load_judge()
    return train_judge(shapes=shapes, cluttered=cluttered)


# Ways to train ------------------------------------------------------------------------------------


def three_steps(
    a: Tensor,
    b: Tensor,
    seed: int,
    folder: Path,
    start: str = "warm",
    weights: Weights = FULL,
    shorter: int = 1,
) -> Pair:
    """The chapter's way."""
    losses = "-".join(str(value) for value in vars(weights).values())
    pair = pretrain(a, b, start, seed, folder=folder, shorter=shorter)
    checkpoint = folder / f"step3-{start}-{losses}.pt"
    return learn_to_translate(pair, a, b, weights, seed, checkpoint=checkpoint)


def on_pairs(a: Tensor, _: Tensor, seed: int, folder: Path) -> Pair:
    """Show the right answers: what the same networks reach when nothing must be guessed."""
    partners = scenes.pictures(DOMAINS[1], scenes.FIRST["round"], len(a)).images
    data = InMemory(torch.cat([a, partners], 1), torch.arange(len(a)), a.device)
    pair = pretrain(a, _, seed=seed, folder=folder)
    train(pair, data, PAIRED, seed, paired_loss, checkpoint=folder / "pairs.pt")
    return pair


def paired_loss(pair: nn.Module, both: Tensor, _: Tensor) -> Tensor:
    """Return how far translations, both ways, are from their partners: mean squared error."""
    a, b = both.chunk(2, 1)
    found = pair.b.decoder(pair.a.encode(a)), pair.a.decoder(pair.b.encode(b))  # type: ignore
    return F.mse_loss(found[0], b) + F.mse_loss(found[1], a)


class Shifted(Pair):
    """One VAE for both domains; a translation adds the difference of their mean codes.

    Args:
        vae: of both domains.
        shift: from the mean code of the first domain to that of the second.
    """

    def __init__(self, vae: VAE, shift: Tensor) -> None:
        super().__init__(vae, vae)
        self.shift = shift

    @torch.inference_mode()
    def forth(self, images: Tensor) -> Tensor:
        """Translate pictures of the first domain into the second."""
        translated: Tensor = self.a.decoder(self.a.encode(images) + self.shift)
        return translated

    @torch.inference_mode()
    def back(self, images: Tensor) -> Tensor:
        """Translate pictures of the second domain into the first."""
        translated: Tensor = self.a.decoder(self.a.encode(images) - self.shift)
        return translated


def arithmetic(a: Tensor, b: Tensor, seed: int, folder: Path) -> Pair:
    """No step 2 and no step 3: one VAE of both domains, and a difference of two means."""
    recipe = replace(STEP_1, epochs=STEP_1.epochs // 2)  # of twice as many pictures
    vae = train_vae(new_vae(seed), torch.cat([a, b]), recipe, seed, folder / "both.pt")
    with torch.inference_mode():
        return Shifted(vae, vae.encode(b).mean(0) - vae.encode(a).mean(0))


def shared(a: Tensor, b: Tensor, seed: int, folder: Path) -> Pair:
    """Unrelated VAEs with common layers next to the code, trained together: UNIT's way."""
    pair = Pair(new_vae(seed), new_vae(seed + 500))
    pair.b.encoder.layers[-1] = pair.a.encoder.layers[-1]
    for layer in (0, 2):  # from the code to cells, and the first block
        pair.b.decoder[layer] = pair.a.decoder[layer]
    learn_to_translate(pair, a, b, NOTHING, seed, folder / "together.pt", STEP_1)
    return learn_to_translate(pair, a, b, FULL, seed, folder / "step3-shared.pt")


class SplitEncoder(Encoder):
    """Reads style off means over the picture: no place is in it."""

    def __init__(self, size: int, width: int, code: int, style: int) -> None:
        super().__init__(size, width, code - style)
        self.style = nn.Linear(2 * width, 2 * style)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map pixels ``(B, 3, H, W)`` to two tensors ``(B, code)``; style comes last."""
        h = self.layers[:-2](2 * x - 1)
        parts = self.layers[-2:](h).chunk(2, 1), self.style(h.mean((2, 3))).chunk(2, 1)
        mean, log_variance = (torch.cat(both, 1) for both in zip(*parts, strict=True))
        return mean, log_variance.clamp(-10, 4)


class StyledDecoder(Decoder):
    """Style sets mean and deviation of the channels before each block: AdaIN."""

    def __init__(self, size: int, width: int, code: int, style: int) -> None:
        super().__init__(size, width, code - style)
        self.numbers = code - style, style
        self.append(nn.Linear(style, 2 * 2 * 2 * width))

    def forward(self, code: Tensor) -> Tensor:
        """Map codes ``(B, code)`` to pixels ``(B, 3, H, W)`` in (0, 1)."""
        content, style = code.split(self.numbers, 1)
        linear, unflatten, *blocks, convolution, shuffle, sigmoid, affine = self
        h = unflatten(linear(content))
        factors = affine(style).view(len(code), 2, 2, -1, 1, 1).unbind(1)
        for block, factor in zip(blocks, factors, strict=True):
            scale, shift = factor.unbind(1)
            h = block(F.instance_norm(h) * (1 + scale) + shift)
        pixels: Tensor = sigmoid(shuffle(convolution(h)))
        return pixels


def styled_vae(seed: int) -> VAE:
    """Return an untrained VAE with a style code of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = VAE()
        vae.encoder = SplitEncoder(SIZE, WIDTH, CODE, STYLE_NUMBERS)
        vae.decoder = StyledDecoder(SIZE, WIDTH, CODE, STYLE_NUMBERS)
    return vae


def styled(a: Tensor, b: Tensor, seed: int, folder: Path) -> Pair:
    """A style code of its own, which the decoder takes by AdaIN; the second starts as a copy."""
    first = train_vae(styled_vae(seed), a, STEP_1, seed, folder / "styled1.pt")
    second = copy.deepcopy(first)
    train_vae(second, b, STEP_2["warm"], seed + 1, folder / "styled2.pt")
    return learn_to_translate(Pair(first, second), a, b, FULL, seed, folder / "styled3.pt")


@dataclass(frozen=True)
class Run:
    """Something to try.

    Attributes:
        way: to train, from pictures of both domains, a seed and a folder that keeps the progress.
        world: what is translated.
    """

    way: Callable[[Tensor, Tensor, int, Path], Pair] = three_steps
    world: World = PLAIN


RUNS = {
    "GAN only": Run(partial(three_steps, weights=replace(FULL, cycle=0, similarity=0))),
    "no pretraining": Run(partial(three_steps, start="none")),
    "trained on pairs": Run(on_pairs),
    "latent arithmetic": Run(arithmetic),
    "shared layers": Run(shared),
    "style code, AdaIN": Run(styled),
    "rays": Run(world=World(shapes=("round", "ray"))),
    "cluttered ground": Run(world=World(cluttered=True)),
    "48 pixels": Run(partial(three_steps, shorter=2), World(size=48)),
}


# What they reach ----------------------------------------------------------------------------------


def lessened(some: Pictures) -> Pictures:
    """Return pictures averaged down to 32 pixels, where the judge looks."""
    return Pictures(_small(some.images), _small(some.parts), some.geometry)


def reached(task: Task, images: Tensor) -> dict[str, float]:
    """Return the means of what ``Task.score`` says, R² and spread among them."""
    score = task.score(images)
    found = {name: score[name].nanmean().item() for name in ("outline", "shape", "colour", "rest")}
    found["by chance"] = score["other"].mean().item()
    found["R2"] = explained(score["colour"], score["deviation"])
    return found | {"spread": spread(images, task.answer.images)}


def measured(name: str, run: Run, seed: int = SEED) -> pd.DataFrame:
    """Train, and return a row per direction and measurement; keep pictures."""
    world, (a, b) = run.world, training(run.world)
    plain = world == PLAIN
    folder = KEPT / (f"translation {seed}" if plain else f"translation {name} {seed}")
    folder.mkdir(parents=True, exist_ok=True)
    pair = run.way(a.images, b.images, seed, folder).eval()
    test = shown(world)
    judge = judge_of(world.shapes, world.cluttered)
    rows = []
    first, second = map(lessened, test)
    for i, (way, task) in enumerate(tasks(first, second, judge).items()):
        images, partners = test[i].images, test[1 - i]
        made = pair.forth(images) if way == "forth" else pair.back(images)
        found = reached(task, _small(made))
        found["cycle"] = round_trip(pair, images, way).mean().item()
        for what, others in (
            ("answer", task.answer.images),
            ("unchanged", task.source.images),
            ("VAE of the answer", _small(again((pair.b, pair.a)[i], partners))),
        ):
            found |= {f"{what}: {k}": v for k, v in reached(task, others).items()}
        rows += [(way, what, value) for what, value in found.items()]
        if way == "forth":
            strips = {"source": images, "made": made, "partner": partners.images}
            few = {f"{name}: {k}": eight_bits(x[:SHOWN]) for k, x in strips.items()}
            write_tensors(_strips(name), few)
    if run.way is styled:
        rows += [("forth", what, value) for what, value in split(pair, a, test[0]).items()]
    table = pd.DataFrame(rows, columns=["direction", "what", "value"])
    return table.assign(variant=name, seed=seed)


@torch.inference_mode()
def split(pair: Pair, known: Pictures, test: Pictures) -> dict[str, float]:
    """Return what the two parts of the code tell, and what exchanging style does."""
    codes, test_codes = (pair.a.encode(some.images) for some in (known, test))
    parts = {"content": slice(0, CODE - STYLE_NUMBERS), "style": slice(CODE - STYLE_NUMBERS, CODE)}
    found = {}
    for part, numbers in parts.items():
        probe = Ridge.fit(codes[:, numbers], factors(known))
        read = r2(probe(test_codes[:, numbers]), factors(test))
        found[f"{part} tells colours"] = read[list(STYLE)].mean().item()
        places = [k for group in ("place and size", "turn", "stem") for k in GROUPS[group]]
        found[f"{part} tells place"] = read[places].mean().item()
    mover = Mover(pair.a, load_judge(), test_codes, test.petals)
    for part, numbers in parts.items():
        order = torch.arange(CODE)[numbers]
        moved = mover.measure(mover.swapped(order, len(order)))
        found |= {f"{part} exchanged: {k}": v for k, v in moved._asdict().items()}
    return found


def _strips(name: str) -> Path:
    return KEPT / f"translation.further {name}.pt"


def _small(images: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(images, SIZE)


def further() -> Iterator[pd.DataFrame]:
    """Run each once; store what they make of some flowers."""
    for name, run in RUNS.items():
        yield kept(f"translation.further {name} {SEED}", partial(measured, name, run), 4)
    strips = {k: v for name in RUNS for k, v in read_tensors(_strips(name)).items()}
    write_tensors(WEIGHTS / "translation-further.pt", strips)


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"further": further}
