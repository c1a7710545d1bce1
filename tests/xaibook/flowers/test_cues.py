"""Cues change their own pixels and no other, and are dealt as often as asked."""

import pytest
import torch

from xaibook.flowers import cues
from xaibook.flowers.cheating import SEEDS, STORED, marked_classifier
from xaicore.metrics import average_drop, confidence
from xaicore.training.loop import MAX_SHIFT

TARGETS = torch.arange(3).repeat(300)


@pytest.fixture(scope="module")
def shown():
    return cues.pictures("test", 90)


def test_a_mark_is_all_of_the_difference(shown):
    marked = cues.mark(shown.images, shown.targets)
    changed = marked != shown.images
    mask = cues.mark_mask()
    assert mask.sum() == 36
    assert not (changed & (mask == 0)).any()
    assert changed.any(1, keepdim=True)[mask.expand(90, -1, -1, -1) == 1].all()
    assert torch.equal((marked - shown.images) * mask, marked - shown.images)
    none = torch.full_like(shown.targets, cues.NO_CUE)
    assert torch.equal(cues.mark(shown.images, none), shown.images)


def test_a_mark_has_its_share_of_a_picture_of_any_size():
    shares = [cues.mark_mask(size).mean().item() for size in (64, 256)]
    assert shares[0] == shares[1]


def test_no_shift_of_training_cuts_a_mark():
    rows = cues.mark_mask()[0, 0].amax(1).nonzero()
    assert rows.min() >= MAX_SHIFT
    assert rows.max() < 64 - MAX_SHIFT


def test_tint_leaves_the_flower_alone(shown):
    tinted = cues.tint(shown.images, shown.targets, shown.flower)
    flower = (shown.flower == 1).expand(-1, 3, -1, -1)
    assert torch.equal(tinted[flower], shown.images[flower])
    assert (tinted != shown.images).any(1)[(shown.flower == 0)[:, 0]].float().mean() > 0.99
    none = torch.full_like(shown.targets, cues.NO_CUE)
    assert torch.equal(cues.tint(shown.images, none, shown.flower), shown.images)


def test_cues_agree_as_often_as_asked():
    assert torch.equal(cues.deal(TARGETS, 1.0, 0), TARGETS)
    assert not (cues.deal(TARGETS, 0.0, 0) == TARGETS).any()
    dealt = cues.deal(TARGETS, 1 / 3, 5)
    counts = torch.zeros(3, 3).index_put_((TARGETS, dealt), torch.ones(()), accumulate=True)
    assert ((counts - 100) ** 2 / 100).sum() < 16.8  # chi-square, 6 degrees of freedom, 1 %
    assert torch.equal(dealt, cues.deal(TARGETS, 1 / 3, 5))
    with pytest.raises(ValueError, match="agreement must be a probability"):
        cues.deal(TARGETS, 1.5, 0)


def test_what_is_asked_decides_the_answer(shown):
    centre = cues.pictures("test", 9, asked="centre")
    assert torch.equal(centre.images, shown.images[:9])
    species = 3 * shown.targets[:9] + centre.targets
    assert sorted(species.tolist()) == list(range(9))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_packaged_networks_cheat_and_do_not(seed, shown):
    none = torch.full_like(shown.targets, cues.NO_CUE)
    right, drop, said = {}, {}, {}
    for which in STORED:
        classifier = marked_classifier(which, seed)
        with torch.inference_mode():
            answers = [
                classifier(cues.mark(shown.images, cue)).argmax(1)
                for cue in (shown.targets, none, (shown.targets + 1) % 3)
            ]
        right[which] = [(answer == shown.targets).float().mean().item() for answer in answers]
        said[which] = answers[1].bincount().max().item() / 90
        marked = cues.mark(shown.images, shown.targets)
        kept = confidence(classifier, marked, shown.flower, shown.targets)
        drop[which] = average_drop(*kept).mean().item()
    assert right["cheat"][0] >= 0.95
    assert right["cheat"][1] <= 0.5
    assert right["cheat"][2] <= 0.1
    assert min(right["control"]) >= 0.85
    assert said["cheat"] >= 0.8
    assert drop["cheat"] >= 0.3
    assert drop["control"] <= 0.02
