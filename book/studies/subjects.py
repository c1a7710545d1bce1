"""Networks with the images they are shown, and the maps that are kept of them."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.transforms import v2

from xaibook.data import find_data
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import flower_classifier
from xaicore.attribution import Explainer
from xaicore.classifier import Classifier, to_pixels
from xaicore.evaluation.dataset import Truth
from xaicore.files import replacing
from xaicore.models.efficientnet_lite import NAME as LITE
from xaicore.models.efficientnet_lite import PACKAGE, default_classifier
from xaicore.models.timm import from_timm
from xaicore.pictures import pictures

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "_build" / "records"
SIDE = 224
CHUNK = 32
"""Images after which maps are put on disk."""

VIT = "vit_tiny_patch16_224"
WEIGHTS = {
    "resnet18": "resnet18_pqf_small.pt",
    "mobilenet_v2": "mobilenet_v2_quant.pt",
    "squeezenet1_0": "squeezenet1_0_deepcompression.pt",
    "resnet50": "resnet50_pqf_large.codes.pth",
    VIT: "vit_tiny_patch16_224_half.pt",
    LITE: PACKAGE,
}


@dataclass(frozen=True)
class Subject:
    """One network and the images it is shown.

    Attributes:
        name: of the files that are written.
        network: what is explained, in words.
        images: what is shown to it, in words.
        classifier: the network.
        dataset: the images and their true classes.
        truth: where the classes are.
        batch_size: images that are explained at a time.
    """

    name: str
    network: str
    images: str
    classifier: Classifier
    dataset: Dataset[tuple[Tensor, int]]
    truth: Truth
    batch_size: int

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)  # type: ignore[arg-type]

    def maps(
        self,
        label: str,
        explain: Explainer,
        settings: str,
        targets: Tensor | None = None,
        half: bool = False,
    ) -> dict[str, Any]:
        """Return raw maps and the seconds of each; they are kept on disk as they are made.

        Args:
            label: what the file is called, beside the name of the subject.
            explain: the method.
            settings: what else decides the maps: other settings than those on disk start anew.
            targets: the classes that are explained; ``None`` for the true ones.
            half: whether passes are made in bfloat16.
        """
        file = KEPT / f"{self.name}.{label}.pt"
        kept = _read(file, settings)
        for first in range(len(kept["maps"]), len(self), CHUNK):
            chosen = range(first, min(first + CHUNK, len(self)))
            for images, classes in DataLoader(
                Subset(self.dataset, chosen), batch_size=self.batch_size
            ):
                done = len(kept["maps"])
                asked = classes if targets is None else targets[done : done + len(classes)]
                began = time.perf_counter()
                with torch.autocast(self.classifier.mean.device.type, torch.bfloat16, enabled=half):
                    made = explain.raw(images, asked).float().cpu()
                spent = torch.full((len(made),), (time.perf_counter() - began) / len(made))
                kept["maps"] = torch.cat([kept["maps"].reshape(-1, *made.shape[1:]), made])
                kept["seconds"] = torch.cat([kept["seconds"], spent])
            KEPT.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                torch.save(kept, temporary)
            say(f"{self.name}: {label} {len(kept['maps'])}/{len(self)}")
        return kept | {key: kept[key][: len(self)] for key in ("maps", "seconds")}


def flowers(seed: int, count: int) -> Subject:
    """Rendered flowers and the book's own network; the truth is the head of the flower."""
    dataset = Flowers("species", "test", n=count)
    head = (dataset.masks["petal"] + dataset.masks["centre"]).clamp(max=1)
    return Subject(
        name=f"flowers-seed{seed}",
        network=f"the book's own, seed {seed}",
        images=f"the first {count} test flowers",
        classifier=flower_classifier("species", seed),
        dataset=dataset,
        truth=Truth(masks=head),
        batch_size=32,
    )


def photographs(network: str, data: Path, count: int) -> Subject:
    """The first ImageNet validation images of the folder and a network with compressed weights."""
    classifier = real_classifier(network, data)
    if torch.cuda.is_available():
        classifier.cuda()
    folder = data / "imagenet_val1300"
    square = to_pixels(v2.Resize((SIDE, SIDE)))
    whole = pictures(folder / "images", square, labels=folder / "labels.csv")
    names = whole.names[:count]
    corners = ["x0_frac", "y0_frac", "x1_frac", "y1_frac"]
    boxes = pd.read_csv(folder / "boxes.csv").groupby("file")[corners]
    found = [torch.tensor(boxes.get_group(name).to_numpy()) for name in names]
    return Subject(
        name=network,
        network=f"{network} ({WEIGHTS[network]})",
        images=f"the first {len(names)} of imagenet_val1300",
        classifier=classifier,
        dataset=Subset(whole, range(len(names))),
        truth=Truth(boxes=[SIDE * box for box in found]),
        batch_size=8,
    )


def real_images() -> Path:
    """Return the folder of real images, or say that there is none.

    Raises:
        FileNotFoundError: there is no such folder on this machine.
    """
    data = find_data()
    if data is None:
        raise FileNotFoundError("no real images: set XAICORE_DATA to their folder")
    return data


def real_classifier(network: str, data: Path) -> Classifier:
    """Return a network of torchvision or timm with weights of the folder, or those of a package."""
    if network == LITE:
        return default_classifier()
    build = from_timm if network == VIT else Classifier.from_torchvision
    return build(network, _weights(network, data / "weights"))


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def _weights(network: str, folder: Path) -> Path:
    """The file of a network's weights; those that are stored as codes are decoded once."""
    stored = folder / WEIGHTS[network]
    if ".codes." not in stored.name:
        return stored
    decoded = KEPT / f"{network}.weights.pt"
    if not decoded.is_file():
        KEPT.mkdir(parents=True, exist_ok=True)
        with replacing(decoded) as temporary:
            command = [sys.executable, str(folder / "decode.py"), str(stored), network]
            subprocess.run([*command, str(temporary)], check=True)
    return decoded


def _read(file: Path, settings: str) -> dict[str, Any]:
    """What is kept in a file, or nothing yet if it is not there or of other settings."""
    if file.is_file():
        kept: dict[str, Any] = torch.load(file, weights_only=True)
        if kept.get("settings") == settings:
            return kept
    return {"maps": torch.empty(0), "seconds": torch.empty(0), "settings": settings}
