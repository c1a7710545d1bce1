"""Draw a scene with flowers, and say exactly which pixels each part of the flower occupies.

A picture is drawn three times larger than asked and averaged down, once in colour and once with a
part number in place of each colour, so the masks cover the *visible* pixels of a part, to a ninth
of a pixel.

Every component draws its random numbers from a stream of its own. Painting a part in another
colour, or leaving it out, therefore changes no pixel outside that part: the masks are causal
statements about the renderer, not annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Points = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

SHAPES = ("round", "pointed", "ray")
PARTS = ("petal", "centre", "stem", "leaf", "rival")
COLOURS: dict[str, RGB] = {
    "red": (212, 48, 56),
    "yellow": (240, 204, 44),
    "violet": (126, 66, 196),
    "blue": (46, 120, 214),
    "indigo": (50, 45, 130),
    "green": (62, 129, 53),
    "grey": (85, 85, 85),
    "white": (235, 235, 235),
}

SUPERSAMPLING = 3
SUBPIXELS = SUPERSAMPLING**2
MINIMUM_SIZE = 16


class Component(IntEnum):
    """What draws random numbers of its own; the value is the second word of their seed."""

    LABEL = 0
    FLOWER = 1
    RIVAL = 2
    POSE = 3
    RIVAL_POSE = 4
    PETAL = 5
    CENTRE = 6
    STEM = 7
    LEAF = 8
    BACKGROUND = 9
    DISTRACTORS = 10
    OCCLUDER = 11
    LIGHT = 12
    REMOVAL = 13


def chance(seed: int, component: Component) -> np.random.Generator:
    """Return the random generator of one component, independent of every other component's."""
    return np.random.default_rng([seed, component])


def colour_value(colour: str | RGB) -> RGB:
    """Return a colour as red, green and blue.

    Args:
        colour: A name in ``COLOURS``, or three integers in [0, 255].

    Raises:
        ValueError: The name is unknown or the numbers are not a colour.
    """
    if isinstance(colour, str):
        if colour not in COLOURS:
            raise ValueError(f"unknown colour {colour!r}: use one of {', '.join(COLOURS)}")
        return COLOURS[colour]
    if len(colour) != 3 or not all(0 <= channel <= 255 for channel in colour):
        raise ValueError(f"colour must be a name or three integers in [0, 255], not {colour!r}")
    return colour


@dataclass(frozen=True)
class Flower:
    """What one flower looks like: five factors, independent of each other and of the pose.

    Attributes:
        shape: Outline of the petals, one of ``SHAPES``.
        petal: Colour of the petals, a name in ``COLOURS`` or an RGB triple.
        centre: Colour of the disc in the middle of the head.
        stem: Colour of the stem.
        leaf: Colour of the leaf on the stem.
    """

    shape: str
    petal: str | RGB
    centre: str | RGB
    stem: str | RGB = "green"
    leaf: str | RGB = "green"

    def __post_init__(self) -> None:
        """Refuse an unknown shape or colour."""
        if self.shape not in SHAPES:
            raise ValueError(f"unknown shape {self.shape!r}: use one of {', '.join(SHAPES)}")
        for colour in (self.petal, self.centre, self.stem, self.leaf):
            colour_value(colour)


@dataclass(frozen=True)
class Layout:
    """How a scene is composed; lengths are shares of the picture's width.

    Attributes:
        radius: Smallest and largest radius of the flower's head.
        disc: Smallest and largest radius of the centre, as a share of the head's.
        room_below: Head radii kept free below the middle of the head, for the stem.
        distractors: Smallest and largest number of small distractors.
        blobs: Smallest and largest number of distractors as large as a head, in palette colours.
        palette: The colours in which the label is written, which distractors use as well.
        palette_share: Share of the small distractors that take a palette colour.
        leaf_share: Share of the flowers whose stem bears a leaf.
        petals: Smallest and largest number of petals of a flower that is not ``ray``.
    """

    radius: tuple[float, float]
    disc: tuple[float, float]
    room_below: float
    distractors: tuple[int, int]
    blobs: tuple[int, int]
    palette: tuple[str, ...]
    palette_share: float
    leaf_share: float = 0.7
    petals: tuple[int, int] = (5, 6)


class Picture(NamedTuple):
    """A rendered scene.

    Attributes:
        image: RGB pixels, ``(size, size, 3)``, uint8.
        coverage: For each part, how many ninths of each pixel show it, ``(size, size)``, uint8.
    """

    image: Pixels
    coverage: dict[str, Pixels]


@dataclass(frozen=True)
class Scene:
    """Everything a picture depends on; two scenes that differ in one field differ in nothing else.

    Attributes:
        flower: The flower the picture is about.
        rival: A smaller flower behind it, or None.
        layout: Ranges from which sizes and numbers are drawn.
        pose: Seed of the flowers' places, sizes and directions.
        paint: Seed of the deviations of each part from its nominal colour.
        clutter: Seed of background, distractors, occluder, light and noise.
        removed: Parts that are not drawn.
        cleared: Objects of the background that are not drawn, by their number in drawing order.
        backdrop: A plain colour in the place of the background, and no leaf across the head; None
            draws both.
    """

    flower: Flower
    rival: Flower | None
    layout: Layout
    pose: int
    paint: int
    clutter: int
    removed: frozenset[str] = field(default_factory=frozenset)
    cleared: frozenset[int] = field(default_factory=frozenset)
    backdrop: RGB | None = None

    def recolour(self, part: str, colour: str | RGB) -> Scene:
        """Return the scene with one part in another colour.

        Args:
            part: One of ``PARTS``; ``"rival"`` stands for the rival's petals.
            colour: A name in ``COLOURS``, or three integers in [0, 255].

        Raises:
            ValueError: The part or the colour is unknown, or there is no rival to paint.
        """
        _check_part(part)
        if part != "rival":
            paint: dict[str, Any] = {part: colour}
            return replace(self, flower=replace(self.flower, **paint))
        if self.rival is None:
            raise ValueError("this scene has no rival flower to recolour: check `scene.rival`")
        return replace(self, rival=replace(self.rival, petal=colour))

    def without(self, *parts: str) -> Scene:
        """Return the scene with some parts left out, showing what is behind them.

        Args:
            *parts: Any of ``PARTS``.

        Raises:
            ValueError: A part is unknown.
        """
        for part in parts:
            _check_part(part)
        return replace(self, removed=self.removed | set(parts))

    def clear(self, *objects: int) -> Scene:
        """Return the scene without some objects of its background, showing what is behind them.

        Args:
            *objects: Their numbers, from 0, in the order of ``objects``.
        """
        return replace(self, cleared=self.cleared | set(objects))

    def objects(self, size: int = 64) -> Pixels:
        """Return for each object of the background how many ninths of each pixel show it.

        Args:
            size: Width and height of the picture in pixels, at least 16.

        Returns:
            One mask per object, ``(n, size, size)``, uint8; zeros where one is hidden.

        Raises:
            ValueError: The size is too small to show a flower.
        """
        canvas = self._draw(size)
        return np.stack([canvas.shown(len(PARTS) + 1 + i) for i in range(canvas.objects)])

    def geometry(self) -> dict[str, float]:
        """Return how the flower stands: what is drawn by chance and has no colour.

        Returns:
            ``x`` and ``y`` of the head's middle, ``radius`` of the head and ``disc`` of the centre
            in shares of the width; ``cos`` and ``sin`` of the turn of the petals, which repeats
            itself from petal to petal; and the direction of the ``stem`` in radians.
        """
        pose = _flower_pose(chance(self.pose, Component.POSE), self.layout)
        turn, (dx, dy) = pose.petals * pose.turn, pose.spine[-1] - pose.spine[0]
        placed = {"x": pose.position[0], "y": pose.position[1], "radius": pose.radius}
        turned = {"cos": np.cos(turn), "sin": np.sin(turn), "stem": np.arctan2(dy, dx)}
        return {name: float(v) for name, v in (placed | {"disc": pose.disc} | turned).items()}

    def render(self, size: int = 64) -> Picture:
        """Draw the scene; about 3 ms at 64 pixels.

        Args:
            size: Width and height of the picture in pixels, at least 16.

        Raises:
            ValueError: The size is too small to show a flower.
        """
        canvas = self._draw(size)
        return Picture(
            _photograph(canvas.image(), chance(self.clutter, Component.LIGHT)), canvas.coverage()
        )

    def _draw(self, size: int) -> _Canvas:
        """Draw everything, from back to front."""
        if size < MINIMUM_SIZE:
            raise ValueError(f"size must be at least {MINIMUM_SIZE} pixels, not {size}")
        pose = _flower_pose(chance(self.pose, Component.POSE), self.layout)
        canvas = _Canvas(self._ground(size), self.cleared)
        _draw_distractors(canvas, chance(self.clutter, Component.DISTRACTORS), self.layout)
        if self.rival is not None and "rival" not in self.removed:
            rival_pose = _rival_pose(chance(self.pose, Component.RIVAL_POSE), self.layout, pose)
            _draw_rival(canvas, self.rival, rival_pose, self.paint)
        _draw_flower(canvas, self.flower, pose, self.paint, self.removed)
        if self.backdrop is None:
            _draw_occluder(canvas, chance(self.clutter, Component.OCCLUDER), pose)
        return canvas

    def _ground(self, size: int) -> Pixels:
        """Return what lies behind everything."""
        if self.backdrop is None:
            return _background(chance(self.clutter, Component.BACKGROUND), size)
        return np.full((size, size, 3), colour_value(self.backdrop), np.uint8)


def _check_part(part: str) -> None:
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r}: use one of {', '.join(PARTS)}")


class _Canvas:
    """A colour image and a part map, drawn upon together in coordinates from 0 to 1."""

    def __init__(self, background: Pixels, cleared: frozenset[int]) -> None:
        self.size = len(background)
        self._width = self.size * SUPERSAMPLING
        enlarged = Image.fromarray(background).resize((self._width,) * 2, Image.Resampling.NEAREST)
        self._colour = enlarged
        self._part = Image.new("L", enlarged.size, 0)
        self._pens = ImageDraw.Draw(self._colour), ImageDraw.Draw(self._part)
        self.cleared = cleared
        self.objects = 0

    def object(self, points: Points, fill: RGB) -> None:
        """Fill a polygon that is an object of its own, unless it is to be left out."""
        if self.objects not in self.cleared:
            self._fill(points, fill, len(PARTS) + 1 + self.objects, None)
        self.objects += 1

    def polygon(
        self, points: Points, fill: RGB, part: str | None = None, outline: RGB | None = None
    ) -> None:
        """Fill a polygon, ``(k, 2)``; pixels drawn for no part belong to none afterwards."""
        self._fill(points, fill, 0 if part is None else PARTS.index(part) + 1, outline)

    def _fill(self, points: Points, fill: RGB, number: int, outline: RGB | None) -> None:
        corners = (points * self._width).ravel().tolist()
        colour_pen, part_pen = self._pens
        colour_pen.polygon(corners, fill=fill)
        part_pen.polygon(corners, fill=number)
        if outline is not None:  # apart from the fill, for Pillow skips an outline of its colour
            colour_pen.polygon(corners, outline=outline)
            part_pen.polygon(corners, outline=number)

    def image(self) -> Pixels:
        """Return the colours, averaged down to the final size."""
        return np.asarray(self._colour.reduce(SUPERSAMPLING))

    def coverage(self) -> dict[str, Pixels]:
        """Return, for each part, how many of the nine sub-pixels of each pixel show it."""
        return {part: self.shown(i) for i, part in enumerate(PARTS, start=1)}

    def shown(self, number: int) -> Pixels:
        """Return how many of the nine sub-pixels of each pixel show what carries a number."""
        return _block_sum(np.asarray(self._part) == number)


def _block_sum(mask: npt.NDArray[np.bool_]) -> Pixels:
    """Count the true sub-pixels of each pixel."""
    flags = mask.view(np.uint8)
    step = SUPERSAMPLING
    rows = sum((flags[i::step] for i in range(1, step)), start=flags[::step])
    total = sum((rows[:, i::step] for i in range(1, step)), start=rows[:, ::step])
    return np.asarray(total, np.uint8)


# Poses ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pose:
    """Where a flower stands. Drawn in one order whatever the shape, so a shape moves nothing."""

    position: Points
    radius: float
    tilt: Points
    turn: float
    sway: Points
    petals: int
    rays: int
    disc: float
    spine: Points
    stem_width: float
    has_leaf: bool
    leaf_length: float
    leaf_angle: float


def _flower_pose(rng: np.random.Generator, layout: Layout) -> _Pose:
    radius = rng.uniform(*layout.radius)
    left, top = 0.9 * radius, 0.9 * radius
    right, bottom = 1 - left, max(1 - layout.room_below * radius, top + 0.02)
    position = rng.uniform((left, top), (right, bottom))
    return _pose_at(rng, layout, position, radius)


def _rival_pose(rng: np.random.Generator, layout: Layout, main: _Pose) -> _Pose:
    """Stand clear of the main head if one of 32 places allows it, else as far off as they do."""
    radius = main.radius * rng.uniform(0.45, 0.7)
    places = rng.uniform(0.6 * radius, 1 - 0.6 * radius, (32, 2))
    distance = np.hypot(*(places - main.position).T)
    clear = distance > main.radius + 0.8 * radius
    choice = clear.argmax() if clear.any() else distance.argmax()
    return _pose_at(rng, layout, places[choice], radius)


def _pose_at(rng: np.random.Generator, layout: Layout, position: Points, radius: float) -> _Pose:
    axis = _rotation(rng.uniform(0, np.pi))
    tilt = axis @ np.diag([1, rng.uniform(0.7, 1)]) @ axis.T
    direction, length = rng.uniform(0.3 * np.pi, 0.7 * np.pi), radius * rng.uniform(2.1, 3.0)
    if not 0 < position[0] + length * np.cos(direction) < 1:
        direction = np.pi - direction  # a stem that would leave at one side leans to the other
    tip = position + length * _unit(direction)
    bend = (position + tip) / 2 + rng.normal(0, 0.2 * radius, 2)
    t = np.linspace(0, 1, 14)[:, None]
    return _Pose(
        position=position,
        radius=radius,
        tilt=tilt,
        turn=rng.uniform(0, 2 * np.pi),
        sway=rng.normal(0, 0.05, 12),
        petals=int(rng.integers(*layout.petals, endpoint=True)),
        rays=int(rng.integers(9, 13)),
        disc=radius * rng.uniform(*layout.disc),
        spine=(1 - t) ** 2 * position + 2 * t * (1 - t) * bend + t**2 * tip,
        stem_width=radius * rng.uniform(0.17, 0.23),
        has_leaf=bool(rng.random() < layout.leaf_share),
        leaf_length=radius * rng.uniform(0.6, 1),
        leaf_angle=direction + rng.choice((-1, 1)) * rng.uniform(0.6, 1.2),
    )


# Outlines ---------------------------------------------------------------------------------------


def _unit(angle: float) -> Points:
    return np.array([np.cos(angle), np.sin(angle)])


def _rotation(angle: float) -> Points:
    (cos, sin) = _unit(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _disc(radius: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _blade(shape: str, length: float, half_width: float) -> Points:
    """Outline a petal or leaf that points along the first axis, ``(28, 2)``."""
    t = np.linspace(0, 1, 14)
    profile = {
        "round": np.sqrt(np.sin(np.pi * t**1.5).clip(0)),
        "pointed": np.minimum(t / 0.45, 1) ** 0.6 * np.minimum((1 - t) / 0.55, 1),
        "ray": np.sqrt(1 - t**10) * (0.6 + 0.4 * t),
    }[shape]
    upper = np.stack([t * length, profile * half_width], axis=1)
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def _ribbon(spine: Points, width: float) -> Points:
    """Outline a band of constant width along a curve."""
    along = np.gradient(spine, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True)
    return np.concatenate([spine + across * width / 2, (spine - across * width / 2)[::-1]])


# Paint ------------------------------------------------------------------------------------------


def _shift(colour: str | RGB, offset: npt.NDArray[np.float64] | float) -> RGB:
    red, green, blue = np.clip(np.add(colour_value(colour), offset), 0, 255).astype(int).tolist()
    return red, green, blue


def _deviate(rng: np.random.Generator, colour: str | RGB, scale: float) -> RGB:
    return _shift(colour, rng.normal(0, scale, 3))


def _any_colour(rng: np.random.Generator) -> RGB:
    red, green, blue = rng.integers(30, 230, 3).tolist()
    return red, green, blue


# Components, in drawing order -------------------------------------------------------------------


def _background(rng: np.random.Generator, size: int) -> Pixels:
    """Mix a base colour, coarse coloured clouds, finer grey ones and, at times, stripes."""
    green = (rng.uniform(40, 130), rng.uniform(80, 180), rng.uniform(30, 110))
    base = np.where(rng.random() < 0.5, green, rng.uniform(50, 200, 3))
    clouds = _clouds(rng, size, int(rng.integers(3, 6)), 3) * rng.uniform(0.3, 0.65)
    grain = _clouds(rng, size, int(rng.integers(10, 26)), 1) * rng.uniform(0.1, 0.4)
    x, y = np.meshgrid(*[(np.arange(size, dtype=np.float32) + 0.5) / size] * 2)
    frequency = rng.uniform(5, 16) * _unit(rng.uniform(0, np.pi))
    phase = 2 * np.pi * (x * frequency[0] + y * frequency[1] + rng.random())
    strength = rng.uniform(8, 28) * (rng.random() < 0.35)
    stripes = (strength * np.sin(phase))[..., None]
    return np.clip(base + clouds + grain + stripes, 0, 255).astype(np.uint8)


def _clouds(
    rng: np.random.Generator, size: int, cells: int, channels: int
) -> npt.NDArray[np.float32]:
    """Interpolate uniform noise on a coarse grid; values in [-128, 127]."""
    grid = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    smooth = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)[..., :channels] - 128


def _draw_distractors(canvas: _Canvas, rng: np.random.Generator, layout: Layout) -> None:
    """Scatter objects that carry the colours of the label without carrying the label."""
    for _ in range(rng.integers(*layout.blobs, endpoint=True)):
        colour = _deviate(rng, str(rng.choice(layout.palette)), 10)
        outline = _disc(rng.uniform(0.14, 0.23)) * (1, rng.uniform(0.7, 1))
        canvas.object(outline @ _rotation(rng.uniform(0, np.pi)).T + rng.uniform(0, 1, 2), colour)
    for _ in range(rng.integers(*layout.distractors, endpoint=True)):
        from_palette = rng.random() < layout.palette_share
        paint: str | RGB = str(rng.choice(layout.palette)) if from_palette else _any_colour(rng)
        outline = _distractor_outline(rng) @ _rotation(rng.uniform(0, 2 * np.pi)).T
        canvas.object(outline + rng.uniform(0, 1, 2), _deviate(rng, paint, 12))


def _distractor_outline(rng: np.random.Generator) -> Points:
    """Outline a disc, an irregular polygon, a lone petal or a stick as wide as a stem."""
    size = rng.uniform(0.04, 0.11)
    kind = rng.integers(4)
    if kind == 0:
        return _disc(size) * (1, rng.uniform(0.5, 1))
    if kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 6))))
        return 1.3 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if kind == 2:
        return _blade(str(rng.choice(SHAPES)), 2.5 * size, size * rng.uniform(0.4, 0.8))
    length, width = rng.uniform(0.2, 0.5), rng.uniform(0.028, 0.056)
    return np.array([(-length, -width), (length, -width), (length, width), (-length, width)]) / 2


def _draw_rival(canvas: _Canvas, flower: Flower, pose: _Pose, paint: int) -> None:
    """Draw a whole flower as one part, in shades of its own."""
    rng = chance(paint, Component.RIVAL)
    _draw_stem(canvas, rng, flower, pose, "rival")
    _draw_leaf(canvas, rng, flower, pose, "rival")
    _draw_petals(canvas, rng, flower, pose, "rival")
    _draw_centre(canvas, rng, flower, pose, "rival")


def _draw_flower(
    canvas: _Canvas, flower: Flower, pose: _Pose, paint: int, removed: frozenset[str]
) -> None:
    """Draw stem, leaf, petals and centre, each in shades from its own stream."""
    if "stem" not in removed:
        _draw_stem(canvas, chance(paint, Component.STEM), flower, pose, "stem")
    if "leaf" not in removed:
        _draw_leaf(canvas, chance(paint, Component.LEAF), flower, pose, "leaf")
    if "petal" not in removed:
        _draw_petals(canvas, chance(paint, Component.PETAL), flower, pose, "petal")
    if "centre" not in removed:
        _draw_centre(canvas, chance(paint, Component.CENTRE), flower, pose, "centre")


def _draw_stem(
    canvas: _Canvas, rng: np.random.Generator, flower: Flower, pose: _Pose, part: str
) -> None:
    canvas.polygon(_ribbon(pose.spine, pose.stem_width), _deviate(rng, flower.stem, 10), part)


def _draw_leaf(
    canvas: _Canvas, rng: np.random.Generator, flower: Flower, pose: _Pose, part: str
) -> None:
    if pose.has_leaf:
        blade = _blade("pointed", pose.leaf_length, 0.24 * pose.leaf_length)
        points = pose.spine[8] + blade @ _rotation(pose.leaf_angle).T
        canvas.polygon(points, _deviate(rng, flower.leaf, 15), part)


def _draw_petals(
    canvas: _Canvas, rng: np.random.Generator, flower: Flower, pose: _Pose, part: str
) -> None:
    base = _deviate(rng, flower.petal, 10)
    shades = rng.normal(0, 7, len(pose.sway))
    count = pose.rays if flower.shape == "ray" else pose.petals
    half_width = {"round": 0.44, "pointed": 0.38, "ray": 0.13}[flower.shape] * pose.radius
    blade = _blade(flower.shape, pose.radius, half_width)
    for i in range(count):
        angle = pose.turn + 2 * np.pi * i / count + pose.sway[i]
        points = pose.position + blade @ _rotation(angle).T @ pose.tilt
        fill = _shift(base, shades[i])
        canvas.polygon(points, fill, part, outline=_shift(fill, -0.28 * np.array(fill)))


def _draw_centre(
    canvas: _Canvas, rng: np.random.Generator, flower: Flower, pose: _Pose, part: str
) -> None:
    points = pose.position + _disc(pose.disc) @ pose.tilt
    canvas.polygon(points, _deviate(rng, flower.centre, 12), part)


def _draw_occluder(canvas: _Canvas, rng: np.random.Generator, pose: _Pose) -> None:
    """Lay a leaf, mostly green, across the rim of every second head, too far off to hide a stem."""
    if rng.random() < 0.5:
        return
    upwards = (pose.position - pose.spine[-1]) / np.linalg.norm(pose.position - pose.spine[-1])
    outwards = _rotation(rng.uniform(-2, 2)) @ upwards
    middle = pose.position + pose.radius * rng.uniform(0.8, 1.1) * outwards
    colour: str | RGB = "green" if rng.random() < 0.7 else _any_colour(rng)
    length = pose.radius * rng.uniform(0.7, 1.3)
    blade = _blade("pointed", length, length * rng.uniform(0.2, 0.3)) - (length / 2, 0)
    points = middle + blade @ _rotation(rng.uniform(0, 2 * np.pi)).T
    canvas.polygon(points, _deviate(rng, colour, 20))


def _photograph(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Vary contrast and brightness, and add pixel noise."""
    contrast, brightness = rng.uniform(0.7, 1.15), rng.uniform(0.8, 1.2)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(2, 9))
    exposed = (image - np.float32(128)) * np.float32(contrast) + np.float32(128 * brightness)
    return np.clip(exposed + noise, 0, 255).astype(np.uint8)
