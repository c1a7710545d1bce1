"""Do networks of photographs decide by shape or by texture? The cue conflict of Geirhos et al.

A picture has the shape of one thing and the texture of another. The share of shape among the
decisions for either is the *shape bias* (ICLR 2019). A category of theirs is several classes of
ImageNet; its probability is the mean of theirs, as in their code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torchvision.transforms import v2

from studies.subjects import SIDE, WEIGHTS, real_images
from studies.vebi import kept
from xaicore.classifier import Classifier, to_pixels
from xaicore.pictures import pictures

NETWORKS = ("resnet18", "squeezenet1_0")
BATCH = 20


def shape_bias() -> Iterator[pd.DataFrame]:
    """What each network takes every picture for: its shape, its texture, or neither."""
    for network in NETWORKS:
        yield kept(f"translation.shape_bias {network}", partial(decisions, network))


def decisions(network: str) -> pd.DataFrame:
    """Return a row per picture: ``shape`` and ``texture`` are 1 where it is taken for that."""
    data = real_images()
    folder = data / "cue_conflict"
    categories = pd.read_csv(folder / "categories.csv").set_index("category")["imagenet_indices"]
    groups = {name: list(map(int, str(listed).split())) for name, listed in categories.items()}
    named = pd.read_csv(folder / "labels.csv").set_index("file")
    found = pictures(folder / "images", to_pixels(v2.Resize((SIDE, SIDE))))
    wanted = [i for i, name in enumerate(found.names) if _unlike(named, name)]
    classifier = Classifier.from_torchvision(network, data / "weights" / WEIGHTS[network])
    rows = []
    with torch.inference_mode():
        for first in range(0, len(wanted), BATCH):
            images = torch.stack([found[i][0] for i in wanted[first : first + BATCH]])
            p = classifier(images).softmax(1)
            by_group = torch.stack([p[:, group].mean(1) for group in groups.values()], 1)
            rows += by_group.argmax(1).tolist()
    decided = [list(groups)[i] for i in rows]
    true = named.loc[[Path(found.names[i]).name for i in wanted]]
    columns = {cue: (true[cue] == decided).astype(int).to_numpy() for cue in ("shape", "texture")}
    return pd.DataFrame({"image": range(len(decided)), **columns}).assign(network=network)


def _unlike(named: pd.DataFrame, name: str) -> bool:
    """Whether shape and texture of a picture are of two categories."""
    row = named.loc[Path(name).name]
    return bool(row["shape"] != row["texture"])


STUDIES: Mapping[str, Callable[[], Iterator[pd.DataFrame]]] = {"shape_bias": shape_bias}
