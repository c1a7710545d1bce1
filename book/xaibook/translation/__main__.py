"""``python -m xaibook.translation``: train a pair that translates petals, or the judge."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from xaibook.flowers.training import save_weights
from xaibook.translation import scenes
from xaibook.translation.judge import train_judge
from xaibook.translation.losses import SIMILARITIES
from xaibook.translation.training import STARTS, Weights, learn_to_translate, pretrain
from xaicore.cli.main import run
from xaicore.cli.options import Parser
from xaicore.files import check_output
from xaicore.processes import connection, device_named

LOSSES = ("gan", "cycle", "similarity")


def parser() -> Parser:
    """Return the parser of the command."""
    told = "Train two VAEs to translate round petals into pointed ones, or the judge of that."
    made = Parser("python -m xaibook.translation", description=told)
    made.set_defaults(run=train)
    made.add_argument("--judge", action="store_true", help="train the judge instead")
    made.add_argument("--start", choices=STARTS, default="warm", help="of the second VAE")
    made.add_argument("--without", choices=LOSSES, action="append", default=[], help="a loss")
    made.add_argument("--kind", choices=SIMILARITIES, default="pixels", help="of similarity")
    made.add_argument("--similarity", type=float, default=0.5, help="weight of the similarity loss")
    made.add_argument("--pictures", type=int, default=scenes.TRAINING, help="of each domain")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", help="cpu, cuda, …; by default a GPU if there is one")
    made.add_argument("--progress", type=Path, help="folder that keeps the progress of a run")
    made.add_argument("-o", "--output", type=Path, required=True, help="weights to write")
    return made


def train(options: argparse.Namespace) -> None:
    """Train and write the weights; ``torchrun`` shares every batch among its processes."""
    check_output(options.output)
    if options.judge:
        save_weights(train_judge(), options.output)
        return
    weights = Weights(kind=options.kind, similarity=options.similarity)
    for loss in options.without:
        weights = replace(weights, **{loss: 0.0})  # type: ignore[arg-type]
    device, folder = device_named(options.device), options.progress
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    a, b = (scenes.training(shape, options.pictures).images for shape in scenes.DOMAINS)
    with connection(device) as here:
        pair = pretrain(a, b, options.start, options.seed, device, folder)
        kept = folder and folder / "step3.pt"
        learn_to_translate(pair, a, b, weights, options.seed, checkpoint=kept)
        if here.first:
            save_weights(pair, options.output)
            print(f"{options.output} written")


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(run(parser()))
