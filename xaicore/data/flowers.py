"""Rendered flowers with known labels and exact part masks: three tasks, no download.

``petal`` and ``stem`` are *the same pixels with two labels*: the colour of the petals and the
colour of the stem, drawn independently from one palette. Whatever a network must look at to solve
one task carries no information about the other, so each part's mask is a valid ground truth.
``species`` asks for petal shape and centre colour together, against a rival flower of another
species; it keeps a network in doubt often enough to measure faithfulness.

Seeds are disjoint: training pictures count from 0, validation from 800,000, test from 900,000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from xaicore.data.rendering import PARTS, SHAPES, SUBPIXELS, Flower, Layout, Scene, Stream, stream

PALETTE = ("red", "yellow", "violet", "blue")
CENTRES = ("yellow", "red", "indigo")
SPLITS = {"train": range(0, 800_000), "validation": range(800_000, 900_000)}
SPLITS["test"] = range(900_000, 1_000_000)
RIVAL_SHARE = 0.4

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


@dataclass(frozen=True)
class Task:
    """A question about a scene.

    Attributes:
        classes: Names of the answers.
        sample: Scene of a seed.
        label: Index of the right answer; it depends on the factors of the flower and nothing else.
    """

    classes: tuple[str, ...]
    sample: Callable[[int], Scene]
    label: Callable[[Flower], int]


def _balanced(seed: int, levels: int) -> int:
    """Return a level such that every block of ``levels`` consecutive seeds holds each once."""
    block, place = divmod(seed, levels)
    return int(stream(block, Stream.LABEL).permutation(levels)[place])


def _twin_scene(seed: int) -> Scene:
    petal, stem = divmod(_balanced(seed, len(PALETTE) ** 2), len(PALETTE))
    shape = str(stream(seed, Stream.FLOWER).choice(SHAPES))
    flower = Flower(shape, petal=PALETTE[petal], centre="grey", stem=PALETTE[stem])
    return Scene(flower, None, TWIN_LAYOUT, pose=seed, paint=seed, clutter=seed)


def _species_scene(seed: int) -> Scene:
    count = len(SHAPES) * len(CENTRES)
    species = _balanced(seed, count)
    flower = _specimen(stream(seed, Stream.FLOWER), species)
    rng = stream(seed, Stream.RIVAL)
    other = (species + int(rng.integers(1, count))) % count
    rival = _specimen(rng, other) if rng.random() < RIVAL_SHARE else None
    return Scene(flower, rival, SPECIES_LAYOUT, pose=seed, paint=seed, clutter=seed)


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
    ),
    "petal": Task(PALETTE, _twin_scene, lambda flower: _palette_index(PALETTE, flower.petal)),
    "stem": Task(PALETTE, _twin_scene, lambda flower: _palette_index(PALETTE, flower.stem)),
}


def _task(name: str) -> Task:
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}: use one of {', '.join(TASKS)}")
    return TASKS[name]


def class_names(task: str) -> tuple[str, ...]:
    """Return the names of a task's classes, in label order.

    Args:
        task: ``"species"``, ``"petal"`` or ``"stem"``.

    Raises:
        ValueError: There is no such task.
    """
    return _task(task).classes


def sample_scene(task: str, seed: int) -> Scene:
    """Return the scene of a seed, to be rendered, recoloured or stripped of parts.

    Args:
        task: ``"species"``, ``"petal"`` or ``"stem"``; the last two share their scenes.
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
        task: ``"species"``, ``"petal"`` or ``"stem"``.
        scene: A scene, as sampled or after an intervention.

    Raises:
        ValueError: There is no such task, or the scene shows a colour outside the task's palette.
    """
    return _task(task).label(scene.flower)


class Flowers(Dataset[tuple[Tensor, int]]):
    """A rendered data set; item i is an image in [0, 1], ``(3, size, size)``, and its label.

    Rendering takes about 3 ms a picture at 64 pixels, once, at construction. The first 100
    pictures of a set of 300 are the set of 100.

    Args:
        task: ``"species"`` (9 classes), ``"petal"`` or ``"stem"`` (4 classes, same pictures).
        split: ``"train"``, ``"validation"`` or ``"test"``.
        n: Number of pictures.
        size: Width and height in pixels.

    Raises:
        ValueError: The task or the split does not exist, or it does not hold n pictures.

    Example:
        >>> flowers = Flowers("species", "test", n=2)
        >>> flowers.images.shape, flowers.masks["petal"].shape
        (torch.Size([2, 3, 64, 64]), torch.Size([2, 1, 64, 64]))
    """

    def __init__(self, task: str, split: str = "train", n: int = 300, size: int = 64) -> None:
        self.task, self.split, self.size = task, split, size
        self.classes = class_names(task)
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
        if not 0 < n <= len(SPLITS[split]):
            raise ValueError(f"n must be from 1 to {len(SPLITS[split])} for {split}, not {n}")
        self.seeds = SPLITS[split][:n]
        scenes = [sample_scene(task, seed) for seed in self.seeds]
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
        return sample_scene(self.task, self.seeds[index])

    @cached_property
    def images(self) -> Tensor:
        """All pictures, float32 in [0, 1], ``(n, 3, size, size)``."""
        return torch.from_numpy(self._pixels).permute(0, 3, 1, 2).contiguous().float() / 255

    @cached_property
    def masks(self) -> dict[str, Tensor]:
        """Visible coverage of each part, float32 in [0, 1], ``(n, 1, size, size)``."""
        counts = torch.from_numpy(self._coverage).float() / SUBPIXELS
        return dict(zip(PARTS, counts, strict=True))
