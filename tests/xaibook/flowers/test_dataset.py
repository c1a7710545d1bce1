"""The properties that make the flowers' masks a valid ground truth, each with its number."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from xaibook.flowers.dataset import (
    FLOWER_PARTS,
    PALETTE,
    RIVAL_SHARE,
    SPLITS,
    TASKS,
    Flowers,
    class_names,
    class_parts,
    consistent_classes,
    label,
    sample_scene,
)
from xaibook.flowers.rendering import COLOURS, PARTS, SHAPES, SUBPIXELS, Flower, Scene

COUNT = 400


@pytest.fixture(scope="module")
def twins():
    """400 training scenes of the petal and stem tasks, with their pictures."""
    scenes = [sample_scene("petal", seed) for seed in range(COUNT)]
    return scenes, [scene.render() for scene in scenes]


@pytest.fixture(scope="module")
def species():
    """300 test pictures of the species task."""
    return Flowers("species", "test", 300)


def changed(before, after):
    """Mark the pixels in which two pictures differ."""
    return (before.image != after.image).any(-1)


def seen(picture, part):
    """Mark the pixels in which at least one ninth shows the part."""
    return picture.coverage[part] > 0


def majority_colour(image, weight=1.0, reach=np.inf):
    """Return the palette colour nearest to most pixels, among pixels within reach of one."""
    palette = np.array([COLOURS[name] for name in PALETTE], np.float32)
    distance = np.linalg.norm(image[..., None, :].astype(np.float32) - palette, axis=-1)
    votes = (distance.min(-1) < reach) * weight
    return np.bincount(distance.argmin(-1).ravel(), votes.ravel(), len(PALETTE)).argmax()


def mutual_information(a, b):
    """Return the mutual information of two label sequences, in bits."""
    joint = np.histogram2d(a, b, bins=(np.unique(a).size, np.unique(b).size))[0] / len(a)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    kept = joint > 0
    return (joint[kept] * np.log2(joint[kept] / independent[kept])).sum()


# What is rendered ---------------------------------------------------------------------------------


def test_the_same_scenes_are_drawn_at_every_size():
    small = Flowers("species", "test", 6)
    large = Flowers("species", "test", 6, size=256)
    assert torch.equal(small.targets, large.targets)
    shrunk = torch.nn.functional.avg_pool2d(large.images, 4)
    assert (shrunk - small.images).abs().mean() < 0.03  # of the grain of the ground
    assert (shrunk - small.images.roll(1, 0)).abs().mean() > 0.1
    petals = torch.nn.functional.avg_pool2d(large.masks["petal"], 4)
    assert (petals - small.masks["petal"]).abs().mean() < 0.01


@pytest.mark.parametrize("task", TASKS)
def test_data_set_has_the_stated_shapes_types_and_ranges(task):
    flowers = Flowers(task, "validation", 5, size=48)
    image, target = flowers[3]
    assert flowers.images.shape == (5, 3, 48, 48)
    assert flowers.images.dtype == torch.float32
    assert 0 <= flowers.images.min() < 0.2
    assert 0.8 < flowers.images.max() <= 1
    assert flowers.targets.shape == (5,)
    assert flowers.targets.dtype == torch.int64
    assert set(flowers.masks) == set(PARTS)
    for mask in flowers.masks.values():
        assert mask.shape == (5, 1, 48, 48)
        assert mask.dtype == torch.float32
    assert torch.equal(image, flowers.images[3])
    assert target == flowers.targets[3]
    assert len(flowers) == 5
    assert len(flowers.classes) == {"species": 9, "petal": 4, "stem": 4, "variety": 24}[task]


def test_a_data_loader_and_a_loop_read_every_item_once():
    flowers = Flowers("stem", "test", 6, size=32)
    images, targets = zip(*DataLoader(flowers, batch_size=4), strict=True)
    assert torch.equal(torch.cat(images), flowers.images)
    assert torch.equal(torch.cat(targets), flowers.targets)
    assert sum(1 for _ in flowers) == len(flowers)


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_picture_every_time(task):
    first, second = (Flowers(task, "train", 4) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.targets, second.targets)
    assert all(torch.equal(first.masks[part], second.masks[part]) for part in PARTS)
    rendered = first.scene(2).render()
    assert torch.equal(torch.from_numpy(rendered.image).permute(2, 0, 1) / 255, first.images[2])


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    small, large = Flowers("species", "test", 10), Flowers("species", "test", 30)
    assert torch.equal(small.images, large.images[:10])
    assert torch.equal(small.targets, large.targets[:10])
    assert torch.equal(small.masks["rival"], large.masks["rival"][:10])


def test_splits_are_disjoint_and_begin_where_documented():
    assert [SPLITS[name].start for name in ("train", "validation", "test")] == [0, 800000, 900000]
    for one, other in itertools.combinations(SPLITS.values(), 2):
        assert one.stop <= other.start or other.stop <= one.start
    pictures = [Flowers("species", split, 20, size=32).images for split in SPLITS]
    assert len(torch.cat(pictures).unique(dim=0)) == 60


def test_petal_and_stem_are_the_same_pixels_with_two_labels():
    petal, stem = Flowers("petal", "test", 64), Flowers("stem", "test", 64)
    assert torch.equal(petal.images, stem.images)
    assert all(torch.equal(petal.masks[part], stem.masks[part]) for part in PARTS)
    assert not torch.equal(petal.targets, stem.targets)


def test_classes_are_balanced_in_every_split():
    for task, split in itertools.product(TASKS, SPLITS):
        labels = [label(task, sample_scene(task, seed)) for seed in SPLITS[split][:300]]
        counts = np.bincount(labels, minlength=len(class_names(task)))
        assert np.ptp(counts) <= 4


def test_a_label_is_the_class_its_name_says():
    flower = sample_scene("species", 7).flower
    assert class_names("species")[label("species", sample_scene("species", 7))] == (
        f"{flower.shape} {flower.centre}"
    )
    for part in ("petal", "stem"):
        scene = sample_scene(part, 7).recolour(part, "blue")
        assert class_names(part)[label(part, scene)] == "blue"


# Why the masks are valid --------------------------------------------------------------------------


def test_labels_are_independent_of_each_other_and_of_every_other_factor():
    scenes = [sample_scene("petal", seed) for seed in range(4000)]
    petal, stem = ([label(task, scene) for scene in scenes] for task in ("petal", "stem"))
    shape = [SHAPES.index(scene.flower.shape) for scene in scenes]
    assert mutual_information(petal, stem) < 1e-9  # every 16 seeds hold each pair once
    assert mutual_information(petal, shape) < 0.005  # chance level: 6 / (2 ln 2 · 4000) = 0.001
    assert mutual_information(stem, shape) < 0.005


def test_a_label_says_nothing_about_the_picture_without_its_part(twins):
    """A scene stripped of the part is the same picture whatever the label was."""
    for scene in twins[0][:20]:
        for part in ("petal", "stem"):
            bare = [scene.recolour(part, c).without(part).render().image for c in PALETTE]
            assert all(np.array_equal(bare[0], other) for other in bare[1:])


def test_a_part_alone_tells_its_label(twins):
    for part in ("petal", "stem"):
        told = [
            majority_colour(picture.image, picture.coverage[part]) == label(part, scene)
            for scene, picture in zip(*twins, strict=True)
        ]
        assert np.mean(told) >= 0.997


def test_finding_the_label_colour_anywhere_is_a_weak_rule(twins):
    """Distractors carry the label's colours, so a colour must be bound to its part."""
    accuracy = {
        part: np.mean(
            [
                majority_colour(picture.image, reach=60) == label(part, scene)
                for scene, picture in zip(*twins, strict=True)
            ]
        )
        for part in ("petal", "stem")
    }
    assert accuracy["petal"] < 0.6  # 0.48 on 4,000 scenes; chance is 0.25
    assert accuracy["stem"] < 0.4  # 0.29 on 4,000 scenes


@pytest.mark.parametrize("part", FLOWER_PARTS)
def test_recolouring_a_part_changes_its_pixels_and_no_others(twins, part):
    outside, inside_unchanged = [], []
    for scene, before in zip(*(half[:120] for half in twins), strict=True):
        colours = [c for c in COLOURS if c != getattr(scene.flower, part)][:2]
        one, other = (scene.recolour(part, colour).render() for colour in colours)
        for first, second in ((before, one), (one, other)):
            difference = changed(first, second)
            outside.append((difference & ~seen(first, part)).sum())
            solid = first.coverage[part] > SUBPIXELS / 2
            inside_unchanged.append((solid & ~difference).sum())
            assert all(np.array_equal(first.coverage[p], second.coverage[p]) for p in PARTS)
    assert max(outside) == 0
    assert max(inside_unchanged) == 0


@pytest.mark.parametrize("part", FLOWER_PARTS)
def test_removing_a_part_leaves_everything_outside_it(twins, part):
    for scene, before in zip(*(half[:100] for half in twins), strict=True):
        after = scene.without(part).render()
        outside = ~seen(before, part)
        assert not (changed(before, after) & outside).any()
        assert not after.coverage[part].any()
        for other in set(PARTS) - {part}:
            assert np.array_equal(before.coverage[other][outside], after.coverage[other][outside])
        if seen(before, part).any():
            assert changed(before, after).any()


def test_removing_or_recolouring_the_rival_leaves_the_flower():
    scenes = [sample_scene("species", seed) for seed in range(60)]
    scenes = [scene for scene in scenes if scene.rival is not None]
    for scene in scenes:
        before = scene.render()
        for after in (scene.without("rival").render(), scene.recolour("rival", "blue").render()):
            assert changed(before, after).any()
            assert not (changed(before, after) & ~seen(before, "rival")).any()
            for part in FLOWER_PARTS:
                assert np.array_equal(before.coverage[part], after.coverage[part])


def test_interventions_combine_and_leave_the_original_alone():
    scene = sample_scene("stem", 3)
    before = scene.render()
    stripped = scene.without("petal").without("centre", "leaf").recolour("stem", (0, 0, 0))
    coverage = stripped.render().coverage
    assert [part for part in PARTS if coverage[part].any()] == ["stem"]
    assert np.array_equal(scene.render().image, before.image)
    assert not scene.removed


def test_each_component_has_its_own_stream(twins):
    """Change one factor or one seed: what does not depend on it stays, to the bit."""
    for scene, before in zip(*(half[:40] for half in twins), strict=True):
        bare = scene.without(*PARTS)
        other_paint = dataclasses.replace(scene, paint=scene.paint + 1).render()
        other_shape = dataclasses.replace(
            scene, flower=dataclasses.replace(scene.flower, shape=SHAPES[0])
        )
        flower = np.logical_or.reduce([seen(before, part) for part in FLOWER_PARTS])
        assert not (changed(before, other_paint) & ~flower).any()
        assert np.array_equal(bare.render().image, other_shape.without(*PARTS).render().image)
        only_centre = {"petal", "stem", "leaf", "rival"}
        assert np.array_equal(
            scene.without(*only_centre).render().coverage["centre"],
            other_shape.without(*only_centre).render().coverage["centre"],
        )


def test_another_pose_keeps_the_background_and_other_clutter_keeps_the_pose():
    scene = dataclasses.replace(sample_scene("stem", 5), clutter=1)  # has no occluder
    moved = dataclasses.replace(scene, pose=77)
    assert np.array_equal(
        scene.without(*PARTS).render().image, moved.without(*PARTS).render().image
    )
    assert changed(scene.render(), moved.render()).any()
    elsewhere = dataclasses.replace(scene, clutter=2)  # nor has this one
    for part in PARTS:
        assert np.array_equal(scene.render().coverage[part], elsewhere.render().coverage[part])
    assert changed(scene.render(), elsewhere.render()).mean() > 0.9


def test_masks_are_exclusive_and_of_visible_pixels(twins):
    for scene, picture in zip(*(half[:60] for half in twins), strict=True):
        total = np.sum([picture.coverage[part].astype(int) for part in PARTS], axis=0)
        assert total.max() <= SUBPIXELS
        without_petals = scene.without("petal").render()
        assert without_petals.coverage["stem"].sum() > picture.coverage["stem"].sum()


def test_the_parts_that_carry_a_label_are_always_visible(twins, species):
    def visible(part):
        return min((picture.coverage[part] > SUBPIXELS / 2).sum() for picture in twins[1])

    assert visible("petal") >= 100
    assert visible("stem") >= 20
    for part in ("petal", "centre"):
        assert (species.masks[part] > 0.5).sum((1, 2, 3)).min() >= 20


def test_an_average_mask_does_not_find_the_parts(twins):
    """Poses vary: the best fixed map of the stem's size covers little of a stem."""
    for part, limit in (("stem", 0.15), ("petal", 0.45)):
        masks = np.stack([picture.coverage[part] > SUBPIXELS / 2 for picture in twins[1]])
        size = int(masks.sum((1, 2)).mean())
        prior = np.zeros(masks[0].size, bool)
        prior[masks.mean(0).ravel().argsort()[-size:]] = True
        share = (masks.reshape(len(masks), -1) & prior).sum(1) / masks.sum((1, 2))
        assert share.mean() < limit


def test_a_larger_picture_shows_the_same_scene():
    scene = sample_scene("stem", 11)
    small, large = scene.render(64).coverage, scene.render(192).coverage
    for part in FLOWER_PARTS:
        reduced = large[part].reshape(64, 3, 64, 3).mean((1, 3))
        assert np.abs(reduced - small[part]).mean() < 0.2


# The species task ---------------------------------------------------------------------------------


def test_two_pictures_of_five_hold_a_smaller_rival_of_another_species():
    scenes = [sample_scene("species", seed) for seed in range(3000)]
    rivals = [(scene.flower, scene.rival) for scene in scenes if scene.rival is not None]
    assert np.mean([scene.rival is not None for scene in scenes]) == pytest.approx(
        RIVAL_SHARE, abs=0.03
    )
    assert all((main.shape, main.centre) != (small.shape, small.centre) for main, small in rivals)
    label_of = TASKS["species"].label
    own, other = zip(*((label_of(main), label_of(small)) for main, small in rivals), strict=True)
    offsets = np.bincount((np.subtract(other, own)) % 9, minlength=9)
    assert offsets[0] == 0
    assert offsets[1:].min() > 0.6 * len(rivals) / 8


def test_a_rival_is_visible_and_smaller_than_the_flower(species):
    area = {part: (mask > 0.5).sum((1, 2, 3)) for part, mask in species.masks.items()}
    present = torch.tensor([species.scene(i).rival is not None for i in range(len(species))])
    assert torch.equal(area["rival"] > 0, present)
    assert area["rival"][present].min() >= 20
    flower = sum(area[part] for part in FLOWER_PARTS)
    assert (area["rival"] < flower)[present].double().mean() > 0.95


def test_no_single_factor_tells_the_species():
    """Petal hue, and the classes' colours outside the centre, leave the species open."""
    scenes = [sample_scene("species", seed) for seed in range(3000)]
    labels = [label("species", scene) for scene in scenes]
    brightest = [int(np.argmax(scene.flower.petal)) for scene in scenes]
    assert mutual_information(labels, brightest) < 0.01


# Parts and removals -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_parts_of_a_class_are_those_of_its_flowers_and_of_no_other_class(task):
    parts = class_parts(task)
    assert len(parts) == len(class_names(task)) == len({tuple(p.items()) for p in parts})
    for seed in range(30):
        scene = sample_scene(task, seed)
        for part, look in parts[label(task, scene)].items():
            shown = scene.flower.shape if look in SHAPES else getattr(scene.flower, part)
            assert shown == look


def test_what_is_removed_may_have_looked_like_that_of_any_class_with_the_same_rest():
    scene = sample_scene("species", 3)
    own = label("species", scene)
    shape, centre = divmod(own, 3)
    assert consistent_classes("species", scene) == (own,)
    assert consistent_classes("species", scene.without("stem")) == (own,)
    of_shape = tuple(range(3 * shape, 3 * shape + 3))
    assert consistent_classes("species", scene.without("centre")) == of_shape
    assert consistent_classes("species", scene.without("petal")) == tuple(range(centre, 9, 3))
    assert consistent_classes("species", scene.without("petal", "centre")) == tuple(range(9))
    twin = sample_scene("stem", 3)
    assert consistent_classes("stem", twin.without("petal")) == (label("stem", twin),)
    assert consistent_classes("stem", twin.without("stem")) == (0, 1, 2, 3)


def test_a_variety_is_told_by_less_than_all_its_parts_but_by_no_single_one():
    """So parts can be removed one by one before the class is lost."""
    parts = class_parts("variety")
    every = set(FLOWER_PARTS)
    told = {size: [] for size in range(5)}
    for own in parts:
        for size, found in told.items():
            for kept in itertools.combinations(sorted(every), size):
                same = [other for other in parts if all(other[p] == own[p] for p in kept)]
                found.append(len(same) == 1)
    assert np.mean(told[1]) == 0
    assert 0.1 < np.mean(told[2]) < 0.5
    assert 0.5 < np.mean(told[3]) < 0.9
    assert np.mean(told[4]) == 1


def test_every_variety_has_all_its_parts_in_the_picture():
    flowers = Flowers("variety", "test", 200)
    for part in FLOWER_PARTS:
        area = (flowers.masks[part] > 0.5).sum((1, 2, 3))
        assert (area > 0).double().mean() > 0.97
    assert flowers.masks["rival"].sum() == 0


def test_a_share_of_the_pictures_loses_any_number_of_parts():
    flowers = Flowers("variety", "validation", 400, size=16, removed=0.5)
    lost = np.array([len(flowers.scene(i).removed) for i in range(400)])
    counts = np.bincount(lost, minlength=5)
    assert counts[0] == pytest.approx(240, abs=35)  # half of them, and a fifth of the others
    assert counts[1:] == pytest.approx([40] * 4, abs=25)
    share = [np.mean([p in flowers.scene(i).removed for i in range(400)]) for p in FLOWER_PARTS]
    assert share == pytest.approx([0.25] * 4, abs=0.08)
    whole = Flowers("variety", "validation", 400, size=16)
    same = (flowers.images == whole.images).flatten(1).all(1)
    assert torch.equal(same[lost == 0], torch.ones(counts[0], dtype=torch.bool))
    assert torch.equal(flowers.targets, whole.targets)


def test_what_is_allowed_is_what_the_rest_of_the_parts_leaves_open():
    flowers = Flowers("stem", "train", 60, size=16, removed=1.0)
    for i in range(60):
        gone = "stem" in flowers.scene(i).removed
        assert flowers.allowed[i].sum() == (4 if gone else 1)
        assert flowers.allowed[i, flowers.targets[i]]


def test_an_intervention_is_rendered_for_every_picture():
    flowers = Flowers("petal", "test", 5, size=32)
    assert torch.equal(flowers.changed(lambda scene: scene), flowers.images)
    bare = flowers.changed(lambda scene: scene.without("petal"))
    other = (bare != flowers.images).any(1, keepdim=True)
    assert other.any()
    assert not (other & (flowers.masks["petal"] == 0)).any()


def test_an_object_of_the_background_can_be_cleared_and_nothing_else_changes():
    for seed in range(12):
        scene = sample_scene("variety", seed)
        before, objects = scene.render(), scene.objects()
        layout = scene.layout
        least, most = (layout.distractors[i] + layout.blobs[i] for i in range(2))
        assert least <= len(objects) <= most
        total = objects.sum(0, dtype=int)
        for part in FLOWER_PARTS:
            total = total + before.coverage[part]
        assert total.max() <= SUBPIXELS
        for i, mask in enumerate(objects):
            after = scene.clear(i).render()
            assert not (changed(before, after) & (mask == 0)).any()
            assert not scene.clear(i).objects()[i].any()
            assert all(np.array_equal(before.coverage[p], after.coverage[p]) for p in PARTS)
        bare = scene.clear(*range(len(objects)))
        assert not bare.objects().any()


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Flowers("colour"), r"unknown task 'colour': use one of species, petal, stem"),
        (lambda: Flowers("stem", removed=1.5), r"removed must be a share, from 0 to 1, not 1.5"),
        (lambda: label("variety", sample_scene("stem", 0)), r"no variety has these parts"),
        (lambda: Flowers("stem", "dev"), r"unknown split 'dev': use one of train, validation"),
        (lambda: Flowers("stem", "test", 0), r"n must be from 1 to 100000 for test, not 0"),
        (lambda: Flowers("stem", "test", 100_001), r"n must be from 1 to 100000"),
        (lambda: Flowers("stem", "test", 1, size=8), r"size must be at least 16 pixels, not 8"),
        (lambda: class_names("tulip"), r"unknown task 'tulip'"),
        (lambda: sample_scene("stem", -1), r"seed must be 0 or more, not -1"),
        (lambda: sample_scene("stem", 0).recolour("root", "red"), r"unknown part 'root'"),
        (lambda: sample_scene("stem", 0).recolour("stem", "pink"), r"unknown colour 'pink'"),
        (lambda: sample_scene("stem", 0).recolour("stem", (0, 0, 256)), r"integers in \[0, 255\]"),
        (lambda: sample_scene("stem", 0).recolour("rival", "red"), r"no rival flower"),
        (lambda: sample_scene("stem", 0).without("thorn"), r"unknown part 'thorn'"),
        (lambda: label("stem", sample_scene("stem", 0).recolour("stem", "grey")), r"no label"),
        (lambda: Flower("oval", "red", "grey"), r"unknown shape 'oval'"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_scene_is_a_value():
    assert sample_scene("species", 4) == sample_scene("species", 4)
    assert isinstance(hash(sample_scene("species", 4)), int)
    assert sample_scene("species", 4) != sample_scene("species", 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample_scene("species", 4).pose = 1
    assert isinstance(sample_scene("species", 4), Scene)
