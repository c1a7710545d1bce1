"""One photograph: read as a network takes it, explained, and drawn with the map over the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from xaicore import plot
from xaicore.attribution import METHODS, Explainer
from xaicore.attribution.cam import CAMExplainer
from xaicore.attribution.capture import Capture, capture
from xaicore.attribution.explainer import check_inputs, resolve_targets
from xaicore.classifier import Classifier, hint
from xaicore.files import replacing
from xaicore.framing import Box, framed
from xaicore.interpretation import FITTED
from xaicore.masking import degenerate, mask
from xaicore.pictures import load_image
from xaicore.pictures.bands import Range, as_bands
from xaicore.pictures.file import Picture, check_range, of_8_bits, transformed, with_channels

TOP = 3
"""How many predicted classes are told."""

STRIP = 256
"""How many rows of a photograph are drawn at once, which bounds the memory of large ones."""

TILE = 3.2
"""Width and height of a photograph in a figure, in inches."""

DOTS = 150
"""The least resolution of a figure, in pixels an inch; more where photographs have more."""

MOST = 6000
"""The most pixels of a figure in each direction."""

Source = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a method says of a photograph.

    Attributes:
        method: the name of the method.
        label: how it is written.
        photograph: the photograph, upright, as it is drawn: grey for one channel, as is the mean
            of two; of more than three channels the first three are red, green and blue.
        image: its pixels as the network takes them, ``(channels, H, W)`` in ``[0, 1]``.
        raw: the method's map before upsampling and normalisation, ``(1, h, w)``.
        saliency: the map ``(1, H, W)`` in ``[0, 1]``.
        target: the class that is explained.
        name: what it is called.
        p: its probability for the image.
        o: its probability where the map masks the image on black.
        top: the most probable classes, each as name, number and probability.
        frame: the part of the photograph that the network sees, in its pixels; None if unknown.
        seconds: what the map took, with the pass that it starts from.
    """

    method: str
    label: str
    photograph: Image.Image = field(repr=False)
    image: Tensor = field(repr=False)
    raw: Tensor = field(repr=False)
    saliency: Tensor = field(repr=False)
    target: int
    name: str
    p: float
    o: float
    top: tuple[tuple[str, int, float], ...]
    frame: Box | None
    seconds: float

    @property
    def constant(self) -> bool:
        """Whether the map is constant, so that it points nowhere."""
        return bool(degenerate(self.saliency[None]))

    def whole(self, longest: int | None = None) -> Image.Image:
        """Return the photograph; or what the network sees, where its place in it is unknown.

        Args:
            longest: the most pixels of its longer side. ``None``: as many as it has.
        """
        shown = self.photograph
        if self.frame is None:
            shown = Image.fromarray(_bytes(plot.picture(self.image)))
        shown = shown.convert("RGB")
        if longest is not None:
            shown.thumbnail((longest, longest))
        return shown

    def overlay(self, longest: int | None = None) -> Image.Image:
        """Return the map over ``whole(longest)``; what the network does not see is darkened."""
        shown = self.whole(longest)
        width, height = shown.size
        scale = width / self.photograph.width, height / self.photograph.height
        frame = (0.0, 0.0, float(width), float(height))
        if self.frame is not None:
            left, top, right, bottom = self.frame
            frame = left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]
        placed, seen = _placed(self.saliency, frame, width, height)
        pixels = np.asarray(shown)
        strips = []
        for row in range(0, height, STRIP):
            rows = slice(row, row + STRIP)
            strip = torch.from_numpy(pixels[rows].copy()).permute(2, 0, 1) / 255
            blended = plot.blend(strip, placed[:, rows])
            strips.append(_bytes(blended * (1 + seen[rows, :, None]) / 2))
        return Image.fromarray(np.concatenate(strips))

    def figure(self) -> Figure:
        """Draw the photograph, the map over it, and the scale."""
        return figure({"": [self]})

    def save(self, path: str | Path) -> None:
        """Write the figure, or the raw map if the path ends in ``.npy`` or ``.npz``.

        Raises:
            ValueError: the path ends in something else.
            FileNotFoundError: the folder does not exist.
        """
        save({"": [self]}, path)


def read_image(picture: Source, model: Classifier, scale: Range | None = None) -> Tensor:
    """Return a picture as a network takes it: pixels ``(1, channels, H, W)`` in ``[0, 1]``.

    Args:
        picture: the path of a file in any format Pillow reads, or a picture of Pillow's. It is
            turned upright as its camera recorded it, transparency becomes white, and a network of
            one channel takes it as grey. For a network of other channels than 1 and 3 it must have
            so many bands. A file may also hold an array, ``.npy`` or ``.npz``, or, with tifffile
            installed, be a TIFF of any number of bands; an array itself is ``(channels, H, W)`` or
            ``(H, W, channels)``.
        model: the classifier; its transform is applied, and the pixels are on its device.
        scale: the values that become 0 and 1 in a picture of more than 8 bits. ``None``: 0 and
            65535 for 16 bits; others have no usual range.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no whole picture, its range is not known, or it has other bands than the
            network has channels.
    """
    return _pixels(_picture(picture, model, scale), model)


def explain_picture(
    model: Classifier,
    picture: Source,
    method: str | Explainer = "opti-cam",
    target: str | int | None = None,
    scale: Range | None = None,
) -> Explanation:
    """Explain a photograph.

    >>> import torch, xaicore as xc
    >>> from PIL import Image
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
    ...                           torch.nn.Linear(4 * 36, 5)).eval()
    >>> model = xc.Classifier(net, layer=net[1], classes=["ant", "bee", "cat", "dog", "elk"])
    >>> found = xc.explain_picture(model, Image.effect_noise((8, 8), 90), "layer-cam", "cat")
    >>> found.name, tuple(found.saliency.shape)
    ('cat', (1, 8, 8))

    Cost: a forward, of which class activation maps make use, the method's own, and a forward of
    the masked image.

    Args:
        model: the classifier, in evaluation mode.
        picture: as ``read_image`` takes it.
        method: the name of a method, one of ``METHODS``, or a method of this very classifier.
        target: the class to explain, by name or number. ``None``: the predicted one.
        scale: as ``read_image`` takes it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: picture, method, target or classifier cannot be used; the message says why.
    """
    return next(explain_by(model, picture, [method], target, scale))


def explain_by(
    model: Classifier,
    picture: Source,
    methods: Sequence[str | Explainer],
    target: str | int | None = None,
    scale: Range | None = None,
) -> Iterator[Explanation]:
    """Explain a photograph by each of several methods; what the network says of it is shared.

    The arguments and errors are those of ``explain_picture``.
    """
    explainers = [_explainer(model, method) for method in methods]
    whole = _picture(picture, model, scale)
    photograph, images = _drawn(whole), _pixels(whole, model)
    wanted = None if target is None else model.class_index(str(target))
    check_inputs(model, images, wanted)
    began = time.perf_counter()
    captured = _captured(model, images, explainers)
    capturing = time.perf_counter() - began
    with torch.no_grad():
        logits = model(images) if captured is None else captured.logits.detach()
    if not logits.isfinite().all():
        raise ValueError("the network gives NaN or infinity for this picture")
    given = None if wanted is None else torch.tensor([wanted], device=images.device)
    targets = resolve_targets(given, logits)
    if captured is not None:
        captured = replace(captured, targets=targets)
    chosen = int(targets)
    p = model.probability(logits, targets).item()
    top = tuple(_most_probable(model, logits))
    frame = framed(model.transform, *photograph.size)
    for explainer in explainers:
        began = time.perf_counter()
        if captured is not None and isinstance(explainer, CAMExplainer):
            began -= capturing
            raw = explainer.raw_of(captured)
        else:
            raw = explainer.raw(images, targets)
        saliency = explainer.saliency(raw, images.shape[-2:]).to(images)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            masked = model(mask(images, saliency, images.new_zeros(1)))
        yield Explanation(
            getattr(explainer, "name", type(explainer).__name__),
            getattr(explainer, "label", type(explainer).__name__),
            photograph,
            images[0].cpu(),
            raw[0].float().cpu(),
            saliency[0].cpu(),
            chosen,
            _class_name(model, chosen),
            p,
            model.probability(masked, targets).item(),
            top,
            frame,
            seconds,
        )


def figure(rows: Mapping[str, Sequence[Explanation]]) -> Figure:
    """Draw a row for each photograph, by its name: it, and the map of each method over it.

    Photographs are drawn in their own resolution as far as a figure of ``MOST`` pixels allows.
    """
    first = next(iter(rows.values()))
    across, down = TILE * (len(first) + 1) + 0.9, TILE * len(rows) + 0.6
    largest = max(max(found.whole().size) for row in rows.values() for found in row[:1])
    dots = min(max(DOTS, largest / TILE), max(DOTS, MOST / max(across, down)))
    longest = max(1, round(dots * TILE))
    drawn = {}
    for place, found in rows.items():
        tiles = [found[0].whole(longest), *(each.overlay(longest) for each in found)]
        name = f"{place}\n{found[0].name}" if len(rows) > 1 else place
        drawn[name] = [np.asarray(tile) for tile in tiles]
    only = f": {first[0].name}" if len(rows) == 1 else ""
    titles = ["photograph", *(f"{found.label}{only}" for found in first)]
    made = plot.grid(drawn, titles, tile=TILE, colorbar=True)
    made.set_dpi(dots)
    return made


def save(rows: Mapping[str, Sequence[Explanation]], path: str | Path) -> None:
    """Write the figure of photographs; or raw maps, if a path ends in ``.npy`` or ``.npz``.

    ``.npy`` holds the raw maps of one method, ``(photographs, 1, h, w)``; ``.npz`` those of
    several, each by the name of the photograph and the method, ``"NAME/METHOD"``, ``(1, h, w)``.

    Raises:
        ValueError: the path ends in something else, or maps do not fit into one array.
        FileNotFoundError: the folder does not exist.
    """
    path = Path(path)
    check_suffix(path)
    with replacing(path) as part:
        if path.suffix.lower() == ".npy":
            np.save(part, _one_array(rows))
        elif path.suffix.lower() == ".npz":
            np.savez(part, **_arrays(rows))  # type: ignore[arg-type]
        else:
            drawn = figure(rows)
            drawn.savefig(part, dpi=drawn.dpi, bbox_inches="tight")


def check_suffix(path: Path) -> None:
    """Refuse a path whose end names neither a kind of picture nor one of arrays."""
    known = {"npy", "npz", *Figure().canvas.get_supported_filetypes()}
    if path.suffix.lstrip(".").lower() not in known:
        raise ValueError(
            f"output: {path} must end in .png, .jpg, .webp, .pdf or .svg; or, for the raw maps, in "
            ".npy or .npz"
        )


def _one_array(rows: Mapping[str, Sequence[Explanation]]) -> np.ndarray:
    maps = [found.raw.numpy() for row in rows.values() for found in row]
    if len(maps) > len(rows) or len({values.shape for values in maps}) > 1:
        raise ValueError("output: .npy holds the maps of one method and one size: write .npz")
    return np.stack(maps)


def _arrays(rows: Mapping[str, Sequence[Explanation]]) -> dict[str, np.ndarray]:
    return {
        f"{place}/{found.method}".lstrip("/"): found.raw.numpy()
        for place, row in rows.items()
        for found in row
    }


def _explainer(model: Classifier, method: str | Explainer) -> Explainer:
    if isinstance(method, Explainer):
        if method.classifier is not model:
            raise ValueError("method explains another classifier: make it of this one")
        return method
    if method in FITTED:
        raise ValueError(f"'{method}' is fitted to a data set first: give it fitted")
    if method not in METHODS:
        near = hint(method, METHODS) or f": use one of {', '.join(METHODS)}"
        raise ValueError(f"no method is called '{method}'{near}")
    return METHODS[method](model)


def _picture(picture: Source, model: Classifier, scale: Range | None) -> Picture:
    if isinstance(picture, str | Path):
        return load_image(picture, model.channels, scale)
    check_range(scale)
    try:
        if isinstance(picture, Image.Image):
            upright = ImageOps.exif_transpose(picture)
            return with_channels(of_8_bits(upright, scale), model.channels)
        if isinstance(picture, np.ndarray):
            return as_bands(picture, model.channels, scale)
    except ValueError as error:
        raise ValueError(f"picture: it {error}") from error
    raise ValueError(
        "picture: give the path of a file, a picture of Pillow or an array of NumPy, not a "
        f"{type(picture).__name__}"
    )


def _drawn(picture: Picture) -> Image.Image:
    """A picture as it can be drawn."""
    if isinstance(picture, Image.Image):
        return picture
    shares = picture / 255 if picture.dtype == torch.uint8 else picture
    return Image.fromarray(_bytes(plot.picture(shares)))


def _pixels(picture: Picture, model: Classifier) -> Tensor:
    images = transformed(model.transform, picture)[None].to(model.mean.device)
    if images.shape[1] != model.channels:
        raise ValueError(
            f"the network takes {model.channels} channels, and pictures give {images.shape[1]}: "
            "give it pixels, or a transform that makes so many"
        )
    return images


def _captured(model: Classifier, images: Tensor, explainers: Sequence[Explainer]) -> Capture | None:
    """What class activation maps share; nothing if there are none, or the layer is refused."""
    if not any(isinstance(explainer, CAMExplainer) for explainer in explainers):
        return None
    try:
        return capture(model, images)
    except ValueError:
        return None  # each of the methods says so itself


def _most_probable(model: Classifier, logits: Tensor) -> Iterator[tuple[str, int, float]]:
    best = logits[0].topk(min(TOP, logits.shape[1])).indices
    values = model.probability(logits.expand(len(best), -1), best)
    for index, value in zip(best.tolist(), values.tolist(), strict=True):
        yield _class_name(model, index), index, value


def _class_name(model: Classifier, index: int) -> str:
    known = model.classes is not None and index < len(model.classes)
    return model.classes[index] if known and model.classes else f"class {index}"


def _placed(saliency: Tensor, frame: Box, width: int, height: int) -> tuple[Tensor, np.ndarray]:
    """A map ``(1, height, width)`` that fills a frame, and what lies in the frame."""
    left, top, right, bottom = map(round, frame)
    size = max(1, bottom - top), max(1, right - left)
    inside = F.interpolate(saliency[None].float(), size=size, mode="bilinear")[0]
    placed = torch.zeros(1, height, width)
    seen = np.zeros((height, width), dtype=bool)
    rows, columns = slice(max(0, top), top + size[0]), slice(max(0, left), left + size[1])
    shown = placed[:, rows, columns]
    y, x = max(0, -top), max(0, -left)
    shown.copy_(inside[:, y : y + shown.shape[1], x : x + shown.shape[2]])
    seen[rows, columns] = True
    return placed, seen


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return (255 * pixels).round().clip(0, 255).astype(np.uint8)
