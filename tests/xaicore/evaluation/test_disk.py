"""Where the folder cannot be written: one clear error, and what was finished is kept."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.xaicore.evaluation.subject import run, same
from xaicore.evaluation.folder import Folder, read_records

IMAGES = 48
Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return what mounts a small file system; skips without the right to."""
    with ExitStack() as stack:

        def mounted(name: str, *words: str) -> Path:
            place = tmp_path / name
            place.mkdir()
            done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True)
            if done.returncode != 0:
                pytest.skip(f"mounting needs root: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
            return place

        yield mounted


def small_run(out: Path | None) -> object:
    return run(out, IMAGES, metrics=["AD", "AG", "AI"])


def test_a_full_disk_keeps_what_was_finished(mount: Mount) -> None:
    disk = mount("disk", "-t", "tmpfs", "-o", "size=48k", "tmpfs")
    with pytest.raises(OSError, match=r"cannot be written \(.*[Nn]o space.*run the same command"):
        small_run(disk / "run")
    kept = read_records(disk / "run")
    finished = len(Folder(disk / "run").finished())
    assert 0 < finished < IMAGES / 4
    assert not list((disk / "run" / "chunks").glob(".*.part.parquet"))
    with pytest.raises(OSError, match="cannot be written"):
        small_run(disk / "run")
    assert len(Folder(disk / "run").finished()) == finished
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    whole = small_run(None)
    same(whole, small_run(disk / "run"))
    same(kept, whole[whole["image"].isin(kept["image"])].reset_index(drop=True))


def test_a_read_only_folder_is_one_clear_error(mount: Mount, tmp_path: Path) -> None:
    whole = run(tmp_path / "run", IMAGES, metrics=["AD"])
    Folder(tmp_path / "run").chunk(3).unlink()
    for name, source in (("begun", tmp_path / "run"), ("new", tmp_path / "other")):
        source.mkdir(exist_ok=True)
        place = mount(name, "--bind", str(source))
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        with pytest.raises(OSError, match=r"cannot be written \(.*[Rr]ead-only"):
            run(place, IMAGES, metrics=["AD"])
    assert len(Folder(tmp_path / "run").finished()) == IMAGES / 4 - 1
    assert len(read_records(tmp_path / "begun")) == len(whole) - 4 * 3
    same(whole, run(tmp_path / "run", IMAGES, metrics=["AD"]))


def test_a_folder_under_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        small_run(tmp_path / "file" / "run")
