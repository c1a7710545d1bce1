"""Do networks of photographs decide by shape or by texture? The cue conflict of Geirhos et al.

A picture has the shape of one thing and the texture of another. The share of shape among the
decisions for either is the *shape bias* (ICLR 2019). A category of theirs is several classes of
ImageNet; its probability is the mean of theirs, as in their code.

Many of the pictures have the shape of one of the silhouettes, pixel by pixel, so that it is known
where the thing is. Which ones is decided by the outlines: see ``fits``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from studies.subjects import LITE, SIDE, VIT, real_classifier, real_images
from studies.vebi import kept
from xaicore.attribution import GradCAM
from xaicore.classifier import Classifier, to_pixels
from xaicore.metrics import relevance_mass_accuracy

NETWORKS = ("resnet18", "squeezenet1_0", LITE, VIT, "resnet50")
COMPRESSED = ("resnet18", "squeezenet1_0")
"""Those that the chapter on translation shows."""

CUES = ("shape", "texture")
DRAWINGS = ("edges", "filled-silhouettes")
LIKE = 10
"""Silhouettes of each category."""

EXPLAINED = 40
"""Pictures, at most, of which there are maps."""

BATCH = 20


class Conflict(NamedTuple):
    """A picture whose shape and texture are of two categories.

    Attributes:
        path: the picture.
        shape: category of its shape.
        texture: category of its texture.
    """

    path: Path
    shape: str
    texture: str


def folder() -> Path:
    """Return where the pictures are."""
    return real_images() / "cue_conflict"


@cache
def conflicts() -> tuple[Conflict, ...]:
    """Return all pictures whose shape and texture differ, by name."""
    listed = pd.read_csv(folder() / "labels.csv").sort_values("file")
    unlike = listed[listed["shape"] != listed["texture"]]
    columns = (unlike[column] for column in ("file", *CUES))
    return tuple(Conflict(folder() / "images" / f, s, t) for f, s, t in zip(*columns, strict=True))


@cache
def categories() -> dict[str, Tensor]:
    """Return the classes of ImageNet of each category."""
    listed = pd.read_csv(folder() / "categories.csv").set_index("category")["imagenet_indices"]
    return {name: torch.tensor(list(map(int, str(of).split()))) for name, of in listed.items()}


def read(path: Path) -> Tensor:
    """Return a picture as pixels in [0, 1], ``(3, SIDE, SIDE)``."""
    with Image.open(path) as opened:
        return to_pixels(v2.Resize((SIDE, SIDE)))(opened.convert("RGB"))


@torch.inference_mode()
def named(classifier: Classifier, paths: list[Path]) -> list[str]:
    """Return the category that each picture is taken for."""
    groups = categories()
    found: list[str] = []
    for first in range(0, len(paths), BATCH):
        images = torch.stack([read(path) for path in paths[first : first + BATCH]])
        p = classifier(images).softmax(1)
        by_group = torch.stack([p[:, group].mean(1) for group in groups.values()], 1)
        found += [list(groups)[i] for i in by_group.argmax(1).tolist()]
    return found


def shape_bias(networks: tuple[str, ...] = NETWORKS) -> Iterator[pd.DataFrame]:
    """What each network takes every picture for: its shape, its texture, or neither."""
    for network in networks:
        yield kept(f"introduction.shape_bias {network}", partial(decisions, network))


def decisions(network: str) -> pd.DataFrame:
    """Return a row per picture: ``shape`` and ``texture`` are 1 where it is taken for that."""
    shown = conflicts()
    answers = named(real_classifier(network, real_images()), [each.path for each in shown])
    pairs = [*zip(shown, answers, strict=True)]
    columns = {cue: [int(getattr(of, cue) == answer) for of, answer in pairs] for cue in CUES}
    return pd.DataFrame({"image": range(len(shown)), **columns}).assign(network=network)


def outlines() -> Iterator[pd.DataFrame]:
    """What each network takes drawings of edges and black silhouettes for."""
    for network in NETWORKS:
        yield kept(f"introduction.outlines {network}", partial(recognised, network))


def recognised(network: str) -> pd.DataFrame:
    """Return a row per drawing: ``right`` is 1 where its category is named."""
    classifier = real_classifier(network, real_images())
    parts = []
    for kind in DRAWINGS:
        paths = sorted((folder() / kind).glob("*/*.png"))
        answers = named(classifier, paths)
        right = [int(p.parent.name == answer) for p, answer in zip(paths, answers, strict=True)]
        parts.append(pd.DataFrame({"image": range(len(paths)), "kind": kind, "right": right}))
    return pd.concat(parts).assign(network=network)


@cache
def silhouette(category: str, number: int) -> Tensor:
    """Return which pixels a silhouette covers, float ``(1, SIDE, SIDE)``."""
    path = folder() / "filled-silhouettes" / category / f"{category}{number}.png"
    return (read(path).mean(0, keepdim=True) < 0.5).float()


@cache
def outline(category: str, number: int) -> Tensor:
    """Return the pixels within two of the border of a silhouette, bool ``(1, SIDE, SIDE)``."""
    mask = silhouette(category, number)
    wide = F.max_pool2d(mask, 5, 1, 2)
    narrow = -F.max_pool2d(-mask, 5, 1, 2)
    return wide > narrow


def steps(image: Tensor) -> Tensor:
    """Return how much each pixel differs from its neighbours, ``(1, H, W)``."""
    down = F.pad((image[:, 1:] - image[:, :-1]).abs(), (0, 0, 0, 1))
    right = F.pad((image[:, :, 1:] - image[:, :, :-1]).abs(), (0, 1))
    return (down + right).sum(0, keepdim=True)


def fits(of: Conflict) -> Tensor | None:
    """Return the silhouette of a picture's number, if no other of its category fits it better.

    It fits the better the more the picture changes along its outline. By chance one in ten would.
    """
    number = int(of.path.name.partition("-")[0].removeprefix(of.shape))
    change = steps(read(of.path))
    fit = [change[outline(of.shape, k)].mean().item() for k in range(1, LIKE + 1)]
    return silhouette(of.shape, number) if max(fit) == fit[number - 1] else None


def conflict_maps() -> Iterator[pd.DataFrame]:
    """Where the maps of the shape's class and of the texture's class lie."""
    for network in NETWORKS:
        yield kept(f"introduction.conflict_maps {network}", partial(asked_twice, network))


def asked_twice(network: str) -> pd.DataFrame:
    """Return a row per picture and cue whose class is explained.

    ``inside`` is the share of the map within the silhouette, ``covered`` the share of the picture
    that the silhouette covers, and ``alike`` how the two maps of a picture correlate; NaN where one
    of them is constant.
    """
    classifier = real_classifier(network, real_images())
    explain = GradCAM(classifier)
    rows = []
    for i, of, mask in fitting():
        image = read(of.path)[None]
        maps = {cue: explain(image, best(classifier, image, getattr(of, cue))) for cue in CUES}
        alike = torch.corrcoef(torch.stack([each.flatten() for each in maps.values()]))[0, 1]
        rows += [
            {
                "image": i,
                "explained": cue,
                "inside": relevance_mass_accuracy(each, mask[None]).item(),
                "covered": mask.mean().item(),
                "alike": alike.item(),
            }
            for cue, each in maps.items()
        ]
    return pd.DataFrame(rows).assign(network=network)


@cache
def fitting() -> tuple[tuple[int, Conflict, Tensor], ...]:
    """Return pictures of which a silhouette says where the thing is, evenly among all of them."""
    known = [(i, of, mask) for i, of in enumerate(conflicts()) if (mask := fits(of)) is not None]
    chosen = torch.linspace(0, len(known) - 1, min(EXPLAINED, len(known))).long().tolist()
    return tuple(known[place] for place in chosen)


@torch.inference_mode()
def best(classifier: Classifier, image: Tensor, category: str) -> int:
    """Return the class of a category that has the largest logit."""
    group = categories()[category]
    return int(group[classifier(image)[0, group].argmax()])


PICTURES = "of Geirhos et al., shape and texture of two categories"
IMAGES = {
    "shape_bias": f"480 pictures {PICTURES}",
    "outlines": "160 edge drawings and 160 filled silhouettes of Geirhos et al.",
    "conflict_maps": f"{EXPLAINED} pictures {PICTURES}, on which a silhouette fits",
}
STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {
    "shape_bias": shape_bias,
    "outlines": outlines,
    "conflict_maps": conflict_maps,
}
