"""The part-mask benchmark: methods against pixels that are known to decide the class."""

from xaibook.partbench.benchmark import PartBenchmark, part_benchmark
from xaibook.partbench.leaderboard import intervention_board, leaderboard, standings
from xaibook.partbench.protocol import Interventions, intervene, means_of, protocol
from xaibook.partbench.reliance import TWINS, Reliance, Repainted, reliance, repainted

__all__ = [
    "TWINS",
    "Interventions",
    "PartBenchmark",
    "Reliance",
    "Repainted",
    "intervene",
    "intervention_board",
    "leaderboard",
    "means_of",
    "part_benchmark",
    "protocol",
    "reliance",
    "repainted",
    "standings",
]
