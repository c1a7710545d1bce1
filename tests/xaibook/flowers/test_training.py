"""Training on flowers at small scale, and the weight files it leaves behind."""

import pytest
import torch

from xaibook.flowers.__main__ import parser
from xaibook.flowers.dataset import Flowers, training_set, validation_set
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD
from xaibook.flowers.training import save_weights, train_flowers
from xaicore.classifier import Classifier
from xaicore.cli.main import run
from xaicore.training import loop
from xaicore.training.loop import accuracy
from xaicore.weights import load_weights


def same(one, other):
    """Tell whether two networks hold the same bits."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_four_short_epochs_are_far_above_chance(tmp_path):
    file = tmp_path / "petal.pt"
    net = train_flowers("petal", seed=0, epochs=4, n=640, output=file)
    test = Flowers("petal", "test", 200)
    classifier = Classifier(net, FLOWER_MEAN, FLOWER_STD, layer="stages.2")
    reached = accuracy(classifier, test.images, test.targets)
    assert reached > 0.5  # chance is 0.25
    stored = SmallResNet(4).eval()
    load_weights(stored, file)
    again = Classifier(stored, FLOWER_MEAN, FLOWER_STD, layer="stages.2")
    assert accuracy(again, test.images, test.targets) == pytest.approx(reached, abs=0.01)


def test_the_same_seed_gives_the_same_bits_and_another_gives_others():
    first, second, third = (train_flowers("stem", seed, epochs=1, n=64) for seed in (0, 0, 1))
    assert same(first, second)
    assert not same(first, third)
    assert not first.training


def test_the_seed_decides_the_initial_weights_and_the_order():
    """Neither may leak from the global random state."""
    torch.manual_seed(8)
    before = torch.get_rng_state()
    first = train_flowers("stem", 0, epochs=1, n=32)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(9)
    assert same(first, train_flowers("stem", 0, epochs=1, n=32))


def test_training_sees_normalised_pixels_and_the_task_s_labels(monkeypatch):
    seen = {}

    def record(net, images, targets, epochs, seed):
        seen.update(images=images, targets=targets, epochs=epochs, seed=seed)
        return loop.fit(net, images, targets, epochs, seed)

    monkeypatch.setattr("xaibook.flowers.training.fit", record)
    train_flowers("petal", seed=3, epochs=1, n=64)
    flowers = Flowers("petal", "train", 64)
    restored = seen["images"] * torch.tensor(FLOWER_STD).view(3, 1, 1)
    restored += torch.tensor(FLOWER_MEAN).view(3, 1, 1)
    assert torch.allclose(restored, flowers.images, atol=1e-6)
    assert torch.equal(seen["targets"], flowers.targets)
    assert (seen["epochs"], seen["seed"]) == (1, 3)


def test_where_parts_were_removed_every_class_that_remains_possible_is_right(monkeypatch):
    seen = {}

    def record(net, images, targets, epochs, seed):
        seen.update(targets=targets)
        return loop.fit(net, images, targets, epochs, seed)

    monkeypatch.setattr("xaibook.flowers.training.fit", record)
    train_flowers("stem", epochs=1, n=64, removed=0.5)
    flowers = Flowers("stem", "train", 64, removed=0.5)
    assert torch.equal(seen["targets"] > 0, flowers.allowed)
    assert torch.equal(seen["targets"].sum(1), torch.ones(64))
    assert (seen["targets"] == 0.25).any()


def test_a_stored_file_holds_the_weights_in_half_precision(tmp_path):
    net = SmallResNet(9)
    save_weights(net, tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            assert state[name].dtype == torch.float16
            assert torch.equal(state[name], value.half())
        else:
            assert torch.equal(state[name], value)
    assert (tmp_path / "net.pt").stat().st_size <= 700_000
    assert next(net.parameters()).dtype == torch.float32


def test_the_same_weights_give_the_same_bytes_whatever_their_name_and_memory_order(tmp_path):
    net = SmallResNet(2)
    save_weights(net, tmp_path / "one.pt")
    save_weights(net.to(memory_format=torch.channels_last), tmp_path / "another.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "net.pt"
    file.write_bytes(b"the old weights")
    save = torch.save

    def interrupted(state, target):
        save(state, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_weights(SmallResNet(2), file)
    assert file.read_bytes() == b"the old weights"
    assert list(tmp_path.iterdir()) == [file]
    monkeypatch.undo()
    save_weights(SmallResNet(2), file)
    assert list(tmp_path.iterdir()) == [file]
    load_weights(SmallResNet(2), file)


def test_a_folder_that_does_not_exist_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("xaibook.flowers.training.fit", lambda *_: pytest.fail("it trained"))
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        train_flowers(output=tmp_path / "nowhere" / "net.pt")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        train_flowers(output=tmp_path)


def test_a_task_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="unknown task 'tulip'"):
        train_flowers("tulip")


# The command --------------------------------------------------------------------------------------


def test_the_command_trains_as_the_function_does(tmp_path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setattr("xaibook.flowers.__main__.TESTED", 9)
    words = ["--task", "stem", "--seed", "1", "--pictures", "32", "--epochs", "1"]
    assert run(parser(), [*words, "-o", str(tmp_path / "net.pt")]) == 0
    assert "written; accuracy on 9 test images: " in capsys.readouterr().out
    train_flowers("stem", 1, epochs=1, n=32, output=tmp_path / "same.pt")
    torch.set_num_threads(threads)
    assert (tmp_path / "net.pt").read_bytes() == (tmp_path / "same.pt").read_bytes()


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    assert run(parser(), ["--task", "leaf", "-o", str(tmp_path / "net.pt")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m xaibook.flowers: error: unknown task 'leaf'")
    assert error.count("\n") == 1


def test_the_sets_that_commands_can_name_are_those_of_species(monkeypatch):
    monkeypatch.setattr("xaibook.flowers.dataset.Flowers", lambda *given: given)
    assert training_set() == ("species", "train", 4500)
    assert validation_set() == ("species", "validation", 450)
