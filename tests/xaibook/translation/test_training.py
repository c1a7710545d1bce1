"""The three steps at small scale: what learns from what, resumed, shared, and written to a file."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.ranks import together
from xaibook.translation import losses, scenes
from xaibook.translation.__main__ import parser
from xaibook.translation.model import VAE, Discriminator, Pair
from xaibook.translation.trained import load_pair
from xaibook.translation.training import (
    CAMERA,
    Adam,
    Translator,
    Unpaired,
    Weights,
    learn_to_translate,
    new_vae,
    pretrain,
    train_vae,
)
from xaicore.cli.main import run
from xaicore.processes import connection

TINY = Adam(epochs=2, learning_rate=1e-3, batch_size=8, betas=(0.5, 0.99))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images():
    """Sixteen training pictures of each domain."""
    return tuple(scenes.training(shape, 16).images for shape in scenes.DOMAINS)


@pytest.fixture
def pair():
    return Pair(new_vae(0), new_vae(1))


def batch_of(images, seed=0):
    data = Unpaired(*images, VAE().code, CPU)
    everything = [torch.arange(len(data))]
    generator = torch.Generator().manual_seed(seed)
    (batch, _), *rest = data.epoch(everything, slice(None), generator)
    assert not rest
    return batch


def gradients(translator, loss):
    translator.zero_grad()
    loss.backward()
    return {
        name: None if p.grad is None or not p.grad.any() else p.grad.clone()
        for name, p in translator.named_parameters()
    }


def test_sizes_are_those_of_the_chapter():
    count = {net: sum(p.numel() for p in net.parameters()) for net in (VAE(), Discriminator())}
    assert list(count.values()) == [281936, 44020]
    with pytest.raises(ValueError, match="multiple of 4"):
        VAE(30)


def test_a_batch_gives_what_its_pictures_give(pair, images):
    singles = torch.cat([pair.forth(image[None]) for image in images[0][:4]])
    torch.testing.assert_close(pair.forth(images[0][:4]), singles, atol=1e-5, rtol=0)


def test_translating_into_the_own_domain_is_reconstruction(pair, images):
    alone = Pair(pair.a, pair.a)
    with torch.no_grad():
        again = pair.a.decoder(pair.a.encode(images[0]))
    assert torch.equal(alone.forth(images[0]), again)
    assert torch.equal(alone.back(images[0]), again)


def test_the_adversaries_learn_from_their_own_losses_alone(pair, images):
    batch = batch_of(images)
    translator = Translator(pair, Weights())
    terms = translator(batch)
    of_d = gradients(translator, terms["discriminator"])
    assert {name for name, g in of_d.items() if g is not None} == {
        name for name in of_d if name.startswith("discriminator.")
    }
    for name in ("vae", "gan", "cycle", "similarity"):
        found = gradients(translator, translator(batch)[name])
        assert all(g is None for n, g in found.items() if n.startswith("discriminator."))
        assert any(g is not None for g in found.values())


def test_the_terms_are_the_losses_written_out(pair, images):
    """With the code's variance and the camera's noise gone, nothing is left to chance."""
    for vae in (pair.a, pair.b):
        head = vae.encoder.layers[-1]
        nn.init.constant_(head.bias[vae.code :], -100)
    batch = batch_of(images)
    silent = batch._replace(camera=0 * batch.camera, translated=0 * batch.translated)
    translator = Translator(pair, Weights())
    terms, D = translator(silent), translator.discriminator
    a, b = images[0][: len(batch.codes)], batch.b[: len(batch.codes)]
    noise = batch.codes.unbind(1)
    z_a, z_b = (vae.sample(x, n)[0] for vae, x, n in ((pair.a, a, noise[0]), (pair.b, b, noise[1])))
    ab, ba = pair.b.decoder(z_a), pair.a.decoder(z_b)
    fooled = ((D(ba)[:, 0] - 1) ** 2).mean() + ((D(ab)[:, 1] - 1) ** 2).mean()
    torch.testing.assert_close(terms["gan"], fooled)
    learning = losses.discerning(D(batch.a), D(batch.b), D(ba), D(ab))
    torch.testing.assert_close(terms["discriminator"], learning)
    z_ab, z_ba = pair.b.sample(ab, noise[2])[0], pair.a.sample(ba, noise[3])[0]
    closed = (pair.a.decoder(z_ab) - a).abs().mean() + (pair.b.decoder(z_ba) - b).abs().mean()
    torch.testing.assert_close(terms["cycle"], closed)
    similar = (ab - a).abs().mean() + (ba - b).abs().mean()
    torch.testing.assert_close(terms["similarity"], similar)
    total = 10 * terms["vae"] + 0.1 * fooled + closed + 0.5 * similar + learning
    torch.testing.assert_close(Weights()(translator, silent, batch.a), total)


def test_the_discriminator_sees_all_through_a_camera(pair, images):
    batch = batch_of(images)
    translator = Translator(pair, Weights(cycle=0, similarity=0))
    seen = []
    translator.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    translator(batch)
    real = torch.cat([batch.a, batch.b])
    noise = seen[0][: len(real)] - real
    assert noise.std().item() == pytest.approx(CAMERA, rel=0.02)


def test_what_weighs_nothing_is_not_computed(pair, images):
    translator = Translator(pair, Weights(gan=0, cycle=0, similarity=0))
    assert set(translator(batch_of(images))) == {"vae"}
    assert not hasattr(translator, "discriminator")


def test_with_no_other_loss_step_3_is_the_training_of_two_vaes(pair, images):
    batch = batch_of(images)
    translator = Translator(pair, Weights(gan=0, cycle=0, similarity=0))
    found = gradients(translator, translator(batch)["vae"])
    half = len(batch.codes)
    for vae, x, noise in ((pair.a, batch.a, 0), (pair.b, batch.b, 1)):
        vae.zero_grad()
        decoded, _, mean, log_variance = vae(x[:half], batch.codes[:, noise])
        loss = losses.negative_elbo(x[:half], decoded, mean, log_variance)
        (loss * losses.per_pixel(x)).backward()
    for name, p in translator.named_parameters():
        torch.testing.assert_close(p.grad, found[name])


def test_a_learning_rate_of_nothing_changes_nothing(pair, images):
    before = {name: value.clone() for name, value in pair.state_dict().items()}
    still = Adam(epochs=1, learning_rate=0, batch_size=8)
    learn_to_translate(pair, *images, recipe=still)
    assert all(torch.equal(before[name], value) for name, value in pair.state_dict().items())


def test_the_schedule_rises_stays_and_falls_to_zero():
    recipe = Adam(epochs=4, learning_rate=2.0)
    optimizer = recipe.optimizer(nn.Linear(1, 1))
    schedule, rates = recipe.scheduler(optimizer, 10), []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert rates[4:21] == pytest.approx([2.0] * 17)
    assert rates[30] == pytest.approx(1.0)
    assert rates[39] == pytest.approx(0.1)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_seed_gives_the_same_bits_stopped_and_resumed_or_not(images, tmp_path):
    def trained(checkpoint=None, seed=0):
        pair = Pair(new_vae(0), new_vae(1))
        return learn_to_translate(pair, *images, None, seed, checkpoint, TINY)

    whole, file = trained(), tmp_path / "step3.pt"
    assert not same(whole, trained(seed=1))
    stopped = Pair(new_vae(0), new_vae(1))

    class Stopping(Unpaired):
        def epoch(self, *arguments):
            if file.exists():
                raise KeyboardInterrupt
            return super().epoch(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaibook.translation.training.Unpaired", Stopping)
        with pytest.raises(KeyboardInterrupt):
            learn_to_translate(stopped, *images, None, 0, file, TINY)
    assert not same(whole, stopped)
    assert same(whole, trained(file))
    with pytest.raises(ValueError, match="another run"):
        learn_to_translate(stopped, *images, Weights(gan=1), 0, file, TINY)


def test_the_second_vae_starts_from_the_first_or_alone(images, monkeypatch):
    from xaibook.translation import training

    started = []

    def note(vae, *_):
        started.append(vae.state_dict()["encoder.layers.1.weight"].clone())
        nn.init.constant_(vae.encoder.layers[1].weight, 1.0)
        return vae

    monkeypatch.setattr(training, "train_vae", note)
    for start, copied in (("warm", True), ("independent", False)):
        started.clear()
        pretrain(*images, start)
        assert bool((started[1] == 1).all()) is copied
    started.clear()
    pair = pretrain(*images, "none")
    assert not started
    assert not same(pair.a, pair.b)
    with pytest.raises(ValueError, match="start"):
        pretrain(*images, "cold")


def test_a_vae_learns(images):
    vae, recipe = new_vae(0), Adam(epochs=12, learning_rate=3e-3, batch_size=8)

    def error():
        with torch.no_grad():
            return (vae.decoder(vae.encode(images[0])) - images[0]).abs().mean().item()

    before = error()
    train_vae(vae, images[0], recipe, 0)
    assert error() < 0.8 * before


def ranked(images, file):
    with connection(CPU) as here:
        pair = Pair(new_vae(0), new_vae(1))
        learn_to_translate(pair, *images, recipe=TINY)
        if here.first:
            torch.save(pair.state_dict(), file)


def test_two_processes_take_the_steps_of_one(images, tmp_path):
    file = tmp_path / "pair.pt"
    together(2, partial(ranked, images, file), tmp_path)
    alone = Pair(new_vae(0), new_vae(1))
    learn_to_translate(alone, *images, recipe=TINY)
    shared = Pair(VAE(), VAE())
    shared.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(shared.forth(images[0]), alone.forth(images[0]), atol=1e-3, rtol=0)


def test_domains_must_fit_and_weights_make_sense(images):
    with pytest.raises(ValueError, match="as many pictures"):
        Unpaired(images[0], images[1][:3], 32, CPU)
    with pytest.raises(ValueError, match="gan must not be negative"):
        Weights(gan=-1)
    with pytest.raises(ValueError, match="kind"):
        Weights(kind="codes")


def test_the_command_writes_a_pair_that_can_be_loaded(tmp_path, capsys):
    file, progress = tmp_path / "pair.pt", tmp_path / "progress"
    line = ["--pictures", "32", "--without", "cycle", "--device", "cpu"]
    assert run(parser(), [*line, "--progress", str(progress), "-o", str(file)]) == 0
    assert {path.name for path in progress.iterdir()} == {"step1.pt", "step2-warm.pt", "step3.pt"}
    assert file.stat().st_size < 1.3e6
    x = scenes.paired("round", 2).images
    assert load_pair(file).forth(x).shape == x.shape
    assert f"{file} written" in capsys.readouterr().out
