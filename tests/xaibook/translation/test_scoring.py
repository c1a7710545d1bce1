"""A perfect answer has perfect scores, and what is no answer has the scores of none."""

import pytest
import torch

from xaibook.translation import load_judge, scenes, scoring
from xaibook.translation.judge import blur
from xaibook.translation.model import Pair
from xaibook.translation.training import new_vae


@pytest.fixture(scope="module")
def both():
    return tuple(scenes.paired(shape, 48) for shape in scenes.DOMAINS)


@pytest.fixture(scope="module")
def judge():
    return load_judge()


@pytest.fixture(scope="module")
def forth(both, judge):
    return scoring.tasks(*both, judge)["forth"]


def means(found):
    return {name: values.nanmean().item() for name, values in found.items()}


def test_regions_share_out_what_is_sure(both):
    masks = scoring.regions(both[0].petals, both[1].petals)
    assert (sum(mask.int() for mask in masks.values()) <= 1).all()
    assert all(masks[name].any() for name in ("core", "gone", "rest"))
    back = scoring.regions(both[1].petals, both[0].petals)
    assert torch.equal(masks["gone"], back["new"])
    assert torch.equal(masks["core"], back["core"])


def test_the_truth_scores_best(forth):
    found = means(forth.score(forth.answer.images))
    assert found["l1"] == found["colour"] == found["core"] == found["rest"] == 0
    assert found["shape"] == 1
    assert found["outline"] > 0.85
    scores = forth.score(forth.answer.images)
    assert scoring.explained(scores["colour"], scores["deviation"]) == 1
    assert scoring.spread(forth.answer.images, forth.answer.images) == 1


def test_an_unchanged_picture_keeps_everything_but_the_shape(forth):
    found = means(forth.score(forth.source.images))
    assert found["rest"] == 0
    assert found["colour"] < 0.02
    assert found["shape"] < 0.05
    assert found["outline"] < 0.7


def test_one_picture_for_all_is_no_answer(forth):
    images = forth.answer.images.mean(0, keepdim=True).expand_as(forth.answer.images)
    scores = forth.score(images)
    assert scoring.spread(images, forth.answer.images) == 0
    assert scoring.explained(scores["colour"], scores["deviation"]) < 0.1


def test_a_permutation_explains_less_than_nothing(forth):
    scores = forth.score(forth.answer.images.roll(1, 0))
    assert scoring.explained(scores["colour"], scores["deviation"]) < 0
    assert scores["shape"].mean() == 1
    assert scores["other"].mean() > 0.85  # for each shows the flower before it
    assert scores["outline"].mean() < 0.6


def test_a_batch_scores_as_its_pictures_do(forth):
    whole = forth.score(forth.source.images)
    for i in range(3):
        one = torch.tensor([i])
        task = scoring.Task(forth.source.take(one), forth.answer.take(one), True, forth.judge)
        single = task.score(forth.source.images[one])
        for name in set(whole) - {"other", "deviation"}:
            torch.testing.assert_close(single[name][0], whole[name][i], atol=1e-5, rtol=0)


def test_the_judge_reads_blurred_pictures_too(both, judge):
    for domain, some in enumerate(both):
        mask, shape = judge(blur(some.images, 0.8))
        assert ((shape > 0) == bool(domain)).float().mean() >= 0.95
        assert scoring.overlap(mask[:, 0] > 0, some.petals[:, 0] > 0.5).mean() > 0.8


def test_blurring_keeps_a_plain_picture():
    plain = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(blur(plain, 0.7), plain)


def test_overlap_by_hand():
    one, other = torch.zeros(2, 2, 4, 4).bool()
    one[0, 0], other[0, :, 0] = True, True
    assert scoring.overlap(one, other).tolist() == pytest.approx([1 / 7, 0])


def test_floors_are_what_they_say(forth):
    others = scenes.training("pointed", 40).images
    found = scoring.floors(forth, others)
    assert found["unchanged"] is forth.source.images
    for name in ("nearest", "random"):
        assert all((image == others).flatten(1).all(1).any() for image in found[name][:5])
    own = scoring.floors(scoring.Task(*[forth.answer] * 2, True, forth.judge), forth.answer.images)
    assert torch.equal(own["nearest"], forth.answer.images)
    same = scoring.recoloured(others, others)
    torch.testing.assert_close(same, others, atol=1e-5, rtol=0)


def test_a_pair_that_changes_nothing_closes_the_circle(both):
    vae = new_vae(0)
    pair = Pair(vae, vae)
    again = scoring.round_trip(pair, both[0].images, "forth")
    twice = pair.back(pair.forth(both[0].images))
    torch.testing.assert_close(again, (twice - both[0].images).abs().mean((1, 2, 3)))
