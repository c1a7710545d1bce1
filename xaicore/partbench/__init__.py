"""The part-mask benchmark: methods against pixels that are known to decide the class."""

from xaicore.partbench.benchmark import PartBenchmark, part_benchmark
from xaicore.partbench.leaderboard import leaderboard
from xaicore.partbench.protocol import Interventions, intervene, protocol, summary
from xaicore.partbench.reliance import TWINS, Reliance, reliance

__all__ = [
    "TWINS",
    "Interventions",
    "PartBenchmark",
    "Reliance",
    "intervene",
    "leaderboard",
    "part_benchmark",
    "protocol",
    "reliance",
    "summary",
]
