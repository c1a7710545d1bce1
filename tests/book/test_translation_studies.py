"""The studies of translated shapes measure what they say, and hold what the chapter says."""

import pandas as pd
import pytest
import torch

from studies import silhouettes, translation
from studies.benchmark import SEEDS
from xaibook.chapter import stored
from xaibook.translation import load_judge, load_pair, scenes, scoring
from xaibook.translation.trained import load_classifier, pictures
from xaibook.translation.training import Adam

ONCE = Adam(epochs=1, learning_rate=1e-3, batch_size=8)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Few pictures, one short training a step, and a folder of its own."""
    few = tuple(scenes.training(shape, 32) for shape in scenes.DOMAINS)
    monkeypatch.setattr(translation, "training", lambda: few)
    test = tuple(scenes.paired(shape, 12) for shape in scenes.DOMAINS)
    monkeypatch.setattr(translation, "shown", lambda: test)
    monkeypatch.setattr("studies.vebi.KEPT", tmp_path)
    for module, name in ((translation, "KEPT"), (translation, "WEIGHTS")):
        monkeypatch.setattr(module, name, tmp_path)
    monkeypatch.setattr(translation, "SEEDS", (0,))
    chosen = ("full", "independent, no similarity", "before step 3")
    fewer = {name: translation.VARIANTS[name] for name in chosen}
    monkeypatch.setattr(translation, "VARIANTS", fewer)
    monkeypatch.setattr("xaibook.translation.training.STEP_1", ONCE)
    monkeypatch.setattr("xaibook.translation.training.STEP_2", {"warm": ONCE, "independent": ONCE})
    return tmp_path


def test_every_variant_floor_and_ceiling_is_scored_in_both_directions(small):
    table = pd.concat(translation.scores())
    names = set(translation.VARIANTS) | {"unchanged", "nearest", "VAE of the answer", "answer"}
    assert names <= set(table["variant"])
    assert set(table["network"]) == {"forth-seed0", "back-seed0"}
    assert (table.groupby(["network", "variant"]).size() == 12).all()
    answer = table[table["variant"] == "answer"]
    assert (answer["colour"] == 0).all()
    assert (answer["R2"] == 1).all()
    again = pd.concat(translation.scores())  # from disk
    pd.testing.assert_frame_equal(again, table)
    probed = pd.concat(translation.codes())
    assert set(probed["variant"]) == set(translation.VARIANTS)
    assert not probed["value"].isna().any()
    assert {path.name for path in (small / "translation 0").iterdir()} >= {"step1.pt"}


def test_tinted_shapes_have_the_ink_and_the_paper_they_were_given():
    grey = torch.zeros(20, 28, 28)
    grey[:, 6:22, 10:18] = 1
    images = silhouettes.tint(grey, 3)
    ink, paper = images[:, :, 12, 16], images[:, :, 0, 0]
    torch.testing.assert_close(silhouettes.ink(images), ink)
    torch.testing.assert_close(silhouettes.paper(images), paper)
    assert ((images >= 0) & (images <= 1)).all()
    assert (paper.amin(1) > 0.6).all()
    assert (ink.amax(1) <= 0.8).all()
    found = silhouettes.covered(images).mean((1, 2))
    torch.testing.assert_close(found, torch.full((20,), 128 / 1024), atol=1e-3, rtol=0)
    assert not torch.equal(images, silhouettes.tint(grey, 4))


def test_slant_is_how_far_a_stroke_leans():
    grey = torch.zeros(2, 28, 28)
    for row in range(4, 24):
        grey[0, row, 13:16] = 1
        column = 8 + row // 2
        grey[1, row, column : column + 3] = 1
    upright, leaning = silhouettes.slant(silhouettes.tint(grey, 0)).tolist()
    assert upright == pytest.approx(0, abs=1e-3)
    assert leaning == pytest.approx(0.5, abs=0.05)


# The stored records, weights and pictures ---------------------------------------------------------


def test_the_stored_pair_makes_the_stored_pictures():
    """In half precision, and the pictures in eight bits; another processor rounds otherwise."""
    source = scenes.paired("round", 8).images
    kept = pictures()
    torch.testing.assert_close(load_pair().forth(source), kept["steps"][-1], atol=0.02, rtol=0)
    assert kept["steps"].shape[1:] == source.shape
    both = {f"{name}: {way}" for name in translation.VARIANTS for way in ("forth", "back")}
    assert set(kept) == both | {"steps", *(f"similarity {w:g}" for w in translation.TRADE)}


@pytest.mark.parametrize(
    ("name", "most"),
    [("", 1_200_000), ("-judge", 250_000), ("-colour", 200_000), ("-shape", 200_000)],
)
def test_weight_files_are_small_half_precision_and_safe(name, most):
    path = translation.WEIGHTS / f"translation{name}.pt"
    assert path.stat().st_size <= most
    state = torch.load(path, weights_only=True)
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}


def test_the_stored_pair_translates():
    task = scoring.tasks(*(scenes.paired(shape, 64) for shape in scenes.DOMAINS), load_judge())
    pair = load_pair()
    for direction, made in (("forth", pair.forth), ("back", pair.back)):
        found = task[direction].score(made(task[direction].source.images))
        assert found["shape"].mean() >= 0.95
        assert found["outline"].mean() > 0.75
        assert found["colour"].nanmean() < 0.1


def test_the_stored_classifiers_decide_by_their_cue():
    a = scenes.paired("round", 48)
    agrees = translation.warm(a)
    for cue, by_cue in (("colour", agrees), ("shape", torch.ones(48).bool())):
        taken_for_round = load_classifier(cue)(a.images).argmax(1) == 0
        assert (taken_for_round == by_cue).float().mean() > 0.8


def test_seeds_variants_and_pictures_are_whole():
    table, _ = stored("translation.scores")
    sizes = table.groupby(["network", "variant"]).size()
    assert (sizes == scenes.PAIRS).all()
    assert not table.duplicated(["network", "variant", "image"]).any()
    ways = {f"{way}-seed{seed}" for way in ("forth", "back") for seed in SEEDS}
    assert set(table["network"]) == ways
    assert set(sizes.groupby("network").size()) == {len(sizes) // len(ways)}


def test_the_gan_moves_the_shape_in_every_training():
    table, _ = stored("translation.scores")
    shape = table.groupby(["network", "variant"])["shape"].mean().unstack()
    assert (shape["full"] > 0.9).all()
    assert (shape["full"] - shape["no GAN"] > 0.3).all()
    assert (shape.loc[shape.index.str.startswith("forth"), "no GAN"] < 0.25).all()


def test_the_circle_closes_around_a_wrong_pairing():
    table, _ = stored("translation.scores")
    r2 = table.groupby(["network", "variant"])["R2"].first().unstack()
    cycle = table.groupby(["network", "variant"])["cycle"].mean().unstack()
    free = "independent, no similarity"
    assert (r2[free].dropna() < 0).all()
    assert (r2["full"] > 0.9).all()
    assert (cycle[free] - cycle["full"]).abs().max() < 0.02
