"""The part-mask benchmark: methods against pixels that are known to decide the class."""

from xaicore.partbench.benchmark import PartBenchmark, part_benchmark
from xaicore.partbench.leaderboard import intervention_board, leaderboard
from xaicore.partbench.protocol import Interventions, intervene, protocol, summary
from xaicore.partbench.reliance import TWINS, Reliance, Repainted, reliance, repainted

__all__ = [
    "TWINS",
    "Interventions",
    "PartBenchmark",
    "Reliance",
    "Repainted",
    "intervene",
    "intervention_board",
    "leaderboard",
    "part_benchmark",
    "protocol",
    "reliance",
    "repainted",
    "summary",
]
