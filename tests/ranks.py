"""Ranks of one training, forked from the test: as ``torchrun`` starts them, with no new Python."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch


def together(count: int, work: Callable[[], object], folder: Path) -> list[str]:
    """Run some work in processes that know of one another as ``torchrun`` tells them.

    Args:
        count: how many processes.
        work: what each does; a true value is its exit code.
        folder: where each writes down what it prints.

    Returns:
        What each process printed, in the order of the ranks; all of them ended well.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    files = [folder / f"rank{rank}.txt" for rank in range(count)]
    children = [
        _child(work, told | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, file)
        for rank, file in enumerate(files)
    ]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    printed = [file.read_text() for file in files]
    assert codes == [0] * count, "\n".join(printed)
    return printed


def _child(work: Callable[[], object], told: dict[str, str], file: Path) -> int:
    if process := os.fork():
        return process
    code: object = 1
    try:
        os.environ.update(told)
        torch.set_num_threads(1)
        with file.open("w") as text, redirect_stdout(text), redirect_stderr(text):
            try:
                code = work()
            except BaseException:
                traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(int(bool(code)))
