"""Methods against a valid ground truth: two networks, the same pictures, another part each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from xaibook.flowers.dataset import FLOWER_PARTS, Flowers
from xaibook.flowers.trained import flower_classifier
from xaibook.partbench.measures import BOTH, PARTS, PairCase, PartCase
from xaibook.partbench.reliance import TWINS, in_batches, reliance, repainted
from xaicore.attribution import Centre, Colour, Edges, Noise
from xaicore.attribution.explainer import check_batch_size
from xaicore.classifier import Classifier
from xaicore.masking import normalize, upsample
from xaicore.metrics.segmentation import best_threshold, iou_curve

Explain = Callable[[Tensor, Tensor], Tensor]
"""Maps images ``(B, 3, H, W)`` and targets ``(B,)`` to saliency ``(B, 1, H, W)`` in ``[0, 1]``."""

Make = Callable[[Classifier], Explain]
"""Makes a method ready for a network: a class of ``METHODS``, or any function of a classifier."""

Networks = Mapping[tuple[str, int], Classifier]
"""Networks by task and seed."""

GRID = 8
"""Side of the networks' last feature maps, at which the coarse ceiling is drawn."""

SEEDS = (0, 1, 2)


@dataclass(frozen=True, eq=False)
class Twins:
    """The same pictures under both tasks.

    Attributes:
        tasks: the data sets by task; they differ in their targets alone.
    """

    tasks: dict[str, Flowers]

    @staticmethod
    def render(split: str, n: int, size: int = 64) -> Twins:
        """Render n pictures of a split, under both tasks."""
        first = Flowers(TWINS[0], split, n, size)
        second = Flowers(TWINS[1], split, n, size)
        return Twins(dict(zip(TWINS, (first, second), strict=True)))

    @property
    def images(self) -> Tensor:
        """The pictures, ``(n, 3, size, size)``."""
        return self.tasks[TWINS[0]].images

    @property
    def masks(self) -> dict[str, Tensor]:
        """The coverage of each part, ``(n, 1, size, size)``."""
        return self.tasks[TWINS[0]].masks


def part_benchmark(
    methods: Mapping[str, Make],
    seeds: Sequence[int] = SEEDS,
    n: int = 500,
    validation: int = 200,
    batch_size: int = 32,
    classifiers: Networks | None = None,
) -> pd.DataFrame:
    r"""Score methods on the pictures whose labels two networks read from two parts.

    One call makes the row of a method of your own::

        records = part_benchmark({"mine": lambda classifier: my_maps_function})

    where ``my_maps_function(images, targets)`` returns saliency. Maps that know nothing of the
    network, and the masks themselves, stand beside the methods in every table: below the first a
    method has explained nothing, and above the last, at the resolution of the networks' features,
    a class activation map cannot come.

    Scored are the pictures on which both networks of a seed are right and rely on their part and
    nothing else (``reliance``). The threshold of ``IoU`` is chosen on validation pictures, by
    method, task and seed.

    Args:
        methods: by the name their records carry, each a function that makes a method ready for a
            network: a class of ``METHODS``, or your own.
        seeds: of the networks that the package holds.
        n: the number of test pictures.
        validation: the number of validation pictures.
        batch_size: pictures explained at once.
        classifiers: the networks by task and seed; ``None``: those of the package.

    Returns:
        One row per picture, seed, task, method and metric: ``image``, ``seed``, ``method``,
        ``kind`` (``"method"``, ``"floor"`` or ``"ceiling"``), ``task``, ``metric``, ``value``.
        The paired contrast, ``PC``, belongs to both tasks: its ``task`` is ``"both"``.

    Raises:
        ValueError: a number is not positive, no picture counts for a seed, or a method's maps
            cannot be used.
    """
    benchmark = PartBenchmark(seeds, n, validation, batch_size, classifiers)
    tables = [benchmark.score(name, method) for name, method in methods.items()]
    return pd.concat([*tables, benchmark.bounds()], ignore_index=True)


class PartBenchmark:
    """The pictures and networks of ``part_benchmark``, made ready once for many methods.

    Arguments are those of ``part_benchmark``, and ``kept``, the indices of the test pictures that
    are scored, by seed, where an earlier run found them; ``None`` asks the networks.

    Attributes:
        networks: by task and seed.
        kept: the indices of the test pictures that are scored, by seed.
    """

    def __init__(
        self,
        seeds: Sequence[int] = SEEDS,
        n: int = 500,
        validation: int = 200,
        batch_size: int = 32,
        classifiers: Networks | None = None,
        kept: Mapping[int, Tensor] | None = None,
    ) -> None:
        check_batch_size(batch_size)
        self.seeds, self.batch_size = tuple(seeds), batch_size
        pairs = [(task, seed) for seed in seeds for task in TWINS]
        self.networks = {
            pair: flower_classifier(*pair) if classifiers is None else classifiers[pair]
            for pair in pairs
        }
        self.test, self.held = (
            Twins.render("test", n),
            Twins.render("validation", validation),
        )
        self.kept = self._relied() if kept is None else {seed: kept[seed] for seed in seeds}
        nothing = [seed for seed, rows in self.kept.items() if not len(rows)]
        if nothing:
            raise ValueError(
                f"classifiers: those of seed {nothing[0]} are wrong, or do not rely on their part, "
                "on every picture: there is nothing to explain"
            )

    def score(self, name: str, method: Make, every: int = 1) -> pd.DataFrame:
        """Return the records of one method, under the given name.

        Args:
            name: what the records call it.
            method: makes it ready for a network.
            every: the costly may explain one picture in so many, another one for each seed, and
                choose their thresholds on as small a share of the validation pictures. A picture
                is told by its number, so as many seeds see every picture between them.

        Raises:
            ValueError: ``every`` leaves a seed no picture, or the maps cannot be used.
        """
        most = min(len(self.test.images), len(self.held.images))
        if not 1 <= every <= most:
            raise ValueError(f"every must be from 1 to {most}, the pictures there are, not {every}")
        tables = []
        for place, seed in enumerate(self.seeds):
            first, everything = place % every, torch.arange(len(self.held.images))
            rows, held = (some[some % every == first] for some in (self.kept[seed], everything))
            if not len(rows):
                raise ValueError(f"every is too large: {every} leaves seed {seed} no picture")
            maps: dict[str, Tensor] = {}
            chosen: dict[str, Tensor] = {}
            for task in TWINS:
                network = self.networks[task, seed]
                ready, device = method(network), network.mean.device
                for found, twins, of in ((maps, self.test, rows), (chosen, self.held, held)):
                    found[task] = explain(ready, twins.tasks[task], of, self.batch_size, device)
            thresholds = self._thresholds(chosen, held)
            tables.append(self._records(name, "method", seed, rows, maps, thresholds))
        return pd.concat(tables, ignore_index=True)

    def bounds(self) -> pd.DataFrame:
        """Return the records of the floors and ceilings."""
        classifier = next(iter(self.networks.values()))
        shown, chosen = (floor_maps(classifier, one, self.held) for one in (self.test, self.held))
        tables = []
        for name, (kind, maps) in shown.items():
            thresholds = self._thresholds(chosen[name][1], torch.arange(len(self.held.images)))
            for seed, rows in self.kept.items():
                own = {task: maps[task][rows] for task in TWINS}
                tables.append(self._records(name, kind, seed, rows, own, thresholds))
        return pd.concat(tables, ignore_index=True)

    def _thresholds(self, maps: Mapping[str, Tensor], rows: Tensor) -> dict[str, float]:
        """Return the threshold of each task that suits maps of validation pictures best."""
        return {
            task: best_threshold(iou_curve(maps[task], self.held.masks[task][rows]))
            for task in TWINS
        }

    def _relied(self) -> dict[int, Tensor]:
        """Return the test pictures on which both networks of a seed rely on their part alone."""
        relied = dict.fromkeys(self.seeds, torch.ones(len(self.test.images), dtype=torch.bool))
        for task in TWINS:
            shown = repainted(self.test.tasks[task])
            for seed in self.seeds:
                found = reliance(self.networks[task, seed], shown)
                relied[seed] = relied[seed] & found.relies
        return {seed: rows.nonzero()[:, 0] for seed, rows in relied.items()}

    def _records(
        self,
        name: str,
        kind: str,
        seed: int,
        rows: Tensor,
        maps: Mapping[str, Tensor],
        thresholds: Mapping[str, float],
    ) -> pd.DataFrame:
        """Return the records of the maps of some test pictures, by task."""
        masks = {task: self.test.masks[task][rows] for task in TWINS}
        scores = {}
        pair = PairCase([maps[task] for task in TWINS], [masks[task] for task in TWINS])
        for metric, row in PARTS.items():
            if row.needs == BOTH:
                scores["both", metric] = row.take(pair)
                continue
            for task in TWINS:
                case = PartCase(maps[task], masks[task], thresholds[task])
                scores[task, metric] = row.take(case)
        common = {"image": rows, "seed": seed, "method": name, "kind": kind}
        found = [
            pd.DataFrame({**common, "task": task, "metric": metric, "value": values})
            for (task, metric), values in scores.items()
        ]
        return pd.concat(found)


def explain(
    method: Explain,
    flowers: Flowers,
    rows: Tensor,
    batch_size: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the maps of some pictures for their true classes, ``(n, 1, H, W)``, on the CPU."""
    return in_batches(method, batch_size, device, flowers.images[rows], flowers.targets[rows])


def floor_maps(
    classifier: Classifier, twins: Twins, prior: Twins
) -> dict[str, tuple[str, dict[str, Tensor]]]:
    """Return what no method made: its kind, floor or ceiling, and its maps by task.

    Noise, centre, edges, colour and silhouette are the same for both tasks; the mean mask of a
    task's part, over the pictures of ``prior``, and the mask of the other part know the task. None
    looks at the classifier.
    """
    images, masks = twins.images, twins.masks
    silhouette = torch.stack([masks[part] for part in FLOWER_PARTS]).sum(0).clamp(max=1)
    other = dict(zip(TWINS, reversed(TWINS), strict=True))
    blind = {
        **{floor.name: floor(classifier)(images) for floor in (Noise, Centre, Edges, Colour)},
        "silhouette": normalize(silhouette),
    }
    floors = {name: ("floor", dict.fromkeys(TWINS, maps)) for name, maps in blind.items()}
    floors["mean-mask"] = (
        "floor",
        {
            task: normalize(prior.masks[task].mean(0, keepdim=True)).repeat(len(images), 1, 1, 1)
            for task in TWINS
        },
    )
    floors["other-part"] = "floor", {task: normalize(masks[other[task]]) for task in TWINS}
    floors["coarse-mask"] = "ceiling", {task: coarse(masks[task]) for task in TWINS}
    floors["mask"] = "ceiling", {task: normalize(masks[task]) for task in TWINS}
    return floors


def coarse(masks: Tensor, side: int = GRID) -> Tensor:
    """Return masks as the networks' last features could show them at best, upsampled."""
    return normalize(upsample(F.adaptive_avg_pool2d(masks, side), masks.shape[-2:]))
