"""``python -m xaibook.flowers``: train the network of the book again."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaibook.flowers.training import train_flowers
from xaicore.classifier import Classifier
from xaicore.cli.main import run
from xaicore.cli.options import Parser
from xaicore.training.loop import accuracy

TESTED = 900
"""Pictures on which the accuracy is measured."""


def parser() -> Parser:
    """Return the parser of the command."""
    told = "Train the small residual network on rendered flowers."
    made = Parser("python -m xaibook.flowers", description=told)
    made.set_defaults(run=train)
    made.add_argument("--task", default="species", help="what to tell apart")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--pictures", type=int, default=4500, help="how many to train on")
    made.add_argument("--epochs", type=int, default=16, help="passes over the pictures")
    made.add_argument("--removed", type=float, default=0.0, help="share that lose parts")
    made.add_argument("-o", "--output", type=Path, required=True, help="weights to write")
    return made


def train(options: argparse.Namespace) -> None:
    """Train the network, store its weights, and print its accuracy on held-out images.

    One thread, as the packaged weights were made: another number ends at another network.
    """
    torch.set_num_threads(1)
    settings = {"n": options.pictures, "epochs": options.epochs, "removed": options.removed}
    net = train_flowers(options.task, options.seed, output=options.output, **settings)
    test = Flowers(options.task, "test", TESTED)
    classifier = Classifier(net, FLOWER_MEAN, FLOWER_STD)
    share = accuracy(classifier, test.images, test.targets)
    print(f"{options.output} written; accuracy on {len(test)} test images: {100 * share:.1f} %")


if __name__ == "__main__":
    raise SystemExit(run(parser()))
