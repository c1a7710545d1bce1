"""One picture read from a file, as its camera took it, with the channels that a network has."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import to_image

from xaicore.pictures.bands import ARRAYS, Range, as_bands, is_tiff, read_array, read_tiff, scaled

SHORTEST_SIDE = 2

PLAIN = {1: "L", 3: "RGB"}
"""Numbers of channels to which every picture can be brought, with the mode of Pillow."""

FEW_BITS = 4095
"""A picture of 16 bits that is nowhere brighter was probably taken with 12 bits or fewer."""

MANY = {"GIF", "PNG", "WEBP", "TIFF", "AVIF"}
"""Formats of which one file holds several pictures of equal right."""

Picture = Image.Image | Tensor
"""A picture of Pillow; or pixels ``(channels, H, W)``, where it has other bands than 1 or 3."""


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of the kinds of pictures that can be opened."""
    known = Image.registered_extensions()
    return frozenset(suffix.lower() for suffix, kind in known.items() if _opens(kind))


def _opens(kind: str) -> bool:
    """Whether Pillow reads the pixels of a kind of file, and does not only know its name."""
    if kind not in Image.OPEN or kind == "MPEG":
        return False
    factory = Image.OPEN[kind][0]
    return not (isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile))


def check_range(scale: Range | None) -> None:
    """Refuse a range that is none."""
    if scale is not None and not scale[0] < scale[1]:
        raise ValueError(
            f"range: it must rise, as 0 to 4095 does, not {scale[0]:g} to {scale[1]:g}"
        )


def load_image(path: str | Path, channels: int = 3, scale: Range | None = None) -> Picture:
    """Read a picture turned upright as its camera recorded it; transparency becomes white.

    Args:
        path: A file in any format Pillow reads, an array (``.npy``, or the only one of an
            ``.npz``), or with tifffile installed a TIFF of any bands and numbers.
        channels: 3 for RGB, 1 for grey; other numbers take a picture of so many bands as it is.
        scale: the values that become black and white in a picture of more than 8 bits. ``None``:
            0 and 65535 for 16 bits; 32 bits have no usual range.

    Returns:
        The picture, at least 2x2 pixels, fully read: of Pillow and of 8 bits; or, an array or of
        other channels than 1 and 3, pixels ``(channels, H, W)``, of 8 bits or float in ``[0, 1]``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not a whole picture of at least 2x2 pixels,
            or its range is not known, or left by a value, or its bands are not the channels.
    """
    check_range(scale)
    path = Path(path)
    if path.suffix.lower() in ARRAYS:
        check_file(path)
        with _named(path):
            return as_bands(read_array(path), channels, scale)
    try:
        image, kind, deep = _opened(path)
    except UnidentifiedImageError as error:
        if not is_tiff(path):
            raise ValueError(f"{path} is not a picture in a known format") from error
        with _named(path):
            return as_bands(read_tiff(path, "Pillow cannot read it"), channels, scale)
    other = channels not in PLAIN and len(image.getbands()) != channels
    with _named(path):
        if kind == "TIFF" and (other or (deep and scale is not None)):
            told = f"of its bands Pillow reads {''.join(image.getbands())}, of 8 bits each"
            return as_bands(read_tiff(path, told), channels, scale)
        if deep and scale is not None:
            raise ValueError(
                f"has several bands of 16 bits, and no range applies to {kind}: save it as TIFF"
            )
        return with_channels(of_8_bits(image, scale, kind, deep), channels)


def opened(path: str | Path) -> tuple[Image.Image, str]:
    """Return a picture upright, of any mode, fully read, and its format.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not a whole picture of at least 2x2 pixels.
    """
    try:
        picture, kind, _ = _opened(Path(path))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture in a known format") from error
    return picture, kind


def check_file(path: Path) -> None:
    """Refuse what is no file, or an empty one."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the path of one picture")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty: it holds no picture")


def _opened(path: Path) -> tuple[Image.Image, str, bool]:
    """A picture, its format, and whether Pillow has left out half of its 16 bits."""
    check_file(path)
    try:
        with Image.open(path) as image:
            kind = image.format or ""
            deep = len(image.getbands()) > 1 and ";16" in _raw_mode(image)
            if kind in MANY and getattr(image, "is_animated", False):
                warnings.warn(f"a {kind} holds several pictures: the first is read", stacklevel=3)
            image.load()
            picture = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large a picture: make it smaller first") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete: {error}") from error
    if min(picture.size) < SHORTEST_SIDE:
        width, height = picture.size
        raise ValueError(f"{path} has {width}x{height} pixels: at least 2x2 are needed")
    return picture, kind, deep


def _raw_mode(image: Image.Image) -> str:
    """How the numbers of a picture lie in its file, as Pillow calls it."""
    tiles: Any = getattr(image, "tile", None) or [("", (), 0, "")]
    arguments = tiles[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Begin the errors inside with the name of a file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def of_8_bits(
    image: Image.Image, scale: Range | None, kind: str = "", deep: bool = False
) -> Image.Image:
    """Return a picture of which more bits are scaled from their range.

    Args:
        image: the picture.
        scale: the values that become black and white. ``None``: 0 and 65535 for 16 bits.
        kind: the format of its file, which tells of some that 32 bits hold 16.
        deep: whether Pillow has left out half of its 16 bits.

    Raises:
        ValueError: its range is not known, or left by a value.
    """
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and kind in {"PNG", "PPM"})
    if deep or (sixteen and scale is None):
        _warn_of_few_bits(image, deep)
    if not sixteen and image.mode not in {"I", "F"}:
        return image
    values = np.asarray(image)
    shares = scaled(values.astype(np.uint16) if sixteen else values, scale)
    return Image.fromarray(np.rint(shares * 255).astype(np.uint8))


def _warn_of_few_bits(image: Image.Image, deep: bool) -> None:
    """Warn of a picture of 16 bits that is black but for its last ones."""
    bands: Any = image.getextrema()
    brightest = max(high for _, high in (bands if deep else [bands]))
    if 0 < brightest <= (FEW_BITS >> 8 if deep else FEW_BITS):
        warnings.warn(
            f"a picture of 16 bits is nowhere above {FEW_BITS} of 65535, so nearly black: if it "
            "was taken with fewer bits, declare its range, as --range 0,4095",
            stacklevel=4,
        )


def with_channels(image: Image.Image, channels: int) -> Picture:
    """Return a picture of 8 bits with so many channels; transparency becomes white.

    Bands other than 1 and 3 are numbers of their own, no colours and no transparency, so they are
    returned as pixels ``(channels, H, W)``: Pillow would mix them when it resizes.

    Raises:
        ValueError: it has other bands, and they are neither 1 nor 3 that are asked for.
    """
    mode = PLAIN.get(channels)
    if mode is None:
        if len(image.getbands()) != channels:
            raise ValueError(f"has the bands {''.join(image.getbands())}, not {channels} channels")
        return to_image(image)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert(mode)


def size_of(picture: Picture) -> tuple[int, int]:
    """Return the width and the height of a picture."""
    if isinstance(picture, Image.Image):
        return picture.size
    return picture.shape[2], picture.shape[1]


def transformed(transform: Callable[..., Any], picture: Picture, *truth: Any) -> Any:
    """Return what a transform makes of a picture, and of its boxes and mask.

    Raises:
        ValueError: it takes pictures of Pillow alone.
    """
    try:
        return transform(picture, *truth)
    except (TypeError, AttributeError) as error:
        if isinstance(picture, Image.Image):
            raise
        raise ValueError(
            f"a picture of {len(picture)} bands is no picture of Pillow, and the transform takes "
            f"no other ({error}): use transforms of torchvision.transforms.v2"
        ) from error
