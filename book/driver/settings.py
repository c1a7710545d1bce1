"""The instruction sets and numbers of threads under which this machine can run a chapter.

A number rounds differently where another instruction set or another number of threads adds it up.
A setting is the environment that makes the libraries compute as on a machine with no more than its
instruction set: ATen, oneDNN and MKL below torch, and numpy with its OpenBLAS. oneDNN's limit also
decides whether bfloat16 is used (`xaicore.attribution.opticam.has_bfloat16`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

THREADS = (1, 2)
BEYOND_AVX2 = "X86_V4 AVX512_ICL AVX512_SPR"  # numpy's names; it ignores those it does not know
LIMITS = {
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NPY_DISABLE_CPU_FEATURES": f"X86_V3 {BEYOND_AVX2}",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": BEYOND_AVX2,
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "native": {},
}
"""What each instruction set limits; ``native``, with bfloat16 and whatever else there is, nothing.

Not every variable is known to every processor's libraries; the others then have no effect.
"""


class SettingError(Exception):
    """This machine has no setting of a name; the message lists those it has."""


@dataclass(frozen=True)
class Setting:
    """An instruction set and a number of threads.

    Args:
        instructions: A key of `LIMITS`.
        threads: How many threads compute.
    """

    instructions: str
    threads: int = 1

    @property
    def name(self) -> str:
        """How the command line and the tables call it."""
        return f"{self.instructions}-{self.threads}"

    @property
    def environment(self) -> dict[str, str]:
        """What it adds to the environment of a process; waiting threads leave others the core."""
        threads = {"OMP_NUM_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        return {**LIMITS[self.instructions], **threads}


def settings() -> list[Setting]:
    """Return the settings of this machine, those that make test runs under last."""
    import torch

    found = supported(
        torch.cpu._is_avx2_supported(),
        torch.cpu._is_avx512_supported(),
        torch.cpu._is_avx512_bf16_supported(),
    )
    return [Setting(name, threads) for name in found for threads in THREADS]


def supported(avx2: bool, avx512: bool, bfloat16: bool) -> list[str]:
    """Return the instruction sets of a processor that has these, the richest last.

    No two give the same bits by design: without bfloat16, the richest is the native one.
    """
    has = {"default": True, "avx2": avx2, "avx512": avx512, "native": bfloat16}
    return [name for name in LIMITS if has[name]]


def named(names: Sequence[str], known: Sequence[Setting]) -> list[Setting]:
    """Return the settings of these names, all of them for no name.

    Raises:
        SettingError: If this machine has no setting of a name.
    """
    by_name = {setting.name: setting for setting in known}
    for name in names:
        if name not in by_name:
            raise SettingError(f"there is no setting {name} here, only {', '.join(by_name)}")
    return [by_name[name] for name in names] if names else list(known)


def other(commit: str, known: Sequence[Setting]) -> Setting:
    """Return the setting that is tested beside the native one at a commit.

    The same commit gives the same setting on the same kind of machine; over many commits, all come
    up. The native one, with one thread, is left out, unless there is no other.

    Args:
        commit: The commit's hash, in hexadecimal.
        known: The settings of the machine, the richest instruction set last.
    """
    native = Setting(known[-1].instructions)
    others = [setting for setting in known if setting != native] or [native]
    return others[int(commit, 16) % len(others)]
