"""The packaged networks of the part tasks: they are right, and by the part that they should use."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import available_weights, flower_classifier
from xaibook.partbench import TWINS, reliance, repainted

SEEDS = (0, 1, 2)
COUNT = 200
"""Pictures that are repainted; at chance, a share of 1/4 has a standard error of 0.03."""


def test_three_seeds_of_every_part_task_are_packaged() -> None:
    wanted = {(task, seed) for task in (*TWINS, "variety") for seed in SEEDS}
    assert wanted <= set(available_weights())


@cache
def shown(task):
    """The pictures of a task, rendered once for all its networks."""
    return repainted(Flowers(task, "test", COUNT))


@pytest.fixture(scope="module", params=[(t, s) for t in TWINS for s in SEEDS], ids=str)
def found(request):
    task, seed = request.param
    return reliance(flower_classifier(task, seed), shown(task))


def test_without_the_part_the_class_is_a_guess(found) -> None:
    """Three standard errors around chance: nothing but the part tells the class."""
    assert found.guesses.double().mean().item() == pytest.approx(0.25, abs=0.1)


def test_the_class_follows_the_colour_of_the_part(found) -> None:
    assert found.follows.mean() >= 0.95


def test_the_class_stays_whatever_the_colour_of_the_other_part(found) -> None:
    assert found.stays.mean() >= 0.95


def test_most_pictures_are_left_where_the_network_relies_on_the_part_alone(found) -> None:
    assert found.relies.double().mean() >= 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_varieties_without_parts_are_named_among_those_that_are_left(seed: int) -> None:
    """What remains of a picture allows some classes; the network names one of them."""
    flowers = Flowers("variety", "test", COUNT, removed=1.0)
    with torch.no_grad():
        predicted = flower_classifier("variety", seed)(flowers.images).argmax(1)
    allowed = flowers.allowed.gather(1, predicted[:, None])
    assert allowed.double().mean() >= 0.8
