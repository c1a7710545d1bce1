"""Rendered flowers with known labels and exact part masks: four tasks, no download.

``petal`` and ``stem`` are *the same pixels with two labels*: the colour of the petals and the
colour of the stem, drawn independently from one palette. Whatever a network must look at to solve
one task carries no information about the other, so each part's mask is a valid ground truth.
``species`` asks for petal shape and centre colour together, against a rival flower of another
species; it keeps a network in doubt often enough to measure faithfulness. ``variety`` is told by
four parts together, and by less than all of them: so there is something to be preserved when parts
are removed, as with the birds of Hesse et al., ICCV 2023.

Seeds are disjoint: training pictures count from 0, validation from 800,000, test from 900,000.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from xaibook.flowers.rendering import (
    PARTS,
    SHAPES,
    SUBPIXELS,
    Component,
    Flower,
    Layout,
    Pixels,
    Scene,
    chance,
)

PALETTE = ("red", "yellow", "violet", "blue")
CENTRES = ("yellow", "red", "indigo")
LEAVES = ("green", "white", "indigo")
VARIETIES = 24
SPLITS = {"train": range(0, 800_000), "validation": range(800_000, 900_000)}
SPLITS["test"] = range(900_000, 1_000_000)
RIVAL_SHARE = 0.4
FLOWER_PARTS = ("petal", "centre", "stem", "leaf")

TWIN_LAYOUT = Layout(
    radius=(0.18, 0.25),
    disc=(0.26, 0.36),
    room_below=2.6,
    distractors=(4, 8),
    blobs=(3, 4),
    palette=PALETTE,
    palette_share=0.7,
)
SPECIES_LAYOUT = Layout(
    radius=(0.19, 0.32),
    disc=(0.32, 0.42),
    room_below=0.9,
    distractors=(3, 8),
    blobs=(0, 0),
    palette=CENTRES,
    palette_share=0.5,
)
VARIETY_LAYOUT = Layout(
    radius=(0.2, 0.27),
    disc=(0.34, 0.42),
    room_below=2.4,
    distractors=(3, 6),
    blobs=(1, 2),
    palette=(*PALETTE, *LEAVES),
    palette_share=0.7,
    leaf_share=1.0,
)


@dataclass(frozen=True)
class Task:
    """A question about a scene.

    Attributes:
        classes: Names of the answers.
        sample: Scene of a seed.
        label: Index of the right answer; it depends on the factors of the flower and nothing else.
        parts: For each class what the parts that tell classes apart look like, by part.
    """

    classes: tuple[str, ...]
    sample: Callable[[int], Scene]
    label: Callable[[Flower], int]
    parts: tuple[dict[str, str], ...]


def _balanced(seed: int, levels: int) -> int:
    """Return a level such that every block of ``levels`` consecutive seeds holds each once."""
    block, place = divmod(seed, levels)
    return int(chance(block, Component.LABEL).permutation(levels)[place])


def _twin_scene(seed: int) -> Scene:
    petal, stem = divmod(_balanced(seed, len(PALETTE) ** 2), len(PALETTE))
    shape = str(chance(seed, Component.FLOWER).choice(SHAPES))
    flower = Flower(shape, petal=PALETTE[petal], centre="grey", stem=PALETTE[stem])
    return Scene(flower, None, TWIN_LAYOUT, pose=seed, paint=seed, clutter=seed)


def _species_scene(seed: int) -> Scene:
    count = len(SHAPES) * len(CENTRES)
    species = _balanced(seed, count)
    flower = _specimen(chance(seed, Component.FLOWER), species)
    rng = chance(seed, Component.RIVAL)
    other = (species + int(rng.integers(1, count))) % count
    rival = _specimen(rng, other) if rng.random() < RIVAL_SHARE else None
    return Scene(flower, rival, SPECIES_LAYOUT, pose=seed, paint=seed, clutter=seed)


def _varieties() -> tuple[dict[str, str], ...]:
    """Return the parts' colours of each variety: some of all combinations, drawn once."""
    every = list(itertools.product(PALETTE, PALETTE, CENTRES, LEAVES))
    drawn = np.random.default_rng(0).choice(len(every), VARIETIES, replace=False)
    names = ("petal", "stem", "centre", "leaf")
    return tuple(dict(zip(names, every[i], strict=True)) for i in sorted(drawn))


VARIETY_PARTS = _varieties()


def _variety_scene(seed: int) -> Scene:
    shape = str(chance(seed, Component.FLOWER).choice(SHAPES))
    flower = Flower(shape, **VARIETY_PARTS[_balanced(seed, VARIETIES)])
    return Scene(flower, None, VARIETY_LAYOUT, pose=seed, paint=seed, clutter=seed)


def _variety(flower: Flower) -> int:
    parts = {part: getattr(flower, part) for part in VARIETY_PARTS[0]}
    if parts not in VARIETY_PARTS:
        raise ValueError(f"no variety has these parts, so there is no label: {parts}")
    return VARIETY_PARTS.index(parts)


def _specimen(rng: np.random.Generator, species: int) -> Flower:
    """Return a flower of a species, with petals of any hue."""
    shape, centre = divmod(species, len(CENTRES))
    return Flower(SHAPES[shape], petal=_pastel(rng), centre=CENTRES[centre])


def _pastel(rng: np.random.Generator) -> tuple[int, int, int]:
    hue = np.abs((rng.random() * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    saturation, value = rng.uniform(0.15, 0.75), rng.uniform(0.65, 1)
    red, green, blue = 255 * value * (1 - saturation * (1 - np.clip(hue, 0, 1)))
    return int(red), int(green), int(blue)


def _palette_index(palette: tuple[str, ...], colour: str | tuple[int, int, int]) -> int:
    if colour not in palette:
        raise ValueError(f"{colour!r} has no label in this task: use one of {', '.join(palette)}")
    return palette.index(str(colour))


TASKS: dict[str, Task] = {
    "species": Task(
        classes=tuple(f"{shape} {centre}" for shape in SHAPES for centre in CENTRES),
        sample=_species_scene,
        label=lambda flower: (
            SHAPES.index(flower.shape) * len(CENTRES) + _palette_index(CENTRES, flower.centre)
        ),
        parts=tuple({"petal": shape, "centre": centre} for shape in SHAPES for centre in CENTRES),
    ),
    "petal": Task(
        classes=PALETTE,
        sample=_twin_scene,
        label=lambda flower: _palette_index(PALETTE, flower.petal),
        parts=tuple({"petal": colour} for colour in PALETTE),
    ),
    "stem": Task(
        classes=PALETTE,
        sample=_twin_scene,
        label=lambda flower: _palette_index(PALETTE, flower.stem),
        parts=tuple({"stem": colour} for colour in PALETTE),
    ),
    "variety": Task(
        classes=tuple(" ".join(parts.values()) for parts in VARIETY_PARTS),
        sample=_variety_scene,
        label=_variety,
        parts=VARIETY_PARTS,
    ),
}


def _task(name: str) -> Task:
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}: use one of {', '.join(TASKS)}")
    return TASKS[name]


def class_names(task: str) -> tuple[str, ...]:
    """Return the names of a task's classes, in label order.

    Args:
        task: ``"species"``, ``"petal"``, ``"stem"`` or ``"variety"``.

    Raises:
        ValueError: There is no such task.
    """
    return _task(task).classes


def sample_scene(task: str, seed: int) -> Scene:
    """Return the scene of a seed, to be rendered, recoloured or stripped of parts.

    Args:
        task: A key of ``TASKS``; ``"petal"`` and ``"stem"`` share their scenes.
        seed: Any integer from 0.

    Raises:
        ValueError: There is no such task, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    return _task(task).sample(seed)


def label(task: str, scene: Scene) -> int:
    """Return the class index of a scene, which follows its factors when these are changed.

    Args:
        task: ``"species"``, ``"petal"``, ``"stem"`` or ``"variety"``.
        scene: A scene, as sampled or after an intervention.

    Raises:
        ValueError: There is no such task, or the scene shows a colour outside the task's palette.
    """
    return _task(task).label(scene.flower)


def class_parts(task: str) -> tuple[dict[str, str], ...]:
    """Return for each class what the parts that tell classes apart look like, by part.

    Args:
        task: ``"species"``, ``"petal"``, ``"stem"`` or ``"variety"``.

    Raises:
        ValueError: There is no such task.
    """
    return _task(task).parts


def consistent_classes(task: str, scene: Scene) -> tuple[int, ...]:
    """Return the classes that what is left of a scene allows: all that agree in the other parts.

    Args:
        task: ``"species"``, ``"petal"``, ``"stem"`` or ``"variety"``.
        scene: A scene of the task, with or without all its parts.

    Raises:
        ValueError: There is no such task, or the scene has no label in it.
    """
    parts = class_parts(task)
    own = parts[label(task, scene)]
    left = [part for part in own if part not in scene.removed]
    return tuple(
        k for k, other in enumerate(parts) if all(other[part] == own[part] for part in left)
    )


def _stripped(scene: Scene, seed: int, share: float) -> Scene:
    """Return a scene that, with a probability, has lost any number of the flower's parts."""
    rng = chance(seed, Component.REMOVAL)
    if rng.random() >= share:
        return scene
    return scene.without(*rng.permutation(FLOWER_PARTS)[: rng.integers(len(FLOWER_PARTS) + 1)])


class Flowers(Dataset[tuple[Tensor, int]]):
    """A rendered data set; item i is an image in [0, 1], ``(3, size, size)``, and its label.

    Rendering takes about 3 ms a picture at 64 pixels, once, at construction. The first 100
    pictures of a set of 300 are the set of 100.

    Args:
        task: ``"species"`` (9 classes), ``"petal"`` or ``"stem"`` (4 classes, same pictures), or
            ``"variety"`` (24 classes).
        split: ``"train"``, ``"validation"`` or ``"test"``.
        n: Number of pictures.
        size: Width and height in pixels.
        removed: Share of the pictures that lose parts: each number of them, none to all, is as
            likely, and each choice. ``targets`` remain; ``allowed`` says what still can be known.

    Raises:
        ValueError: The task or the split does not exist, it does not hold n pictures, or
            ``removed`` is no share.

    Example:
        >>> flowers = Flowers("species", "test", n=2)
        >>> flowers.images.shape, flowers.masks["petal"].shape
        (torch.Size([2, 3, 64, 64]), torch.Size([2, 1, 64, 64]))
    """

    def __init__(
        self,
        task: str,
        split: str = "train",
        n: int = 300,
        size: int = 64,
        removed: float = 0.0,
    ) -> None:
        self.task, self.split, self.size, self.removed = task, split, size, removed
        self.classes = class_names(task)
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
        if not 0 < n <= len(SPLITS[split]):
            raise ValueError(f"n must be from 1 to {len(SPLITS[split])} for {split}, not {n}")
        if not 0 <= removed <= 1:
            raise ValueError(f"removed must be a share, from 0 to 1, not {removed}")
        self.seeds = SPLITS[split][:n]
        scenes = [self.scene(i) for i in range(n)]
        self.targets = torch.tensor([label(task, scene) for scene in scenes])
        self._pixels = np.empty((n, size, size, 3), np.uint8)
        self._coverage = np.empty((len(PARTS), n, 1, size, size), np.uint8)
        for i, scene in enumerate(tqdm(scenes, desc=f"flowers: {task} {split}", disable=None)):
            picture = scene.render(size)
            self._pixels[i] = picture.image
            for k, part in enumerate(PARTS):
                self._coverage[k, i, 0] = picture.coverage[part]

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.targets[index])

    def scene(self, index: int) -> Scene:
        """Return the scene behind a picture, the starting point of an intervention."""
        seed = self.seeds[index]
        return _stripped(sample_scene(self.task, seed), seed, self.removed)

    def changed(self, change: Callable[[Scene], Scene]) -> Tensor:
        """Return all pictures after an intervention, float32 in [0, 1], ``(n, 3, size, size)``.

        Args:
            change: What is done to each scene, for example ``lambda scene: scene.without("stem")``.
        """
        scenes = (change(self.scene(i)) for i in range(len(self)))
        return _pixels(np.stack([scene.render(self.size).image for scene in scenes]))

    @cached_property
    def allowed(self) -> Tensor:
        """Whether what is left of each picture allows each class, booleans ``(n, classes)``."""
        allowed = torch.zeros(len(self), len(self.classes), dtype=torch.bool)
        for i in range(len(self)):
            allowed[i, list(consistent_classes(self.task, self.scene(i)))] = True
        return allowed

    @cached_property
    def images(self) -> Tensor:
        """All pictures, float32 in [0, 1], ``(n, 3, size, size)``."""
        return _pixels(self._pixels)

    @cached_property
    def masks(self) -> dict[str, Tensor]:
        """Visible coverage of each part, float32 in [0, 1], ``(n, 1, size, size)``."""
        counts = torch.from_numpy(self._coverage).float() / SUBPIXELS
        return dict(zip(PARTS, counts, strict=True))


def training_set() -> Flowers:
    """Return the 4,500 pictures that the networks of ``species`` were trained on."""
    return Flowers("species", "train", 4500)


def validation_set() -> Flowers:
    """Return 450 pictures that no network was trained on, nor is tested on."""
    return Flowers("species", "validation", 450)


def _pixels(pictures: Pixels) -> Tensor:
    """Return pictures ``(n, size, size, 3)`` as float32 in [0, 1], ``(n, 3, size, size)``."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255
