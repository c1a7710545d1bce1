"""Training a stream: it learns, nothing else moves, and any number of processes agree."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from tests.networks import Counter
from tests.ranks import together
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.trained import FLOWER_MEAN, FLOWER_STD, flower_classifier
from xaicore.classifier import Classifier
from xaicore.cli.main import main
from xaicore.models.ca_stream import CAStream
from xaicore.training.ca_stream import Looks, cross_entropy, logits, train_stream
from xaicore.training.loop import Recipe

RECIPE = Recipe(epochs=3, learning_rate=0.05, batch_size=32, weight_decay=1e-4)


@pytest.fixture(scope="module")
def flowers():
    return Flowers("species", "train", 192)


@pytest.fixture(scope="module")
def looks(flowers):
    return Looks(CAStream(flower_classifier()), flowers)


def share(stream, looks):
    return (logits(stream, looks).argmax(1) == looks.targets).double().mean().item()


def test_a_stream_learns_what_its_network_knows(looks):
    stream = CAStream(flower_classifier())
    assert share(stream, looks) < 0.4
    records = train_stream(stream, looks, replace(RECIPE, epochs=6))
    assert len(records) == 6
    assert records[-1].loss < 0.5 * records[0].loss
    assert share(stream, looks) > 0.9
    assert not stream.net.training


@pytest.mark.parametrize("cached", [True, False])
def test_network_and_head_stay_bit_for_bit(flowers, cached):
    plain = flower_classifier()
    stream = CAStream(plain)
    before = {name: p.clone() for name, p in stream.stream.named_parameters()}
    train_stream(stream, flowers, replace(RECIPE, epochs=1), cached=cached)
    state, kept = plain.net.state_dict(), stream.net.backbone.state_dict()
    assert all(torch.equal(state[name], kept[name]) for name in state)
    moved = {n for n, p in stream.stream.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before)
    assert not any(p.grad is not None for p in stream.net.backbone.parameters())


def test_kept_features_teach_what_the_images_do(flowers):
    first, second = (CAStream(flower_classifier()) for _ in range(2))
    recipe = replace(RECIPE, epochs=2, learning_rate=1e-3)
    kept = train_stream(first, flowers, recipe)
    anew = train_stream(second, flowers, recipe, cached=False)
    assert kept[0].loss == pytest.approx(anew[0].loss, rel=0.3)  # another order of the images
    images = flowers.images[:16]
    assert (first(images) - second(images)).abs().max() < 3


def test_each_image_is_looked_at_once(flowers):
    plain = flower_classifier()
    counter = Counter(plain.net)
    taps = [f"net.{name}" for name in ("stem", "stages.0", "stages.1", "stages.2")]
    counted = Classifier(counter.eval(), FLOWER_MEAN, FLOWER_STD, layer="net.stages.2")
    stream = CAStream(counted, taps, head="net.fc")
    stream.net.backbone.forwards = 0
    train_stream(stream, flowers, RECIPE)
    assert stream.net.backbone.forwards == len(flowers)


def test_looks_are_what_the_network_shows(flowers, looks):
    stream = CAStream(flower_classifier())
    images = flowers.images[64:128]  # a batch of the same size and place
    shown = stream.net.look(stream.normalised(images))
    picked = looks[torch.arange(64, 128)]
    assert all(torch.equal(a, b) for a, b in zip(picked.features, shown.features, strict=True))
    assert torch.equal(picked.predicted, shown.predicted)
    torch.testing.assert_close(logits(stream, looks)[64:128], stream(images).detach())


def test_the_same_seed_gives_the_same_bits_and_a_stopped_run_goes_on(looks, tmp_path):
    def trained(**settings):
        stream = CAStream(flower_classifier())
        train_stream(stream, looks, RECIPE, validation=looks, **settings)
        return torch.cat([p.flatten() for p in stream.stream.parameters()])

    first, other = trained(), trained(seed=1)
    assert torch.equal(first, trained())
    assert not torch.equal(first, other)
    file = tmp_path / "progress.pt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaicore.training.ca_stream.cross_entropy", interrupted())
        with pytest.raises(KeyboardInterrupt):
            trained(checkpoint=file)
    assert file.is_file()
    assert torch.equal(trained(checkpoint=file), first)


def interrupted():
    """Return a measurement during which, the second time, someone stops the training."""
    met = []

    def measure(stream, looks):
        met.append(1)
        if len(met) == 2:
            raise KeyboardInterrupt
        return cross_entropy(stream, looks)

    return measure


def test_class_tokens_learn_from_the_labels(looks):
    stream = CAStream(flower_classifier(), class_specific=True)
    before = stream.stream.token.clone()
    some = copy.copy(looks)
    chosen = looks.targets < 4
    some.look, some.targets = looks[chosen], looks.targets[chosen]
    train_stream(stream, some, replace(RECIPE, weight_decay=0))
    moved = (stream.stream.token != before).any(1)
    assert moved.tolist() == [True] * 4 + [False] * 5


# The command --------------------------------------------------------------------------------------

SUBJECTS = "tests.xaicore.training.subjects"
FLOWERS = "xaibook.flowers:flower_classifier"
LEARN = ["train", "ca-stream", "--model", FLOWERS, "--epochs", "2", "--batch-size", "32"]
IMAGES = ["--images", f"{SUBJECTS}:flowers", "--validation", f"{SUBJECTS}:others"]
COMMAND = [*LEARN, *IMAGES]


def weights(path):
    return torch.load(path, weights_only=True)["stream"]


def test_two_processes_learn_what_one_does(tmp_path):
    alone, two = tmp_path / "one.pt", tmp_path / "two.pt"
    assert main([*COMMAND, "-o", str(alone)]) == 0
    both = [*COMMAND, "-o", str(two), "--checkpoint", str(tmp_path / "p")]
    printed = together(2, lambda: main(both), tmp_path)
    assert ["written" in text for text in printed] == [True, False]
    one, other = weights(alone), weights(two)
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(one[name], other[name]) for name in one)  # two did run


def test_a_trained_stream_explains_a_picture(tmp_path, capsys):
    file, picture = tmp_path / "stream.pt", tmp_path / "noise.png"
    assert main([*COMMAND, "-o", str(file), "--taps", "stages.1,stages.2", "--augment"]) == 0
    printed = capsys.readouterr().out
    assert "epoch  loss    validation  seconds" in printed
    assert "accuracy on 16 held-out images" in printed
    assert "with average pooling" in printed
    Image.effect_noise((80, 64), 60).convert("RGB").save(picture)
    explain = ["explain", str(picture), "--model", FLOWERS, "--method", "grad-cam"]
    maps = [tmp_path / "stream.png", tmp_path / "plain.png"]
    assert main([*explain, "--stream", str(file), "-o", str(maps[0])]) == 0
    assert main([*explain, "-o", str(maps[1])]) == 0
    assert maps[0].read_bytes() != maps[1].read_bytes()


def test_pictures_in_a_folder_teach_a_stream(tmp_path, capsys):
    flowers = Flowers("species", "train", 40)
    lines = ["file,label"]
    for index, (image, label) in enumerate(Subset(flowers, range(40))):
        array = (255 * image.permute(1, 2, 0)).byte().numpy()
        Image.fromarray(array).save(tmp_path / f"{index}.png")
        lines.append(f"{index}.png,{label}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    folder = ["--images", str(tmp_path), "--labels", str(tmp_path / "labels.csv")]
    output = tmp_path / "stream.pt"
    assert main([*LEARN, *folder, "--batch-size", "18", "-o", str(output)]) == 0
    assert "accuracy on 4 held-out images" in capsys.readouterr().out


def test_folders_of_classes_teach_a_stream_and_validate_it(tmp_path, capsys):
    flowers = Flowers("species", "train", 27)
    for index, (image, label) in enumerate(Subset(flowers, range(27))):
        part = tmp_path / ("val" if index < 9 else "train") / flowers.classes[label]
        part.mkdir(parents=True, exist_ok=True)
        array = (255 * image.permute(1, 2, 0)).byte().numpy()
        Image.fromarray(array).save(part / f"{index}.png")
    folders = ["--images", str(tmp_path / "train"), "--validation", str(tmp_path / "val")]
    output = tmp_path / "stream.pt"
    assert main([*LEARN, *folders, "--batch-size", "18", "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "accuracy on 9 held-out images" in printed
    assert "with average pooling 100.0 %" in printed  # each class is what the network calls so


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "{folder}/empty"], "images: there is no picture"),
        (["--images", "{folder}/flat"], "images: 0.png has no class: lay out a folder for each"),
        (["--images", "{folder}/other"], "the folder 'tulip' is no class of the network"),
        (["--images", f"{SUBJECTS}:nameless"], "class 9 is out of range for the network"),
        (["--images", f"{SUBJECTS}:unclassed"], "a class must be a number, not None"),
        (["--images", f"{SUBJECTS}:unnormalised"], "returns Sequential, not a data set"),
        (["--images", f"{SUBJECTS}:nothing"], "returns no image"),
        (["--images", f"{SUBJECTS}:roses"], "has no attribute 'roses'"),
        (["--labels", "labels.csv"], "--labels belongs to a folder of pictures"),
        (["--limit", "0"], "limit must be at least 1"),
        (["--recipe", "slow"], "recipe must be one of quick, paper"),
        (["--device", "toaster"], "cannot be used"),
        (["--taps", "nine"], "no module called 'nine'"),
        (["--initial", "zeros"], "'paper' or 'average'"),
        (["--batch-size", "999"], "do not fill one batch"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(options, words, tmp_path, capsys):
    output = tmp_path / "stream.pt"
    for name in ("flat/0.png", "other/tulip/0.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    options = [option.format(folder=tmp_path) for option in options]
    assert main([*COMMAND, *options, "-o", str(output)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert not output.exists()
