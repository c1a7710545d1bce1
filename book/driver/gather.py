"""Run chapters under several settings, and gather the values that each checks."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from driver.chapter import Chapter
from driver.data import VARIABLE
from driver.execute import ChapterError, Run, run_chapters
from driver.page import read
from driver.settings import Setting

VALUES = "XAICORE_VALUES"  # xaibook.chapter.check stores its values in the folder that it names
COMPARED = "nbval-check-output"


@dataclass
class Gathered:
    """What one chapter gave under one setting.

    Args:
        values: The values it checks, by name.
        failure: Why it did not run to its end, empty if it did.
        moved: Which of its compared outputs are not as stored.
    """

    values: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    moved: list[str] = field(default_factory=list)


def gather(
    chapters: Sequence[Chapter], settings: Sequence[Setting], profile: str
) -> dict[Chapter, dict[str, Gathered]]:
    """Run each chapter under each setting, two runs at a time.

    The smoke profile runs as a visitor first would, without real data, and its compared outputs
    are held against the stored ones.

    Args:
        chapters: The chapters.
        settings: The settings.
        profile: The profile that runs.

    Returns:
        What was gathered, by chapter and name of the setting.
    """
    smoke = profile == "smoke"
    if smoke:
        os.environ[VARIABLE] = ""
    found: dict[Chapter, dict[str, Gathered]] = {chapter: {} for chapter in chapters}
    with tempfile.TemporaryDirectory() as folder:

        def runs(setting: Setting) -> list[Run]:
            environment = {**setting.environment, VALUES: str(Path(folder, setting.name))}
            return [Run(chapter, setting.name, environment) for chapter in chapters]

        def finish(run: Run, executed: NotebookNode, seconds: float) -> None:
            values = Path(folder, run.setting, f"{run.chapter.name}.{profile}.json")
            stored = json.loads(values.read_text(encoding="utf-8"))
            moved = _moved(read(run.chapter.source), executed) if smoke else []
            found[run.chapter][run.setting] = Gathered(stored, moved=moved)

        def failed(run: Run, error: ChapterError) -> None:
            found[run.chapter][run.setting] = Gathered(failure=str(error))

        parameters: dict[str, object] = {} if smoke else {"profile": profile}
        run_chapters([run for each in settings for run in runs(each)], parameters, finish, failed)
    return found


def _moved(source: NotebookNode, executed: NotebookNode) -> list[str]:
    """Say which compared outputs are not as stored; the last, of the check itself, is not one."""
    pairs = [
        (old, new)
        for old, new in zip(source.cells, executed.cells, strict=True)
        if COMPARED in old.metadata.get("tags", [])
    ]
    return [
        f"cell {old.id} prints {_printed(new)!r} here, {_printed(old)!r} stored"
        for old, new in pairs[:-1]
        if _printed(old) != _printed(new)
    ]


def _printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)
