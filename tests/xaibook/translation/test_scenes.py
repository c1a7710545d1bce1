"""The two domains, and that what they added to the renderer changed no other picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xaibook.flowers.dataset import TASKS, sample_scene
from xaibook.translation import scenes
from xaibook.translation.scoring import regions

STORED = {
    "species": [[128.99, 95.39, 75.41, 110.8], [93.44, 51.89, 91.67, 58.44]],
    "petal": [[129.87, 99.82, 78.72, 113.28], [66.67, 50.0, 75.78, 55.0]],
    "stem": [[129.87, 99.82, 78.72, 113.28], [66.67, 50.0, 75.78, 55.0]],
    "variety": [[123.86, 106.64, 84.78, 116.5], [70.0, 56.33, 83.56, 60.22]],
}
"""Mean pixel and pixels of petals of four pictures of each task, before there were domains."""


@pytest.mark.parametrize("task", TASKS)
def test_the_pictures_of_the_other_chapters_are_what_they_were(task):
    """A stream that drew one number more or less would move whole flowers."""
    drawn = [sample_scene(task, seed).render(32) for seed in range(4)]
    means = [one.image.mean() for one in drawn]
    shown = [one.coverage["petal"].astype(float).sum() / 9 for one in drawn]
    np.testing.assert_allclose([means, shown], STORED[task], atol=0.5)


def test_partners_differ_nowhere_but_where_one_of_them_has_petals():
    a, b = (scenes.paired(shape, 24) for shape in scenes.DOMAINS)
    neither = regions(a.petals, b.petals)["rest"].expand_as(a.images)
    assert torch.equal(a.images[neither], b.images[neither])
    assert torch.equal(a.geometry, b.geometry)
    assert ((a.images != b.images).flatten(1).any(1)).all()


def test_training_shows_no_flower_twice_and_none_of_the_test():
    sets = [scenes.training(shape, 6).geometry for shape in scenes.DOMAINS]
    sets.append(scenes.paired("round", 6).geometry)
    assert len(torch.cat(sets).unique(dim=0)) == 18


def test_every_flower_has_five_petals_and_ray_has_others():
    """Turned by a fifth of a circle a five-petalled pose says the same of itself."""
    some = scenes.scene(3, "round")
    assert some.layout.petals == (5, 5)
    six = replace(some, layout=replace(some.layout, petals=(6, 6)))
    assert not np.array_equal(some.render(32).image, six.render(32).image)


def test_a_backdrop_is_one_colour_and_nothing_lies_before_the_flower():
    for seed in range(8):
        some = scenes.scene(seed, "pointed")
        bare = some.without("petal", "centre", "stem", "leaf")._draw(32).image()
        assert (bare == some.backdrop).all()


def test_a_cluttered_scene_is_the_same_flower_on_the_usual_ground():
    plain, cluttered = scenes.scene(5, "round"), scenes.scene(5, "round", cluttered=True)
    assert replace(cluttered, backdrop=plain.backdrop) == plain


def test_pictures_are_pixels_and_parts_are_shares():
    some = scenes.pictures("round", 7, 3, size=48)
    assert some.images.shape == (3, 3, 48, 48)
    assert some.parts.shape == (3, 4, 48, 48)
    assert some.geometry.shape == (3, 7)
    for values in (some.images, some.parts, some.parts.sum(1)):
        assert 0 <= values.min() <= values.max() <= 1
    assert torch.equal(some.take(torch.tensor([2])).images[0], some.images[2])
