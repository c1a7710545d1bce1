"""``xaicore methods``."""

from __future__ import annotations

import argparse
from inspect import getdoc

from xaicore.attribution import METHODS
from xaicore.interpretation import FITTED
from xaicore.metrics.measures import MEASURES


def run(_: argparse.Namespace) -> None:
    """Print each method with its cost and its one-sentence description, and name the metrics."""
    listed = METHODS | FITTED
    width = max(map(len, listed))
    costs = max(len(method.cost) for method in listed.values())
    print(f"{'method':{width}}  {'cost per image':{costs}}  what it is")
    for name, method in listed.items():
        summary = (getdoc(method) or "").splitlines()[0]
        print(f"{name:{width}}  {method.cost:{costs}}  {summary}")
    print("F: a forward pass of the network; B: a backward pass; K: feature maps; T: iterations;")
    print("N, n: masks, samples, steps or features")
    print(f"from Python alone, for it is fitted to a data set first: {', '.join(FITTED)}")
    print(f"metrics of `xaicore evaluate`: {', '.join(MEASURES)}")
