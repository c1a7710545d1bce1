"""The part-mask benchmark: methods against pixels that are known to decide the class."""

from xaicore.partbench.benchmark import part_benchmark
from xaicore.partbench.reliance import TWINS, Reliance, reliance

__all__ = ["TWINS", "Reliance", "part_benchmark", "reliance"]
