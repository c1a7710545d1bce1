"""Photographs that may be shown: those of installed packages, and some of ``XAICORE_DATA``.

``python -m xaibook.photographs FOLDER`` writes the first as files, for the command line to explain.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from xaibook.data import find_data
from xaibook.vector import inline, svg
from xaicore.html import Fragment

FREE = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC BY 2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
}
"""Licences under which a photograph may be shown, and changed, with a credit."""

PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
"""The packages that photographs come with, by the name of their module."""


@dataclass(frozen=True)
class Photograph:
    """A photograph, and whom it is of.

    Attributes:
        name: what shows on it.
        author: who took it, as the package that holds it says.
        licence: one of ``FREE``.
        place: the file: in a package, ``"skimage/data/chelsea.png"``, or in the real data.
        source: a page about it; empty if none is known.
        label: its class of ImageNet, if somebody has looked.
    """

    name: str
    author: str
    licence: str
    place: str
    source: str = ""
    label: int | None = None

    @property
    def picture(self) -> Image.Image:
        """The photograph.

        Raises:
            ImportError: the package that holds it is not installed.
        """
        with Image.open(self.path) as opened:
            return opened.convert("RGB")

    @property
    def path(self) -> Path:
        """Where its file is.

        Raises:
            ImportError: the package that holds it is not installed.
        """
        module, _, rest = self.place.partition("/")
        if module not in PACKAGES:
            return Path(self.place)
        found = find_spec(module)
        if found is None or found.origin is None:
            raise ImportError(
                f"the photograph '{self.name}' comes with {PACKAGES[module]}: "
                f"pip install {PACKAGES[module]}"
            )
        return Path(found.origin).parent / rest

    @property
    def credit(self) -> str:
        """Name, author and licence, as HTML."""
        author = escape(self.author)
        if self.source:
            author = f'<a href="{escape(self.source)}">{author}</a>'
        return f'{escape(self.name)}: {author}, <a href="{FREE[self.licence]}">{self.licence}</a>'

    def square(self, side: int = 256) -> Image.Image:
        """The middle of the photograph, ``side`` pixels wide and high."""
        return ImageOps.fit(self.picture, (side, side), Image.Resampling.LANCZOS)


PHOTOGRAPHS = {
    photograph.name: photograph
    for photograph in (
        Photograph("cat", "Stefan van der Walt", "CC0", "skimage/data/chelsea.png", label=281),
        Photograph("espresso", "Rachel Michetti", "CC0", "skimage/data/coffee.png", label=967),
        Photograph(
            "rocket",
            "SpaceX",
            "public domain",
            "skimage/data/rocket.jpg",
            "https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/",
            657,
        ),
        Photograph(
            "astronaut",
            "NASA",
            "public domain",
            "skimage/data/astronaut.png",
            "https://flic.kr/p/r9qvLn",
        ),
        Photograph(
            "temple",
            "danielbuechele",
            "CC BY 2.0",
            "sklearn/datasets/images/china.jpg",
            "https://www.flickr.com/photos/danielbuechele/6061409035/sizes/z/in/photostream/",
        ),
        Photograph(
            "dahlia",
            "vultilion",
            "CC BY 2.0",
            "sklearn/datasets/images/flower.jpg",
            "https://www.flickr.com/photos/vultilion/6056698931/sizes/z/in/photostream/",
        ),
    )
}
"""The photographs of installed packages, by name; no other picture of theirs is shown.

scikit-image's motorcycle is not among them: the package states no licence of it. scikit-learn names
danielbuechele for the dahlia too, and links to the page of vultilion, who is credited here.
"""


def free_photographs(*names: str) -> list[Photograph]:
    """Return photographs by name, all without a name.

    Raises:
        ValueError: there is no such photograph.
    """
    unknown = [name for name in names if name not in PHOTOGRAPHS]
    if unknown:
        raise ValueError(f"no photograph is called '{unknown[0]}': use {', '.join(PHOTOGRAPHS)}")
    return [PHOTOGRAPHS[name] for name in names or PHOTOGRAPHS]


def real_photographs(count: int = 10) -> list[Photograph]:
    """Return the first photographs of ``XAICORE_DATA`` that may be shown; none without it."""
    data = find_data()
    table = data / "photos_cc_by" / "labels.csv" if data else None
    if table is None or not table.is_file():
        return []
    licences = {address: name for name, address in FREE.items()}
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["License"] in licences]
    return [
        Photograph(
            row["file"].partition(".")[0],
            row["Author"],
            licences[row["License"]],
            str(table.parent / "images" / row["file"]),
            row["OriginalLandingURL"],
            int(row["label"]),
        )
        for row in rows[:count]
    ]


def montage(left: Photograph, right: Photograph, side: int = 256) -> Image.Image:
    """Return a montage, ``side`` pixels wide and high: the middle of one and of another."""
    made = Image.new("RGB", (side, side))
    for place, photograph in enumerate((left, right)):
        half = (side // 2, side)
        part = ImageOps.fit(photograph.picture, half, Image.Resampling.LANCZOS)
        made.paste(part, (place * side // 2, 0))
    return made


def sheet(
    figure: Figure, photographs: Iterable[Photograph], alt: str, caption: str = ""
) -> Fragment:
    """Show a figure of photographs, which are JPEG in it, with their credit under it.

    Args:
        figure: the figure.
        photographs: what is on it, changed or not.
        alt: what it shows, for readers who do not see it.
        caption: what stands below it, where the page has no caption of its own.
    """
    credits = "; ".join(dict.fromkeys(photograph.credit for photograph in photographs))
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    drawn = svg(figure)
    shown = inline(drawn, alt, f"p{hashlib.sha256(drawn.encode()).hexdigest()[:8]}")
    html = (
        f'<figure class="xc-photographs">{shown}{text}<p class="xc-credit">'
        f"Photographs, cut and drawn over: {credits}.</p></figure>"
    )
    return Fragment(html, alt)


def licences() -> pd.DataFrame:
    """Return what is shown in the book that others made: picture, author, licence, package."""
    return pd.DataFrame(
        {
            "photograph": photograph.name,
            "author": photograph.author,
            "licence": photograph.licence,
            "comes with": PACKAGES[photograph.place.partition("/")[0]],
            "file": Path(photograph.place).name,
            "source": photograph.source or "–",
        }
        for photograph in PHOTOGRAPHS.values()
    )


def main(folder: Path) -> None:
    """Write the photographs of installed packages into a folder, by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for photograph in PHOTOGRAPHS.values():
        copyfile(photograph.path, folder / f"{photograph.name}{photograph.path.suffix}")
    (folder / "LICENCES.txt").write_text(licences().to_string(index=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]))
