"""One picture read from a file, as its camera took it, with the channels that a network has."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

SHORTEST_SIDE = 2

SIXTEEN_BITS = 0.0, 65535.0
"""The range of a 16-bit picture, unless another one is declared."""

PLAIN = {1: "L", 3: "RGB"}
"""Numbers of channels to which every picture can be brought, with the mode of Pillow."""

MOST_CHANNELS = 4
"""Pictures of more bands are no pictures of Pillow."""

Range = tuple[float, float]


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


def check_reading(channels: int, scale: Range | None) -> None:
    """Refuse a number of channels that no file has, and a range that is none."""
    if channels > MOST_CHANNELS:
        raise ValueError(
            f"images: a picture file has at most {MOST_CHANNELS} channels and the network takes "
            f"{channels}: give a function that returns a data set of pixels ({channels}, H, W)"
        )
    if scale is not None and not scale[0] < scale[1]:
        raise ValueError(
            f"range: it must rise, as 0 to 4095 does, not {scale[0]:g} to {scale[1]:g}"
        )


def load_image(path: str | Path, channels: int = 3, scale: Range | None = None) -> Image.Image:
    """Read a picture turned upright as its camera recorded it; transparency becomes white.

    Args:
        path: A file in any format Pillow reads.
        channels: 3 for RGB, 1 for grey; 2 or 4 take a picture of so many bands as it is.
        scale: the values that become black and white in a picture of more than 8 bits. ``None``:
            0 and 65535 for 16 bits; 32 bits have no usual range.

    Returns:
        The picture, at least 2x2 pixels, fully read, of 8 bits.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not a whole picture of at least 2x2 pixels,
            or its range is not known, or left by a value, or its bands are not the channels.
    """
    check_reading(channels, scale)
    image, kind = opened(path)
    try:
        return with_channels(_of_8_bits(image, kind, scale), channels)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def opened(path: str | Path) -> tuple[Image.Image, str]:
    """Return a picture upright, of any mode, fully read, and its format.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The path is a folder, or the file is not a whole picture of at least 2x2 pixels.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the path of one picture")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty: it holds no picture")
    try:
        with Image.open(path) as image:
            kind = image.format or ""
            image.load()
            picture = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large a picture: make it smaller first") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete: {error}") from error
    if min(picture.size) < SHORTEST_SIDE:
        width, height = picture.size
        raise ValueError(f"{path} has {width}x{height} pixels: at least 2x2 are needed")
    return picture, kind


def _of_8_bits(image: Image.Image, kind: str, scale: Range | None) -> Image.Image:
    """The picture, of which more bits are scaled from their range."""
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and kind in {"PNG", "PPM"})
    if not sixteen and image.mode not in {"I", "F"}:
        return image
    if sixteen and scale is None:
        scale = SIXTEEN_BITS
    values = np.asarray(image).astype(float)
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or infinity: replace them first")
    held = f"values from {values.min():g} to {values.max():g}"
    if scale is None:
        raise ValueError(
            f"holds 32-bit {held}, whose black and white nobody knows: declare the range, "
            "range=(low, high)"
        )
    low, high = scale
    if values.min() < low or values.max() > high:
        raise ValueError(
            f"holds {held}, outside the range {low:g} to {high:g}: declare a wider one"
        )
    return Image.fromarray(np.rint((values - low) / (high - low) * 255).astype(np.uint8))


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Return a picture of 8 bits with so many channels; transparency becomes white.

    Raises:
        ValueError: it has other bands, and they are neither 1 nor 3 that are asked for.
    """
    mode = PLAIN.get(channels)
    if mode is None:
        if len(image.getbands()) != channels:
            raise ValueError(f"has the bands {''.join(image.getbands())}, not {channels} channels")
        return image
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert(mode)
