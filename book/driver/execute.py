"""Run chapters with papermill, two at a time, saying how far each is."""

import multiprocessing
import os
import queue
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import papermill
from nbclient.exceptions import DeadKernelError
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines

from driver.chapter import SOURCES, Chapter

AT_ONCE = 2
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "SOURCE_DATE_EPOCH": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

Event = tuple[str, int, int]  # chapter, code cell that starts (from 1), number of code cells
_events: Any = None


class ChapterError(Exception):
    """A chapter did not run to its end; the message says where and why."""


@dataclass(frozen=True)
class Run:
    """A chapter to run, and under which setting.

    Args:
        chapter: The chapter.
        setting: What progress calls the setting; empty for that of the process.
        environment: What the kernel's environment has beside that of the process.
    """

    chapter: Chapter
    setting: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """How progress and failures call it."""
        return f"{self.chapter.name} [{self.setting}]" if self.setting else self.chapter.name


class _ReportingEngine(NBClientEngine):
    """Papermill's engine, calling `report` with each cell that starts."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, report: Callable[[int], None], **options: Any
    ) -> Any:
        cell_start = nb_man.cell_start

        def reporting_start(cell: NotebookNode, cell_index: int, **more: Any) -> Any:
            report(cell_index)
            return cell_start(cell, cell_index, **more)

        nb_man.cell_start = reporting_start
        return super().execute_managed_notebook(nb_man, kernel_name, **options)


STARTING = 600
"""Seconds that a kernel may take to start, on a machine that does much else."""


def run_chapter(run: Run, parameters: dict[str, object]) -> tuple[NotebookNode, float]:
    """Run a chapter's source notebook in its own folder.

    Args:
        run: The chapter, and the environment of its kernel.
        parameters: What papermill sets; with none, the notebook's defaults hold and no cell is
            added.

    Returns:
        The executed notebook, and its seconds.

    Raises:
        ChapterError: If a cell fails or the kernel dies.
    """
    papermill_engines.register("reporting", _ReportingEngine)
    chapter = run.chapter
    source = papermill.iorw.load_notebook_node(str(chapter.source))
    position = _code_positions(source, shifted=bool(parameters))
    total = sum(cell.cell_type == "code" for cell in source.cells)
    last = 1

    def report(index: int) -> None:
        nonlocal last
        if index in position:
            last = position[index]
            if _events is not None:
                _events.put((run.name, last, total))

    start = time.perf_counter()
    try:
        with _environment(run.environment):  # which the kernel inherits
            notebook = papermill.execute_notebook(
                chapter.source,
                None,
                parameters,
                engine_name="reporting",
                kernel_name="python3",
                language="python",
                cwd=chapter.root / SOURCES,
                progress_bar=False,
                start_timeout=STARTING,
                report=report,
                coalesce_streams=True,
                extra_arguments=["--IPKernelApp.log_level=50"],
            )
    except papermill.PapermillExecutionError as error:
        raise ChapterError(
            _failure(run.name, last, total, error.source, "\n".join(error.traceback))
        ) from None
    except DeadKernelError as error:
        cells = [cell.source for cell in source.cells if cell.cell_type == "code"]
        raise ChapterError(_failure(run.name, last, total, cells[last - 1], str(error))) from None
    return notebook, time.perf_counter() - start


def run_chapters(
    runs: Sequence[Run],
    parameters: dict[str, object],
    finish: Callable[[Run, NotebookNode, float], None],
    failed: Callable[[Run, ChapterError], None] | None = None,
) -> None:
    """Run chapters in processes of their own, two at a time, showing progress.

    Args:
        runs: What to run.
        parameters: What papermill sets in each.
        finish: Called with each run that ended, its notebook and its seconds.
        failed: Called with each run that failed; the others go on. Without it, the first failure
            is raised.

    Raises:
        ChapterError: The first failure. No further chapter starts; one that is running finishes.
    """
    os.environ.update(ENVIRONMENT)
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    progress = _Progress()
    with ProcessPoolExecutor(AT_ONCE, context, _set_events, (events,)) as pool:
        waiting = {pool.submit(run_chapter, run, parameters): run for run in runs}
        failure: BaseException | None = None
        while waiting:
            done = wait(waiting, timeout=0.3, return_when=FIRST_EXCEPTION).done
            progress.update(_drain(events))
            for future in done:
                run = waiting.pop(future)
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    notebook, seconds = future.result()
                    finish(run, notebook, seconds)
                    progress.end(run.name, f"ran in {seconds:.1f} s")
                    continue
                progress.end(run.name, "FAILED")
                if failed is not None and isinstance(error, ChapterError):
                    failed(run, error)
                elif failure is None:
                    failure = error
                    _cancel(waiting)
    if failure is not None:
        raise failure


class _Progress:
    """What is running: one line that changes on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.running: dict[str, str] = {}
        self.terminal = sys.stdout.isatty()

    def update(self, events: list[Event]) -> None:
        for name, cell, total in events:
            self.started.setdefault(name, time.monotonic())
            self.running[name] = f"cell {cell}/{total}"
            if not self.terminal:
                self._say(f"  {name}: {self.running[name]}, {self._elapsed(name)}")
        if self.terminal and self.running:
            parts = [f"{n}: {at}, {self._elapsed(n)}" for n, at in self.running.items()]
            sys.stdout.write("\r\033[K  " + "  |  ".join(parts))
            sys.stdout.flush()

    def end(self, name: str, outcome: str) -> None:
        self.running.pop(name, None)
        self._say(f"  {name}: {outcome}")

    def _say(self, line: str) -> None:
        print("\r\033[K" + line if self.terminal else line, flush=True)

    def _elapsed(self, name: str) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started[name]), 60)
        return f"{minutes}:{seconds:02d}"


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _set_events(events: Any) -> None:
    global _events  # noqa: PLW0603 - how a worker process is told where to report
    _events = events


def _drain(events: Any) -> list[Event]:
    found = []
    while True:
        try:
            found.append(events.get_nowait())
        except queue.Empty:
            return found


def _cancel(waiting: Iterable[Future]) -> None:
    for future in waiting:
        future.cancel()


def _code_positions(source: NotebookNode, shifted: bool) -> dict[int, int]:
    """Map the index of a cell as it runs to its number among the source's code cells.

    Papermill puts a cell of its own behind the one tagged ``parameters``, which shifts the rest.
    """
    position, index, number = {}, 0, 0
    for cell in source.cells:
        if cell.cell_type == "code":
            number += 1
            position[index] = number
        index += 2 if shifted and "parameters" in cell.metadata.get("tags", []) else 1
    return position


def _failure(name: str, cell: int, total: int, code: str, traceback: str) -> str:
    first = code.strip().split("\n", 1)[0]
    return f"{name}: code cell {cell} of {total} failed: {first}\n\n{strip_ansi(traceback)}"
