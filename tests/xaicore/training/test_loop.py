"""The training loop: it learns, it repeats itself to the bit, and it refuses what cannot work."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xaicore.files import write_tensors
from xaicore.training.loop import (
    MAX_SHIFT,
    SCHEDULES,
    FromDataset,
    InMemory,
    Recipe,
    accuracy,
    augment,
    fit,
    train,
)

SIDES = 16


def halves(count):
    """Return pictures that are bright above (class 0) or below (class 1), with noise."""
    generator = torch.Generator().manual_seed(5)
    targets = torch.arange(count) % 2
    images = 0.8 * torch.randn(count, 3, SIDES, SIDES, generator=generator)
    images[targets == 0, :, : SIDES // 2] += 1
    images[targets == 1, :, SIDES // 2 :] += 1
    return images, targets


def small_net(seed=0):
    """Return a network that can tell the halves apart."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )


@pytest.fixture
def net():
    """A fresh network, its lazy layer made."""
    network = small_net()
    network(torch.zeros(1, 3, SIDES, SIDES))
    return network


def trained(net, **settings):
    """Train a copy and return it with its records."""
    network = copy.deepcopy(net)
    images, targets = halves(128)
    settings = {"epochs": 3, "learning_rate": 0.02, **settings}
    return network, fit(network, images, targets, **settings)


def same(one, other):
    """Tell whether two networks hold the same bits."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# fit ----------------------------------------------------------------------------------------------


def test_it_learns(net):
    network, records = trained(net, epochs=5)
    images, targets = halves(400)
    assert len(records) == 5
    assert records[-1].loss < 0.5 * records[0].loss
    assert all(record.seconds > 0 for record in records)
    assert accuracy(network, images[128:], targets[128:]) > 0.95


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(net):
    (first, records), (second, again), (third, _) = (trained(net, seed=seed) for seed in (0, 0, 1))
    assert same(first, second)
    assert [r.loss for r in records] == [r.loss for r in again]
    assert not same(first, third)


def test_the_global_random_state_neither_matters_nor_changes(net):
    torch.manual_seed(1)
    first, _ = trained(net)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _ = trained(net)
    assert same(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_the_network_ends_in_evaluation_mode_and_the_data_are_left_alone(net):
    images, targets = halves(64)
    kept = images.clone()
    fit(net.train(), images, targets, epochs=1)
    assert not any(module.training for module in net.modules())
    assert torch.equal(images, kept)


def test_a_loss_of_one_s_own_takes_the_place_of_cross_entropy(net):
    met = []

    def smooth(network, images, targets):
        met.append((images.requires_grad, tuple(images.shape), tuple(targets.shape)))
        return F.cross_entropy(network(images), targets, label_smoothing=0.3)

    plain, _ = trained(net)
    smoothed, _ = trained(net, loss=smooth)
    assert met == [(False, (32, 3, SIDES, SIDES), (32,))] * 12
    assert not same(plain, smoothed)


def test_a_loss_may_differentiate_the_images(net):
    """As training with a regularised input gradient does."""

    def penalised(network, images, targets):
        images.requires_grad_()
        value = F.cross_entropy(network(images), targets)
        (gradient,) = torch.autograd.grad(value, images, create_graph=True)
        return value + gradient.square().sum()

    _, records = trained(net, loss=penalised)
    assert records[-1].loss < records[0].loss


def test_frozen_parameters_stay(net):
    frozen = copy.deepcopy(net[0].state_dict())
    net[0].requires_grad_(False)
    network, _ = trained(net)
    assert all(torch.equal(frozen[name], value) for name, value in network[0].state_dict().items())


def test_an_incomplete_batch_is_left_out(net):
    sizes = []

    def counted(network, images, targets):
        sizes.append(len(images))
        return F.cross_entropy(network(images), targets)

    fit(net, *halves(70), epochs=1, loss=counted)
    assert sizes == [32, 32]


def test_progress_is_silent_without_a_terminal(net, capfd):
    trained(net, epochs=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 200}, "128 images do not fill one batch of 200"),
    ],
)
def test_settings_that_cannot_work_are_refused(net, settings, message):
    with pytest.raises(ValueError, match=message):
        trained(net, **settings)


def test_one_target_is_needed_for_each_image(net):
    images, targets = halves(64)
    with pytest.raises(ValueError, match="64 images and 63 targets"):
        fit(net, images, targets[1:], epochs=1)


def test_a_loss_that_is_not_finite_stops_the_training(net):
    images, targets = halves(64)
    images[3] = torch.nan
    with pytest.raises(FloatingPointError, match=r"the loss is nan in epoch 1"):
        fit(net, images, targets, epochs=4)


# train --------------------------------------------------------------------------------------------

RECIPE = Recipe(epochs=4, learning_rate=0.02)


def data(count=128):
    """Return the halves as a training set that is augmented."""
    return InMemory(*halves(count), torch.device("cpu"), augment)


class StopError(Exception):
    """Ends a training early, as a lost machine does."""


def stopping(after):
    """Return a loss that stops the training after so many batches."""
    met = []

    def loss(network, images, targets):
        met.append(1)
        if len(met) > after:
            raise StopError
        return F.cross_entropy(network(images), targets)

    return loss


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("after", [4, 10])
def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(net, tmp_path, after, schedule):
    recipe, file = replace(RECIPE, schedule=schedule), tmp_path / "progress.pt"
    whole = copy.deepcopy(net)
    records = train(whole, data(), recipe)
    with pytest.raises(StopError):
        train(copy.deepcopy(net), data(), recipe, loss=stopping(after), checkpoint=file)
    resumed = copy.deepcopy(net)
    again = train(resumed, data(), recipe, checkpoint=file)
    assert same(whole, resumed)
    assert [r.loss for r in again] == [r.loss for r in records]
    assert train(resumed, data(), recipe, checkpoint=file) == again
    assert [path.name for path in tmp_path.iterdir()] == ["progress.pt"]


class Noisy(torch.utils.data.Dataset):
    """Images that torch's global generator changes."""

    def __init__(self, count):
        self.images, self.targets = halves(count)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        noise = 0.1 * torch.randn(self.images[index].shape)
        return self.images[index] + noise, self.targets[index]


def test_chance_changes_an_image_alike_whoever_reads_it():
    """One process or two, here or in workers: else two would not learn what one does."""
    batches = torch.randperm(32, generator=seeded(0)).split(8)

    def read(share=slice(None), workers=0):
        noisy = FromDataset(Noisy(32), torch.device("cpu"), workers)
        return [images for images, _ in noisy.epoch(batches, share, seeded(1))]

    whole = read()
    assert all(torch.equal(*pair) for pair in zip(read(workers=2), whole, strict=True))
    for rank in (0, 1):
        share = slice(rank, None, 2)
        part = [batch[share] for batch in whole]
        assert all(torch.equal(*pair) for pair in zip(read(share), part, strict=True))
    assert not torch.equal(whole[0], Noisy(32).images[batches[0]])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_a_run_that_changes_images_by_chance_resumes_to_the_bit(net, tmp_path):
    """Whatever draws from torch's global generator, and whatever that held before."""
    whole, file = copy.deepcopy(net), tmp_path / "progress.pt"
    noisy = FromDataset(Noisy(128), torch.device("cpu"))
    train(whole, noisy, RECIPE)
    torch.manual_seed(99)
    random = torch.get_rng_state()
    with pytest.raises(StopError):
        train(copy.deepcopy(net), noisy, RECIPE, loss=stopping(6), checkpoint=file)
    resumed = copy.deepcopy(net)
    train(resumed, noisy, RECIPE, checkpoint=file)
    assert same(whole, resumed)
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize("steps", [1, 4, 5, 6])
def test_one_cycle_takes_any_number_of_steps(net, steps):
    images, targets = halves(2 * steps)
    before = [p.clone() for p in net.parameters()]
    fit(net, images, targets, epochs=1, batch_size=2)
    moved = [not torch.allclose(a, b) for a, b in zip(before, net.parameters(), strict=True)]
    assert any(moved)


def test_steps_divide_the_learning_rate_by_ten_after_each_third(net):
    rates = []
    recipe = Recipe(epochs=6, learning_rate=0.1, schedule="steps")
    optimizer = recipe.optimizer(net)
    scheduler = recipe.scheduler(optimizer, steps=4)
    for _ in range(24):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.1] * 8 + [0.01] * 8 + [0.001] * 8)


def test_it_stops_early_and_keeps_the_best_weights(net):
    measured, states = iter([3.0, 1.0, 2.0, 1.5, 0.0]), []

    def validate(network):
        assert not network.training
        states.append(copy.deepcopy(network.state_dict()))
        return next(measured)

    network = copy.deepcopy(net)
    recipe = replace(RECIPE, epochs=9, patience=2)
    records = train(network, data(), recipe, validate=validate)
    assert [record.validation for record in records] == [3.0, 1.0, 2.0, 1.5]
    assert all(torch.equal(states[1][name], v) for name, v in network.state_dict().items())
    assert not network.training


def test_an_early_stop_is_resumed_as_a_stop(net, tmp_path):
    file, recipe = tmp_path / "progress.pt", replace(RECIPE, patience=1)
    calls = []

    def validate(_network):
        calls.append(1)
        return float(len(calls))

    first, second = copy.deepcopy(net), copy.deepcopy(net)
    train(first, data(), recipe, validate=validate, checkpoint=file)
    records = train(second, data(), recipe, validate=validate, checkpoint=file)
    assert same(first, second)
    assert len(records) == len(calls) == 2


def test_progress_of_another_run_is_refused(net, tmp_path):
    file = tmp_path / "progress.pt"
    train(copy.deepcopy(net), data(), replace(RECIPE, epochs=1), checkpoint=file)
    for recipe, count, words in (
        (RECIPE, 128, "epochs 1, not 4"),
        (replace(RECIPE, epochs=1), 96, "images 128, not 96"),
    ):
        with pytest.raises(ValueError, match=f"is of another run .{words}"):
            train(copy.deepcopy(net), data(count), recipe, checkpoint=file)
    for content in (b"", b"nothing", b"\x80\x02}."):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"progress\.pt"):
            train(copy.deepcopy(net), data(), RECIPE, checkpoint=file)


def test_progress_is_written_whole_or_not_at_all(net, tmp_path, monkeypatch):
    file = tmp_path / "progress.pt"
    train(copy.deepcopy(net), data(), replace(RECIPE, epochs=1), checkpoint=file)
    before = file.read_bytes()

    def fail(*_):
        raise StopError

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(StopError):
        write_tensors(file, {})
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["progress.pt"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": "cosine"}, "schedule must be one of one-cycle, steps; got 'cosine'"),
        ({"patience": 3}, "patience must be at least 1, and needs a validation set"),
    ],
)
def test_recipes_that_cannot_work_are_refused(net, settings, words):
    with pytest.raises(ValueError, match=words):
        train(net, data(), replace(RECIPE, **settings))


# augment ------------------------------------------------------------------------------------------


def test_augmentation_mirrors_and_shifts_and_nothing_else():
    """Every result is found among the 2 x 9 x 9 that the docstring allows."""
    images = torch.rand(64, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    result = augment(images, torch.Generator().manual_seed(1))
    padded = F.pad(images, [MAX_SHIFT] * 4, mode="replicate")
    allowed = {
        (top, left, mirrored): crop.flip(3) if mirrored else crop
        for top in range(9)
        for left in range(9)
        for crop in [padded[:, :, top : top + 12, left : left + 10]]
        for mirrored in (False, True)
    }
    kinds = []
    for i in range(len(images)):
        matches = [kind for kind, crop in allowed.items() if torch.equal(crop[i], result[i])]
        assert len(matches) == 1
        kinds.extend(matches)
    tops, lefts, mirrors = (set(values) for values in zip(*kinds, strict=True))
    assert min(tops | lefts) == 0
    assert max(tops | lefts) == 2 * MAX_SHIFT
    assert mirrors == {False, True}


def test_augmentation_keeps_shape_and_uses_channels_last():
    result = augment(torch.rand(5, 3, 12, 20), torch.Generator().manual_seed(0))
    assert result.shape == (5, 3, 12, 20)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_augmentation_repeats_with_its_generator():
    images = torch.rand(8, 3, 12, 12)
    one, same_seed, other = (
        augment(images, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, same_seed)
    assert not torch.equal(one, other)


# accuracy -----------------------------------------------------------------------------------------


def test_accuracy_counts_the_largest_logits():
    logits = torch.tensor([[3.0, 1.0], [0.0, 1.0], [2.0, 1.0], [0.0, 5.0], [1.0, 0.0]])
    net = nn.Linear(2, 2, bias=False)
    nn.init.eye_(net.weight)
    targets = torch.tensor([0, 1, 1, 1, 1])
    assert accuracy(net, logits, targets, batch_size=2) == 0.6
    assert net.training


def test_accuracy_of_nothing_is_refused(net):
    with pytest.raises(ValueError, match="images is empty"):
        accuracy(net, torch.zeros(0, 3, SIDES, SIDES), torch.zeros(0))
