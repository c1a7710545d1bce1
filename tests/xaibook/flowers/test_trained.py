"""The packaged flower networks: they load, they are right, and they keep some doubt."""

from functools import cache

import pytest
import torch

from xaibook.flowers.dataset import Flowers, class_names
from xaibook.flowers.trained import (
    FLOWER_MEAN,
    FLOWER_STD,
    WEIGHTS,
    available_weights,
    flower_classifier,
)
from xaicore.classifier import Classifier
from xaicore.training.loop import accuracy

SEEDS = (0, 1, 2)
RIGHT = {"species": 0.95, "petal": 0.95, "stem": 0.95, "variety": 0.85}
"""Share of the pictures that are named right; a variety is, where all of its four parts are."""


@cache
def pictures(task):
    """The first 300 test pictures of a task."""
    return Flowers(task, "test", 300)


@pytest.fixture
def flowers():
    return pictures("species")


def test_three_seeds_of_species_are_packaged():
    assert {("species", seed) for seed in SEEDS} <= set(available_weights())


@pytest.mark.parametrize(("task", "seed"), available_weights())
def test_packaged_networks_are_right_on_95_pictures_of_100_or_85_of_24_varieties(task, seed):
    test = pictures(task)
    assert accuracy(flower_classifier(task, seed), test.images, test.targets) >= RIGHT[task]


@pytest.mark.parametrize("seed", SEEDS)
def test_confidence_is_not_saturated(seed, flowers):
    """Faithfulness is measured on changes of confidence: there must be room for them."""
    with torch.inference_mode():
        logits = flower_classifier("species", seed)(flowers.images)
    p = logits.double().softmax(1).gather(1, flowers.targets[:, None])
    assert (p > 0.99).double().mean() <= 0.85
    assert p.quantile(0.05) < 0.95


def test_the_networks_of_two_seeds_differ(flowers):
    logits = [flower_classifier("species", seed)(flowers.images[:4]) for seed in SEEDS[:2]]
    assert (logits[0] - logits[1]).abs().max() > 0.1


def test_a_flower_classifier_is_ready_to_explain():
    classifier = flower_classifier("species", 0)
    assert isinstance(classifier, Classifier)
    assert not any(module.training for module in classifier.modules())
    assert {parameter.dtype for parameter in classifier.parameters()} == {torch.float32}
    assert classifier.classes == class_names("species")
    assert classifier.layer is classifier.net.stages[2]


def test_normalisation_is_the_training_set_s():
    """On 900 of the 4,500 pictures, smaller; the mean of 900 has a standard error of 0.006."""
    pixels = Flowers("species", "train", 900, size=32).images.permute(1, 0, 2, 3).flatten(1)
    assert pixels.mean(1).tolist() == pytest.approx(FLOWER_MEAN, abs=0.02)
    assert pixels.std(1).tolist() == pytest.approx(FLOWER_STD, abs=0.02)


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*-seed*.pt")), ids=lambda path: path.name)
def test_weight_files_are_small_half_precision_and_safe(path):
    assert path.stat().st_size <= 700_000
    state = torch.load(path, weights_only=True)
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize(("task", "seed"), [("species", 99), ("tulip", 0), ("../species", 0)])
def test_weights_that_are_not_there_are_refused_with_those_that_are(task, seed):
    with pytest.raises(ValueError, match=r"no weights are packaged .*\('species', 0\)"):
        flower_classifier(task, seed)
