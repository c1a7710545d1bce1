"""Records belong to the images they were measured of: a changed data set is never taken for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import to_pil_image

from tests.networks import pictures
from tests.xaicore.evaluation.subject import Some, run, same
from xaicore.classifier import to_pixels
from xaicore.evaluation.dataset import Truth
from xaicore.evaluation.folder import Folder
from xaicore.pictures import Pictures
from xaicore.pictures import pictures as in_folder

COUNT = 12
BOX = torch.tensor([[2.0, 2, 9, 9]])
METRICS = ["AD", "EP", "RMA"]


def mask(side: int = 9) -> Tensor:
    found = torch.zeros(1, 16, 16)
    found[:, 2:side, 2:side] = 1
    return found


def known(**changes: Any) -> dict[int, tuple[Tensor, int, dict[str, Tensor]]]:
    """Every image with its class, a box and a mask; number 6 with changes."""
    images = pictures(COUNT)
    items = {i: (images[i], i % 5, {"boxes": BOX, "mask": mask()}) for i in range(COUNT)}
    image, label, truth = items[6]
    given = {"image": image, "label": label, **truth} | changes
    items[6] = given["image"], given["label"], {k: given[k] for k in ("boxes", "mask")}
    return items


def swapped() -> dict[int, tuple[Tensor, int, dict[str, Tensor]]]:
    items = known()
    items[6], items[11] = items[11], items[6]
    return items


def nudged() -> Tensor:
    image = pictures(COUNT)[6].clone()
    image[0, 5, 5] += 1e-3
    return image


CHANGES: dict[str, Callable[[], dict[int, Any]]] = {
    "an image": lambda: known(image=pictures(COUNT, seed=9)[6]),
    "a pixel": lambda: known(image=nudged()),
    "the kind of numbers": lambda: known(image=pictures(COUNT)[6].double()),
    "a class": lambda: known(label=2),
    "no class": lambda: known(label=None),
    "a box": lambda: known(boxes=BOX + 1),
    "a second box": lambda: known(boxes=torch.cat([BOX, BOX + 4])),
    "a mask": lambda: known(mask=mask(8)),
    "the order": swapped,
    "an image that can no longer be read": lambda: known() | {6: OSError("gone")},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("left", [True, False])
def test_a_changed_data_set_of_equal_length_is_refused(
    change: str, left: bool, tmp_path: Path
) -> None:
    """Whether the run is finished or goes on: it names the folder, the first image and the cure."""
    run(tmp_path / "run", dataset=Some(COUNT, known()), metrics=METRICS)
    if left:
        Folder(tmp_path / "run").chunk(2).unlink()
    before = {f: f.read_bytes() for f in (tmp_path / "run").rglob("*.*")}
    words = rf"{re.escape(str(tmp_path))}.*another run .*image 6 .*give another folder.*000001"
    with pytest.raises(ValueError, match=words):
        run(tmp_path / "run", dataset=Some(COUNT, CHANGES[change]()), metrics=METRICS)
    assert before == {f: f.read_bytes() for f in (tmp_path / "run").rglob("*.*")}


def test_each_of_several_processes_looks_at_its_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunk 1 is of the second process, which stops; so does torchrun then."""
    run(tmp_path / "run", dataset=Some(COUNT, known()), metrics=METRICS)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match=r"another run .*image 6 "):
        run(tmp_path / "run", dataset=Some(COUNT, known(label=2)), metrics=METRICS)


@pytest.mark.parametrize("what", ["boxes", "masks"])
def test_a_changed_truth_is_refused(what: str, tmp_path: Path) -> None:
    boxes, masks = [BOX] * COUNT, mask().repeat(COUNT, 1, 1, 1)
    run(tmp_path / "run", metrics=METRICS, truth=Truth(boxes, masks))
    if what == "boxes":
        boxes = [*boxes[:6], BOX + 1, *boxes[7:]]
    else:
        masks[6, :, 3, 3] = 0.5
    with pytest.raises(ValueError, match=r"another run .*image 6 "):
        run(tmp_path / "run", metrics=METRICS, truth=Truth(boxes, masks))


def test_a_chunk_that_is_not_finished_may_change(tmp_path: Path) -> None:
    run(tmp_path / "run", dataset=Some(COUNT, known()), metrics=METRICS)
    Folder(tmp_path / "run").chunk(1).unlink()
    changed = Some(COUNT, known(label=2))
    found = run(tmp_path / "run", dataset=changed, metrics=METRICS)
    same(run(dataset=changed, metrics=METRICS), found)


def test_the_same_data_set_is_not_measured_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "run", dataset=Some(COUNT, known()), metrics=METRICS)
    for workers in (0, 1):
        found = run(
            tmp_path / "run", dataset=Some(COUNT, known()), metrics=METRICS, workers=workers
        )
        same(whole, found)
        assert found["seconds"].tolist() == whole["seconds"].tolist()


class Watched(Pictures):
    """Pictures that count how often one is read."""

    reads = 0

    def __getitem__(self, place: int) -> Any:
        type(self).reads += 1
        return super().__getitem__(place)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures without compression: all files have one size."""
    (tmp_path / "images").mkdir()
    for i, image in enumerate(pictures(COUNT, 16, 16)):
        to_pil_image(image).save(tmp_path / "images" / f"{i:02}.bmp")
    return tmp_path


def read(folder: Path) -> Watched:
    found = in_folder(folder / "images", to_pixels(v2.Resize((16, 16))))
    return Watched(found.folder, found.names, found.labels, found.transform)


def test_files_that_did_not_change_are_not_read_again(folder: Path) -> None:
    whole = run(folder / "run", dataset=read(folder), metrics=["AD"])
    Watched.reads = 0
    same(whole, run(folder / "run", dataset=read(folder), metrics=["AD"]))
    assert Watched.reads == 0
    os.utime(folder / "images" / "06.bmp")
    same(whole, run(folder / "run", dataset=read(folder), metrics=["AD"]))
    assert Watched.reads == 1  # it may have changed, and did not


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_file_overwritten_by_one_of_the_same_size_is_refused(
    folder: Path, keep_times: bool
) -> None:
    run(folder / "run", dataset=read(folder), metrics=["AD"])
    file = folder / "images" / "06.bmp"
    old = file.stat()
    to_pil_image(pictures(COUNT, 16, 16, seed=9)[6]).save(file)
    if keep_times:
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert file.stat().st_size == old.st_size
    with pytest.raises(ValueError, match=r"another run .*image 6, 06\.bmp,"):
        run(folder / "run", dataset=read(folder), metrics=["AD"])


def test_a_file_that_takes_the_name_of_another_is_refused(folder: Path) -> None:
    run(folder / "run", dataset=read(folder), metrics=["AD"])
    a, b = (folder / "images" / f"{i:02}.bmp" for i in (6, 9))
    pixels = Image.open(b).convert("RGB")
    a.replace(b)
    pixels.save(a)
    with pytest.raises(ValueError, match=r"another run .*image 6, 06\.bmp,"):
        run(folder / "run", dataset=read(folder), metrics=["AD"])
