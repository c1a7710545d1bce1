"""Which flowers are warm, and a classifier that learns to tell shapes."""

import torch

from xaibook.translation import conflict, scenes
from xaibook.translation.conflict import by_shape, shape_classifier, warm


def test_warm_petals_are_red_rather_than_blue_in_either_domain():
    a, b = (scenes.paired(shape, 40) for shape in scenes.DOMAINS)
    assert torch.equal(warm(a), warm(b))
    for seed, hot in zip(range(scenes.TEST_FIRST, scenes.TEST_FIRST + 40), warm(a), strict=True):
        red, _, blue = scenes.scene(seed, "round").flower.petal
        if abs(red - blue) > 60:
            assert bool(hot) == (red > blue)


def test_a_classifier_learns_and_a_seed_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(conflict, "STEPS", 6)
    some = [scenes.training(shape, 96).images for shape in scenes.DOMAINS]
    images, domains = torch.cat(some), torch.arange(2).repeat_interleave(96)
    one, again = (shape_classifier(images, domains, seed=3) for _ in range(2))
    assert torch.equal(one(images), again(images))
    right = [by_shape(one, x, domain).float().mean() for domain, x in enumerate(some)]
    assert sum(right) / 2 == (one(images).argmax(1) == domains).float().mean()
    assert one.classes == ("round", "pointed")
