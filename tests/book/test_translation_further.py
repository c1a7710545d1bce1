"""What was tried beyond the chapter's settings is what it says, and is measured as the rest is."""

from functools import partial

import pandas as pd
import pytest
import torch

from studies import translation, translation_further
from studies.translation_further import (
    PLAIN,
    RUNS,
    Run,
    Shifted,
    World,
    lessened,
    paired_loss,
    rendered,
    styled_vae,
)
from xaibook.chapter import stored
from xaibook.translation import scenes
from xaibook.translation.model import CODE, Pair
from xaibook.translation.training import Adam, learn_to_translate, new_vae

ONCE = Adam(epochs=1, learning_rate=1e-3, batch_size=8)


@pytest.fixture(scope="module")
def images():
    return scenes.training("round", 16).images


def test_a_style_code_is_read_off_means_and_sets_the_decoder_s_channels(images):
    vae = styled_vae(3)
    style = slice(CODE - translation_further.STYLE_NUMBERS, CODE)
    codes = vae.encode(images[:2]).detach()
    assert codes.shape == (2, CODE)
    changed = codes.clone()
    changed[:, style] += 1
    assert not torch.allclose(vae.decoder(changed), vae.decoder(codes))
    torch.nn.init.zeros_(vae.decoder[-1].weight)
    torch.testing.assert_close(vae.decoder(changed), vae.decoder(codes))
    changed[:, 0] += 1
    assert not torch.allclose(vae.decoder(changed), vae.decoder(codes))


def test_the_difference_of_mean_codes_leads_there_and_back(images):
    vae = new_vae(0)
    same = Shifted(vae, torch.zeros(CODE))
    decoded = vae.decoder(vae.encode(images))
    torch.testing.assert_close(same.forth(images), decoded)
    torch.testing.assert_close(same.back(images), decoded)
    shift = torch.linspace(-1, 1, CODE)
    torch.testing.assert_close(Shifted(vae, shift).forth(images), Shifted(vae, -shift).back(images))


def test_shared_layers_stay_shared_and_the_others_apart(images, monkeypatch, tmp_path):
    quick = partial(learn_to_translate, recipe=ONCE)
    monkeypatch.setattr(translation_further, "learn_to_translate", lambda *a: quick(*a[:6]))
    pair = translation_further.shared(images, images, 0, tmp_path)
    a, b = pair.a, pair.b
    assert a.encoder.layers[-1] is b.encoder.layers[-1]
    assert a.decoder[0] is b.decoder[0]
    assert a.decoder[2] is b.decoder[2]
    assert not torch.equal(a.decoder[4].weight, b.decoder[4].weight)


def test_right_answers_cost_nothing(images):
    pair = Pair(new_vae(0), new_vae(1))
    with torch.no_grad():
        forth, back = pair.forth(images), pair.back(images)
        loss = paired_loss(pair, torch.cat([images, images], 1), torch.arange(16))
    expected = (forth - images).square().mean() + (back - images).square().mean()
    torch.testing.assert_close(loss, expected)


def test_larger_pictures_are_judged_as_the_small_ones_are():
    large, small = (rendered(World(size=size), (5, 5), 4)[1] for size in (64, 32))
    less = lessened(large)
    assert less.images.shape == small.images.shape
    assert (less.petals - small.petals).abs().mean() < 0.02
    assert all(torch.equal(x, y) for x, y in zip(lessened(small), small, strict=True))


def test_what_is_tried_is_measured_and_shown(images, monkeypatch, tmp_path):
    monkeypatch.setattr(translation_further, "KEPT", tmp_path)
    monkeypatch.setattr(translation_further, "WEIGHTS", tmp_path)
    monkeypatch.setattr("studies.vebi.KEPT", tmp_path)
    few = rendered(PLAIN, (0, 10_000), 16)
    monkeypatch.setattr(translation_further, "training", lambda _: few)
    test = rendered(PLAIN, (scenes.TEST_FIRST,) * 2, 8)
    monkeypatch.setattr(translation_further, "shown", lambda _: test)
    untrained = Run(lambda a, b, seed, folder: Pair(styled_vae(0), styled_vae(1)))
    monkeypatch.setattr(translation_further, "RUNS", {"untrained": untrained})
    table = pd.concat(translation_further.further())
    means = table.pivot(index="what", columns="direction", values="value")
    assert (means.loc["answer: R2"] == 1).all()
    assert (means.loc["answer: colour"] == 0).all()
    assert (means.loc["unchanged: shape"] == 0).all()
    strips = torch.load(tmp_path / "translation-further.pt", weights_only=True)
    assert {name: tuple(x.shape) for name, x in strips.items()} == dict.fromkeys(
        [f"untrained: {side}" for side in ("source", "made", "partner")], (4, 3, 32, 32)
    )


def test_what_is_stored_is_whole():
    table, _ = stored("translation.further")
    assert set(table["variant"]) == set(RUNS)
    assert not table["value"].isna().any()
    assert not table.duplicated(["variant", "direction", "what"]).any()
    pictures = torch.load(translation.WEIGHTS / "translation-further.pt", weights_only=True)
    assert {name.partition(":")[0] for name in pictures} == set(RUNS)
    assert {x.dtype for x in pictures.values()} == {torch.uint8}
