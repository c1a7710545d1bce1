"""Pictures on disk: one file read robustly, a folder with a table of labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import pil_to_tensor

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SHORTEST_SIDE = 2


def load_image(path: str | Path) -> Image.Image:
    """Read a picture as RGB, turned upright as its camera recorded it; transparency becomes white.

    Args:
        path: A file in any format Pillow reads.

    Returns:
        The picture, at least 2x2 pixels, fully read.

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
            picture = _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large a picture: make it smaller first") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete: {error}") from error
    if min(picture.size) < SHORTEST_SIDE:
        width, height = picture.size
        raise ValueError(f"{path} has {width}x{height} pixels: at least 2x2 are needed")
    return picture


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 257, "L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _pixels(picture: Image.Image) -> Tensor:
    return pil_to_tensor(picture).float() / 255


class ImageTable(Dataset[tuple[Tensor, int]]):
    """A folder of pictures and, if there is one, the table of their labels.

    Item i is an image, by default float32 in [0, 1], ``(3, H, W)``, and its label, or -1 if there
    is no table. Pictures are read when asked for.

    Args:
        folder: Folder of the pictures.
        labels_csv: Table with at least the columns ``file``, a path inside the folder, and
            ``label``, a class index. None takes every picture of the folder, in the order of names.
        transform: Maps the RGB picture to a tensor, for example ``Classifier.preprocess``'s.

    Attributes:
        table: The table, one row per picture, all columns kept.

    Raises:
        FileNotFoundError: The folder or the table does not exist.
        ValueError: The table lacks a column or a label, or lists a file that the folder lacks, or
            there is no picture.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Image.new("RGB", (6, 4), "white").save(f"{folder}/white.png")
        ...     image, label = ImageTable(folder)[0]
        >>> image.shape, label
        (torch.Size([3, 4, 6]), -1)
    """

    def __init__(
        self,
        folder: str | Path,
        labels_csv: str | Path | None = None,
        transform: Callable[[Image.Image], Tensor] | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is not a folder")
        self.table = self._listing() if labels_csv is None else self._labels(Path(labels_csv))
        if self.table.empty:
            raise ValueError(f"no picture is listed for {self.folder}")
        self.transform = transform or _pixels

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.table.iloc[index]
        return self.transform(load_image(self.folder / row["file"])), int(row["label"])

    def _listing(self) -> pd.DataFrame:
        files = sorted(p.name for p in self.folder.iterdir() if p.suffix.lower() in SUFFIXES)
        return pd.DataFrame({"file": files, "label": -1})

    def _labels(self, path: Path) -> pd.DataFrame:
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: give the table of labels, or None")
        table = pd.read_csv(path)
        missing = {"file", "label"} - set(table.columns)
        if missing:
            raise ValueError(f"{path} lacks the column {' and '.join(sorted(missing))}")
        if not pd.api.types.is_integer_dtype(table["label"]) and len(table):
            raise ValueError(f"{path} has rows without a class index in the column label")
        absent = [name for name in table["file"] if not (self.folder / name).is_file()]
        if absent:
            raise ValueError(
                f"{len(absent)} files of {path} are not in {self.folder}, the first {absent[0]}"
            )
        return table
