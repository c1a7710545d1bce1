"""The folder of a run: a manifest, and one file of records for each finished chunk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from xaicore.evaluation.curves import COLUMN, mean_curves
from xaicore.evaluation.fingerprint import differences
from xaicore.files import replacing

MANIFEST = "manifest.json"
CHUNKS = "chunks"
MARKS = b"xaicore.marks"
"""Where the file of a chunk keeps the marks of its images."""

COMPARED = (
    *("model", "data", "methods", "measured", "precision", "device", "versions"),
    *("threads", "batch_size", "chunk_size"),
)
"""The parts of a manifest in which a run and its continuation must agree."""

AGAIN = (
    "what was finished is kept; make room or choose another folder, and run the same command again"
)


class Mark(NamedTuple):
    """What tells an image and what is known of it from another one.

    Attributes:
        stamp: the same stamp, the same image; found without reading it. Empty if there is none.
        content: a digest of what was measured.
    """

    stamp: str
    content: str


@dataclass(frozen=True)
class Folder:
    """Where the records of a run are kept.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def manifest(self) -> dict[str, Any] | None:
        """What the run is; ``None`` before it began.

        Raises:
            ValueError: the manifest is damaged.
        """
        file = self.path / MANIFEST
        if not file.is_file():
            return None
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{file} is damaged: give another folder") from error

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Make the folder and write the manifest.

        Raises:
            OSError: it cannot be written.
        """
        with writing(self.path, AGAIN):
            self.path.mkdir(parents=True, exist_ok=True)
            with replacing(self.path / MANIFEST) as file:
                file.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
                _keep(file)

    def refuse_things(self) -> None:
        """Refuse a folder in which no run could begin.

        Raises:
            ValueError: it holds something else.
        """
        there = self.path.iterdir() if self.path.is_dir() else ()
        if any(not entry.name.startswith(".") for entry in there):
            raise ValueError(f"{self.path} holds other things: give a new or an empty folder")

    def refuse_other(self, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        """Refuse to continue a run as another one.

        Raises:
            ValueError: model, data, arguments or versions differ; the message says which.
        """
        found = [
            words
            for key in COMPARED
            for words in differences({key: there.get(key)}, {key: here.get(key)})
        ]
        if found:
            raise ValueError(
                f"{self.path} holds another run ({'; '.join(found)}): "
                "give another folder, or the arguments of that run"
            )

    @cached_property
    def rows(self) -> tuple[int, int, int]:
        """The number of images, the images of a chunk, and the records of an image."""
        manifest = self.manifest or {}
        per_image = len(manifest["methods"]) * len(manifest["measured"]["metrics"])
        return manifest["data"]["images"], manifest["chunk_size"], per_image

    def chunk(self, number: int) -> Path:
        """Return the file of a chunk."""
        return self.path / CHUNKS / f"{number:06}.parquet"

    def commit(self, number: int, records: pd.DataFrame, marks: Sequence[Mark]) -> None:
        """Write a chunk, whole or not at all.

        Args:
            number: which it is.
            records: of its images.
            marks: of its images, in their order.

        Raises:
            OSError: it cannot be written; what was written before stays.
        """
        import pyarrow as pa  # noqa: PLC0415 - only runs on disk need it
        from pyarrow import parquet  # noqa: PLC0415

        table = pa.Table.from_pandas(records, preserve_index=False)
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), MARKS: json.dumps(marks)}
        )
        with writing(self.path, AGAIN):
            (self.path / CHUNKS).mkdir(exist_ok=True)
            with replacing(self.chunk(number)) as file:
                parquet.write_table(table, file)
                _keep(file)
            self._claim_of(number).unlink(missing_ok=True)

    def marks(self, number: int) -> list[Mark]:
        """Return the marks of the images of a finished chunk."""
        from pyarrow import parquet  # noqa: PLC0415 - only runs on disk need it

        kept = parquet.read_metadata(self.chunk(number)).metadata
        return [Mark(*mark) for mark in json.loads(kept[MARKS])]

    def listed(self) -> set[int]:
        """Return the chunks that are there."""
        return {int(file.stem) for file in (self.path / CHUNKS).glob("[0-9]*.parquet")}

    def finished(self) -> set[int]:
        """Return the chunks that are there and whole."""
        images, size, per_image = self.rows
        return {
            number
            for number in self.listed()
            if _rows(self.chunk(number)) == min(size, images - number * size) * per_image
        }

    def records(self) -> pd.DataFrame:
        """Return the records of all finished chunks.

        Raises:
            ValueError: it is no folder of a run, or no chunk is finished.
        """
        if self.manifest is None:
            raise ValueError(f"{self.path} is not the folder of a run: it has no {MANIFEST}")
        numbers = sorted(self.finished())
        if not numbers:
            raise ValueError(f"the run in {self.path} has finished no chunk yet")
        return pd.concat(map(self.read, numbers), ignore_index=True)

    def curves(self) -> pd.DataFrame:
        """Return the mean curves of insertion and deletion, as ``mean_curves`` does."""
        from pyarrow import parquet  # noqa: PLC0415 - only runs on disk need it

        files = [self.chunk(number) for number in sorted(self.finished())]
        wanted = ["method", "metric", COLUMN]
        held = [file for file in files if COLUMN in parquet.read_schema(file).names]
        return mean_curves(pd.read_parquet(file, columns=wanted) for file in held)

    def tidy(self, age: float) -> set[int]:
        """Remove what is damaged, and what killed processes left; return the finished chunks.

        Args:
            age: how old, in seconds, something must be that another process may be writing.

        Raises:
            OSError: the folder cannot be written.
        """
        finished = self.finished()
        with writing(self.path, AGAIN):
            for number in self.listed() - finished:
                self.chunk(number).unlink(missing_ok=True)
            for file in (self.path / CHUNKS).glob(".*"):
                with suppress(FileNotFoundError):
                    if time.time() - file.stat().st_mtime >= age:
                        file.unlink()
        return finished

    def claim(self, number: int) -> None:
        """Tell the other processes that this one is at work on a chunk."""
        with writing(self.path, AGAIN):
            (self.path / CHUNKS).mkdir(exist_ok=True)
            self._claim_of(number).touch()

    def renew(self, number: int) -> None:
        """Tell the other processes that this one is still at work on a chunk it has claimed."""
        with suppress(OSError):  # it is finished, or the batch itself will say what is wrong
            os.utime(self._claim_of(number))

    def idle(self, number: int) -> float:
        """Return for how many seconds no process has told that it is at work on a chunk."""
        try:
            return time.time() - self._claim_of(number).stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def _claim_of(self, number: int) -> Path:
        return self.path / CHUNKS / f".{number:06}.claim"

    def read(self, number: int) -> pd.DataFrame:
        """Return the records of a finished chunk, without their curves."""
        from pyarrow import parquet  # noqa: PLC0415 - only runs on disk need it

        file = self.chunk(number)
        wanted = [name for name in parquet.read_schema(file).names if name != COLUMN]
        return pd.read_parquet(file, columns=wanted)


def read_records(path: str | Path) -> pd.DataFrame:
    """Return the records of a run, those that are there so far.

    Args:
        path: the folder of the run.

    Raises:
        ValueError: it is no folder of a run, or no chunk is finished.
    """
    return Folder(Path(path)).records()


def _rows(file: Path) -> int:
    """The number of rows of a Parquet file; -1 if it is damaged."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - only runs on disk need it

    try:
        return int(parquet.read_metadata(file).num_rows)
    except (ArrowException, OSError):
        return -1


def _keep(file: Path) -> None:
    """See to it that a file outlasts a loss of power."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


@contextmanager
def writing(path: Path, fix: str) -> Iterator[None]:
    """Say of a folder that the system refuses to write what can be done."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise OSError(f"{path} cannot be written ({reason}): {fix}") from error
