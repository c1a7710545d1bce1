"""The settings under which values are published and compared."""

import os
import subprocess
import sys

import pytest
import torch

from driver.settings import (
    LIMITS,
    Setting,
    SettingError,
    named,
    other,
    settings,
    supported,
)
from xaicore.attribution.opticam import has_bfloat16

ALL = [Setting(name, threads) for name in LIMITS for threads in (1, 2)]
COMMITS = [f"{number:040x}" for number in range(100)]


@pytest.mark.parametrize(
    ("avx2", "avx512", "bfloat16", "names"),
    [
        (False, False, False, ["default"]),
        (True, False, False, ["default", "avx2"]),
        (True, True, False, ["default", "avx2", "avx512"]),
        (True, True, True, ["default", "avx2", "avx512", "native"]),
    ],
)
def test_a_processor_has_the_instruction_sets_up_to_its_richest(avx2, avx512, bfloat16, names):
    assert supported(avx2, avx512, bfloat16) == names


def test_this_machine_has_each_instruction_set_with_one_and_two_threads():
    found = settings()
    assert found[0] == Setting("default", 1)
    assert [setting.threads for setting in found] == [1, 2] * (len(found) // 2)
    assert [setting.name for setting in found] == [
        setting.name for setting in ALL if setting in found
    ]


def test_a_setting_reaches_torch():
    least = settings()[1]
    probe = "import torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())"
    run = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, **least.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "DEFAULT 2\n"


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_bfloat16_is_used_where_no_setting_forbids_it(setting, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    for name, value in setting.environment.items():
        monkeypatch.setenv(name, value)
    assert has_bfloat16(torch.device("cpu")) is (setting.instructions == "native")


def test_settings_are_found_by_name_and_all_by_none():
    assert named([], ALL) == ALL
    assert named(["native-2", "avx2-1"], ALL) == [Setting("native", 2), Setting("avx2", 1)]
    with pytest.raises(SettingError, match=r"no setting avx2 here, only default-1, default-2"):
        named(["avx2"], ALL)


class TestOther:
    def test_a_commit_gives_the_same_one_each_time(self):
        assert [other(c, ALL) for c in COMMITS] == [other(c, ALL) for c in COMMITS]

    def test_over_commits_all_come_up_but_the_native_one(self):
        assert {other(c, ALL) for c in COMMITS} == {*ALL} - {Setting("native", 1)}

    def test_where_the_richest_is_avx2_that_is_the_native_one(self):
        some = [Setting(name, threads) for name in ("default", "avx2") for threads in (1, 2)]
        assert {other(c, some) for c in COMMITS} == {*some} - {Setting("avx2", 1)}

    def test_a_machine_with_one_setting_has_no_other(self):
        assert other(COMMITS[5], [Setting("default", 1)]) == Setting("default", 1)
