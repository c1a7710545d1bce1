"""Which process this is, and where it computes."""

from __future__ import annotations

import pytest
import torch

from xaicore import processes
from xaicore.processes import Process, average, connected, connection, device_named, started


def test_a_process_is_what_torchrun_says_or_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert started() == Process(0, 1)
    assert started().first
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert started() == Process(2, 4)
    assert not started().first
    assert connected() == Process(0, 1)  # for nothing connects them yet


def test_alone_there_is_nothing_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with connection(torch.device("cpu")) as process:
        assert process == Process(0, 1)
        assert average(torch.tensor(3.0)).item() == 3
    assert not torch.distributed.is_initialized()


def test_who_waits_in_vain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSE", 0.0)
    answers = iter([None, None, "there"])
    assert Process(1, 2).await_first(lambda: next(answers)) == "there"
    monkeypatch.setattr(processes, "PATIENCE", 0.0)
    with pytest.raises(ValueError, match="rank 1 waited in vain"):
        Process(1, 2).await_first(lambda: None)


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:99"])
def test_a_device_that_computes_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' cannot be used here; cpu always can"):
        device_named(name)


def test_every_process_of_a_machine_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_named(None) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "6")
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.empty(()))
    assert device_named(None) == torch.device("cuda:2")
