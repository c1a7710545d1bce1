"""What surprises about the leaderboard, put to the test: one small experiment for each surprise.

Every experiment looks at the same pictures as the board, those on which both networks of a seed
rely on their part alone, and yields rows of ``experiment``, ``method``, ``variant``, ``seed``,
``image``, ``metric`` and ``value``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from studies.vebi import kept
from xaibook.chapter import stored
from xaibook.flowers.dataset import FLOWER_PARTS, Flowers
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench import TWINS
from xaibook.partbench.benchmark import SEEDS, Explain, Twins, coarse, explain
from xaibook.partbench.parts import part_importances
from xaicore.attribution import GradCAM, GuidedBackprop, IntegratedGradients, Saliency
from xaicore.attribution.capture import capture, own
from xaicore.attribution.gradient import gradient_of_logit, magnitude
from xaicore.classifier import Classifier
from xaicore.masking import normalize, upsample
from xaicore.metrics import confidence, paired_contrast, randomized, relevance_mass_accuracy
from xaicore.metrics import spearman as rank_correlation

COUNT = 150
"""Test pictures; those count on which both networks of a seed rely on their part alone."""

SLOW = 12
"""How many of them the experiments explain that optimise a map for each picture."""

ADDED = 60
"""Pictures of the other task whose parts' shares are added up."""

LARGE = 256
"""Side of the pictures on which borders are thin."""

DOWN = ("fc", "stages.2", "stages.1", "stages.0", "stem")
"""What is drawn anew, from the logits down, one after the other."""

WEIGHED = (0.0, 10.0, 30.0)
"""Weights of the shown area in Opti-CAM's objective, whose logits are near 10."""

STEPS = (0, 1, 3, 10, 30, 100)
POWERS = (0.5, 1.0, 2.0, 4.0, 8.0)
CLASSES = 4
BATCH = 32

GREY = (0.299, 0.587, 0.114)
"""The luminance of a colour."""


class Pair(NamedTuple):
    """Both networks of a seed and the pictures that count.

    Attributes:
        seed: of the networks.
        networks: by task.
        twins: all pictures.
        rows: the pictures that count.
    """

    seed: int
    networks: Mapping[str, Classifier]
    twins: Twins
    rows: Tensor

    @property
    def masks(self) -> dict[str, Tensor]:
        """The coverage of each part on the pictures that count."""
        return {task: mask[self.rows] for task, mask in self.twins.masks.items()}

    def maps(self, make: Callable[[Classifier], Explain]) -> dict[str, Tensor]:
        """Explain the pictures that count, for both tasks."""
        return {
            task: explain(make(network), self.twins.tasks[task], self.rows, BATCH)
            for task, network in self.networks.items()
        }

    def scored(
        self,
        maps: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None = None,
        **more: Tensor | float,
    ) -> pd.DataFrame:
        """Return how maps of both tasks follow their parts, and what else is said of them."""
        masks = masks or self.masks
        both = [[each[task] for task in TWINS] for each in (maps, masks)]
        found: dict[str, Any] = {"PC": paired_contrast(*both)}
        found |= {f"RMA {t}": relevance_mass_accuracy(maps[t], masks[t]) for t in TWINS}
        found |= {"shown": torch.stack(both[0]).mean((0, 2, 3, 4))} | more
        tables = [
            pd.DataFrame({"image": self.rows, "metric": metric, "value": value})
            for metric, value in found.items()
        ]
        return pd.concat(tables).assign(seed=self.seed)


@cache
def rendered(count: int, size: int = 64) -> Twins:
    """Return the first test pictures, rendered once."""
    return Twins.render("test", count, size)


@cache
def pair(seed: int, count: int) -> Pair:
    """Return the networks of a seed, and the pictures that count, which the board has found."""
    board, _ = stored("vebi.benchmark")
    counted = board.loc[(board["seed"] == seed) & (board["image"] < count), "image"].unique()
    networks = {task: flower_classifier(task, seed) for task in TWINS}
    return Pair(seed, networks, rendered(count), torch.from_numpy(counted).sort().values)


class Gates(TorchFunctionMode):
    """Inside, signals that pass back through rectifiers are cut as it is told.

    Args:
        positive: whether signals that are negative themselves are cut, the guided rule.
        first: what replaces the gates of the network's first rectifier; ``None``: nothing.
        forward: whether the gates of the forward pass cut signals at all.
    """

    def __init__(
        self, positive: bool = True, first: Tensor | None = None, forward: bool = True
    ) -> None:
        super().__init__()
        self.positive, self.first, self.forward = positive, first, forward
        self.met = 0

    def __torch_function__(
        self, function: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch; a rectifier gets the gates that are asked for."""
        if function.__name__.rstrip("_") != "relu":
            return function(*args, **kwargs or {})
        u, self.met = args[0], self.met + 1
        gates = (u > 0).to(u) if self.forward else torch.ones_like(u)
        if self.met == 1 and self.first is not None:
            gates = self.first
        found = u.relu().detach() + u * gates - (u * gates).detach()
        if self.positive and found.requires_grad:
            found.register_hook(lambda signal: signal.clamp(min=0))
        return found


def first_gates(classifier: Classifier, images: Tensor) -> Tensor:
    """Return which units of the first rectifier are open, ``(B, C, H, W)``."""
    with torch.no_grad():
        stem = classifier.net.get_submodule("stem")
        return (stem(classifier.normalised(images)) > 0).float()


def greyed(images: Tensor) -> Tensor:
    """Return pictures without their colours."""
    weights = images.new_tensor(GREY)[:, None, None]
    return (images * weights).sum(1, keepdim=True).expand_as(images).contiguous()


def cut(classifier: Classifier, first: str = "own", **settings: bool) -> Explain:
    """Return the gradient of the logit with other gates; ``first``: own, grey or open."""

    def explained(images: Tensor, targets: Tensor) -> Tensor:
        gates = {
            "own": lambda: None,
            "grey": lambda: first_gates(classifier, greyed(images)),
            "open": lambda: torch.ones_like(first_gates(classifier, images)),
        }[first]()
        with Gates(first=gates, **settings):
            found = gradient_of_logit(classifier, own(images), targets)
        return normalize(magnitude(found.detach()))

    return explained


def networks(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Draw weights anew, from the logits down, or one end alone; explain other classes."""
    methods = {"guided-backprop": GuidedBackprop, "saliency": Saliency, "grad-cam": GradCAM}
    for name, make in methods.items():
        trained = some.maps(make)

        def like(maps: dict[str, Tensor], trained: dict[str, Tensor] = trained) -> pd.DataFrame:
            alike = [rank_correlation(maps[t], trained[t]) for t in TWINS]
            return some.scored(maps, alike=torch.stack(alike).mean(0))

        yield name, "trained", like(trained)
        other = some.maps(partial(of_another_class, make))
        yield name, "another class", like(other)
        for layers, cascading in ((DOWN, True), (("stem",), False)):
            copies = {
                task: randomized(network, layers, cascading, seed=2 * some.seed + place)
                for place, (task, network) in enumerate(some.networks.items())
            }
            for steps in zip(*copies.values(), strict=True):
                drawn = some._replace(
                    networks=dict(zip(copies, (copy for _, copy in steps), strict=True))
                )
                variant = steps[0][0] if cascading else "stem alone"
                yield name, variant, like(drawn.maps(make))


def of_another_class(make: Callable[[Classifier], Explain], classifier: Classifier) -> Explain:
    """Return a method that explains the class after the one it is asked for."""
    explained = make(classifier)
    return lambda images, targets: explained(images, (targets + 1) % CLASSES)


def gates(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Take the guided rule apart: which gates tell the two networks apart?"""
    rules: dict[str, dict[str, Any]] = {
        "forward gates": {"positive": False},
        "positive signals": {"forward": False},
        "both": {},
        "both, first gates from grey": {"first": "grey"},
        "both, first gates open": {"first": "open"},
    }
    for rule, settings in rules.items():
        yield "guided-backprop", rule, some.scored(some.maps(partial(cut, **settings)))


def colours(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Read the colour of a part off the mean gates of the first rectifier there."""
    for task, network in some.networks.items():
        flowers = some.twins.tasks[task]
        inside = torch.nn.functional.avg_pool2d(flowers.masks[task], 2)
        for variant, shown in (("own", flowers.images), ("grey", greyed(flowers.images))):
            opened = (first_gates(network, shown) * inside).sum((2, 3)) / inside.sum((2, 3))
            right = nearest_mean(opened, flowers.targets)[some.rows]
            told = pd.DataFrame({"image": some.rows, "metric": f"right {task}", "value": right})
            yield "first gates", variant, told.assign(seed=some.seed)


def nearest_mean(rows: Tensor, targets: Tensor) -> Tensor:
    """Return whether the nearest mean of the other rows' classes is the right one, ``(n,)``."""
    hot = torch.nn.functional.one_hot(targets).to(rows)
    counts = hot.sum(0)[None, :, None] - hot[:, :, None]
    means = ((hot.T @ rows)[None] - hot[:, :, None] * rows[:, None]) / counts
    return (((rows[:, None] - means) ** 2).sum(2).argmin(1) == targets).double()


def ascend(
    classifier: Classifier, images: Tensor, targets: Tensor, area: float = 0.0
) -> dict[int, Tensor]:
    """Return Opti-CAM's maps after some steps, where what is shown costs ``area`` of the logit."""
    captured = capture(classifier, images, targets)
    features, pixels = own(captured.features), own(images)
    u = torch.zeros(features.shape[:2], requires_grad=True)
    adam, found = torch.optim.Adam([u], lr=0.1), {}

    def saliency() -> Tensor:
        raw = (u.softmax(1)[..., None, None] * features).sum(1, keepdim=True)
        return normalize(upsample(raw, images.shape[-2:]))

    for step in range(STEPS[-1] + 1):
        shown = saliency()
        if step in STEPS:
            found[step] = shown.detach()
        logit = classifier(pixels * shown).gather(1, targets[:, None])[:, 0]
        adam.zero_grad()
        (area * shown.mean((1, 2, 3)) - logit).sum().backward()
        adam.step()
    return found


def shown(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Optimise longer, price what is shown, sharpen what was found: does the contrast follow?"""
    some = some._replace(rows=some.rows[:SLOW])
    paths = {area: searched(some, area) for area in WEIGHED}
    found = [("opti-cam", f"{step} steps", maps) for step, maps in paths[0.0].items()]
    found += [("opti-cam", f"area {area:g}", path[STEPS[-1]]) for area, path in paths.items()]
    for name, soft in (("opti-cam", paths[0.0][STEPS[-1]]), ("grad-cam", some.maps(GradCAM))):
        for power in POWERS:
            sharp = {task: each**power for task, each in soft.items()}
            found.append((name, f"power {power:g}", sharp))
    for name, variant, maps in found:
        yield name, variant, some.scored(maps, AG=gain(some, maps))


def searched(some: Pair, area: float) -> dict[int, dict[str, Tensor]]:
    """Return the maps of ``ascend`` by step and task."""
    path: dict[int, dict[str, Tensor]] = {step: {} for step in STEPS}
    for task, network in some.networks.items():
        flowers = some.twins.tasks[task]
        images, targets = flowers.images[some.rows], flowers.targets[some.rows]
        for step, maps in ascend(network, images, targets, area).items():
            path[step][task] = maps
    return path


def gain(some: Pair, maps: Mapping[str, Tensor]) -> Tensor:
    """Return the gain (AG) of maps, the mean over both tasks."""
    found = []
    for task, network in some.networks.items():
        flowers = some.twins.tasks[task]
        images, targets = flowers.images[some.rows], flowers.targets[some.rows]
        p, o = confidence(network, images, maps[task], targets)
        found.append((o - p).clamp(min=0) / (1 - p))
    return torch.stack(found).mean(0)


def prior(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Show maps that know the question but not the picture: another picture's, and mean masks."""
    methods: dict[str, Callable[[Classifier], Explain]] = {
        "guided-backprop": GuidedBackprop,
        "saliency": Saliency,
        "grad-cam": GradCAM,
    }
    for name, make in methods.items():
        maps = some.maps(make)
        yield name, "own", some.scored(maps)
        yield name, "another picture's", some.scored({t: m.roll(1, 0) for t, m in maps.items()})
    held, n = Twins.render("validation", COUNT), len(some.rows)
    means = {t: normalize(held.masks[t].mean(0, keepdim=True)) for t in TWINS}
    yield "mean-mask", "own", some.scored({t: m.repeat(n, 1, 1, 1) for t, m in means.items()})
    shifts, heads = (heads_of(each.masks["petal"]) for each in (held, some.twins))
    centred = {t: moved(held.masks[t], -shifts).mean(0, keepdim=True) for t in TWINS}
    placed = {
        t: normalize(moved(m.repeat(n, 1, 1, 1), heads[some.rows])) for t, m in centred.items()
    }
    yield "mean-mask", "at the head", some.scored(placed)


def heads_of(petals: Tensor) -> Tensor:
    """Return where flowers are, whole pixels from the centre, down and right, ``(n, 2)``."""
    side = petals.shape[-1]
    line = torch.arange(side) - side // 2
    whole = petals.sum((1, 2, 3))
    down = (petals.sum((1, 3)) * line).sum(1) / whole
    right = (petals.sum((1, 2)) * line).sum(1) / whole
    return torch.stack([down, right], 1).round().long()


def moved(masks: Tensor, by: Tensor) -> Tensor:
    """Return masks, each moved by whole pixels; what leaves the picture is lost."""
    side = masks.shape[-1]
    wide = torch.nn.functional.pad(masks, (side,) * 4)
    return torch.stack(
        [
            one[:, side - down : 2 * side - down, side - right : 2 * side - right]
            for one, (down, right) in zip(wide, by.tolist(), strict=True)
        ]
    )


def borders(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Score the truth itself: with soft borders, with hard ones, and on larger pictures."""
    large = rendered(len(some.twins.images), LARGE).masks
    for side, masks in ((64, some.masks), (LARGE, {t: m[some.rows] for t, m in large.items()})):
        hard = {task: (mask >= 0.5).float() for task, mask in masks.items()}
        whole = {
            t: torch.where(h.amax((2, 3), keepdim=True) > 0, h, masks[t]) for t, h in hard.items()
        }
        yield "mask", f"soft, {side} px", some.scored(masks, masks)
        yield "mask", f"hard, {side} px", some.scored(whole, whole)
    yield "mask", "8 cells", some.scored({t: coarse(m) for t, m in some.masks.items()})


def shares(some: Pair) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Add up what parts are given, dilated and as they are."""
    network = flower_classifier("variety", some.seed)
    flowers = Flowers("variety", "test", min(ADDED, len(some.twins.images)))
    parts = torch.cat([flowers.masks[part] for part in FLOWER_PARTS], dim=1)
    made: dict[str, Any] = {
        "grad-cam": GradCAM(network),
        "guided-backprop": GuidedBackprop(network),
        "integrated-gradients": IntegratedGradients(network, steps=16),
    }
    for name, method in made.items():
        raw = torch.cat(
            [
                upsample(method.raw(x, t), x.shape[-2:])
                for x, t in zip(
                    flowers.images.split(BATCH), flowers.targets.split(BATCH), strict=True
                )
            ]
        )
        whole = raw.double().abs().sum((1, 2, 3))
        for window in (1, 3):
            summed = part_importances(raw, parts, window).sum(1) / whole.where(whole > 0, 1)
            rows = {"image": range(len(summed)), "metric": "sum of parts", "value": summed}
            yield name, f"window {window}", pd.DataFrame(rows).assign(seed=some.seed)


EXPERIMENTS: Mapping[str, Callable[[Pair], Iterator[tuple[str, str, pd.DataFrame]]]] = {
    "networks": networks,
    "gates": gates,
    "colours": colours,
    "shown": shown,
    "prior": prior,
    "borders": borders,
    "shares": shares,
}


def measured(experiment: str, seed: int, count: int = COUNT) -> pd.DataFrame:
    """Return the rows of one experiment on the networks of a seed."""
    found = [
        rows.assign(experiment=experiment, method=method, variant=variant)
        for method, variant, rows in EXPERIMENTS[experiment](pair(seed, count))
    ]
    columns = ["experiment", "method", "variant", "seed", "image", "metric", "value"]
    return pd.concat(found)[columns]


def surprises(seeds: Sequence[int] = SEEDS) -> Iterator[pd.DataFrame]:
    """Every experiment on the networks of every seed."""
    for experiment in EXPERIMENTS:
        for seed in seeds:
            name = f"vebi.surprises {experiment} {seed}"
            yield kept(name, partial(measured, experiment, seed))


TOLD: dict[str, dict[str, object]] = {
    "surprises": {
        "images": f"the first {COUNT} test flowers, those on which the networks rely on their part "
        f"alone; {SLOW} of them where a map is optimised for each picture; of the shares {ADDED}",
    }
}
"""What is to be said of the records."""

STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"surprises": surprises}
