"""Interpretable gradients: the guided rule, the double backward, and training with both."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from PIL import Image
from torch import nn
from torchvision import models

from tests.networks import pictures, pooled_network
from tests.ranks import together
from xaibook.flowers.dataset import Flowers
from xaibook.flowers.network import SmallResNet
from xaibook.flowers.trained import flower_classifier
from xaicore.cli.main import main
from xaicore.models.stems import for_small_images
from xaicore.training.interpretable_gradients import (
    ERRORS,
    TARGETS,
    InterpretableGradient,
    both_gradients,
)
from xaicore.training.loop import InMemory, Recipe, augment, cross_entropy, train

RECIPE = Recipe(epochs=2, learning_rate=0.02, batch_size=8)
TARGET_LABELS = torch.tensor([1, 0, 4])


def networks():
    """Every kind of network that can be trained: modules, functions, in place, and stems."""
    torch.manual_seed(0)
    yield "modules", pooled_network()
    yield "in place", pooled_network(inplace=True)
    yield "functions", Functions()
    yield "small", SmallResNet(5, (8, 16), (2, 2))
    yield "resnet18", for_small_images(models.resnet18(num_classes=5))
    yield "mobilenet_v2", models.mobilenet_v2(num_classes=5)
    yield "mobilenet_v2, small", for_small_images(models.mobilenet_v2(num_classes=5, dropout=0))


class Functions(nn.Module):
    """A network whose rectifiers are functions, one of them a method."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)
        self.last = nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu6(self.second(torch.relu(self.first(x))))
        return self.last((x - 0.1).relu_().mean((2, 3)))


def doubled(net):
    """Return the network in double precision, smooth enough for finite differences."""
    return net.double().eval()


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# The guided rule ----------------------------------------------------------------------------------


def test_guided_is_plain_where_every_signal_is_positive():
    net = pooled_network()
    for layer in (net[3], net[8]):
        nn.init.uniform_(layer.weight, 0.1, 1)
    both = both_gradients(net, pictures(), TARGET_LABELS, "logit")
    assert both.plain.abs().max() > 0
    assert torch.equal(both.plain, both.guided)


def test_the_sign_of_the_target_decides_what_passes():
    """Of the loss what speaks against the class, of its negative what speaks for it."""
    net = nn.Sequential(nn.ReLU(), nn.Linear(2, 2, bias=False))
    net[1].weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    images, targets = torch.ones(1, 2), torch.tensor([0])
    of_loss, of_log, of_logit = (both_gradients(net, images, targets, name) for name in TARGETS)
    assert of_loss.guided.gt(0).tolist() == [[False, True]]
    assert of_log.guided.gt(0).tolist() == [[True, False]]
    assert torch.equal(of_loss.plain, -of_log.plain)
    assert of_logit.guided.tolist() == [[1, 0]]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_gradients_of_the_logit_are_captum_s(inplace):
    net, images = pooled_network(inplace), pictures()
    both = both_gradients(net, images, TARGET_LABELS, "logit")
    reference = pooled_network()
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        guided = attr.GuidedBackprop(reference).attribute(images.requires_grad_(), TARGET_LABELS)
    plain = attr.Saliency(reference).attribute(images, TARGET_LABELS, abs=False)
    torch.testing.assert_close(both.guided, guided)
    torch.testing.assert_close(both.plain, plain)


def test_relu6_passes_between_its_ends_alone():
    net = nn.Sequential(nn.ReLU6(), nn.Linear(4, 1, bias=False))
    nn.init.ones_(net[1].weight)
    both = both_gradients(net, torch.tensor([[-1.0, 3.0, 6.0, 7.0]]), torch.tensor([0]), "logit")
    assert both.plain.tolist() == both.guided.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(("name", "net"), list(networks()))
@pytest.mark.parametrize("training", [False, True])
def test_the_plain_gradient_is_autograd_s_and_the_network_is_left_alone(name, net, training):
    net.train(training)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    other, images = copy.deepcopy(net), pictures(3, 32, 32)
    both = both_gradients(net, images, TARGET_LABELS)
    images.requires_grad_()
    logits = other(images)
    F.cross_entropy(logits, TARGET_LABELS, reduction="sum").backward()
    torch.testing.assert_close(both.plain, images.grad, rtol=1e-4, atol=1e-6)
    assert torch.equal(both.logits, logits)
    assert not torch.equal(both.plain, both.guided)
    assert same(net, other)  # the statistics of its batch normalisation, too
    assert all(parameter.grad is None for parameter in net.parameters())
    for module in net.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
    assert not both.plain.requires_grad
    assert not both.guided.requires_grad


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        (nn.GELU(), "has GELU"),
        (nn.SiLU(), "has SiLU"),
        (nn.LeakyReLU(), "has LeakyReLU"),
        (nn.Hardtanh(), "has Hardtanh"),
        (nn.Identity(), "no such activation ran in this Sequential"),
    ],
)
def test_networks_without_a_guided_rule_are_refused(activation, words):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), activation)
    with pytest.raises(ValueError, match=words):
        both_gradients(net, torch.rand(2, 3, 2, 2), torch.tensor([0, 1]))


# The objective ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_double_backward_agrees_with_finite_differences(error, target):
    """The guided gradient is constant: so its change is taken out of the differences."""
    torch.manual_seed(1)
    net = doubled(pooled_network())
    images, objective = pictures(2, 8, 8).double(), InterpretableGradient(0.7, error, target)
    targets = torch.tensor([3, 1])
    kept = both_gradients(net, images, targets, target).guided.flatten(1)
    objective(net, images, targets).backward()

    def value():
        both = both_gradients(net, images, targets, target)
        errors = ERRORS[error](both.plain.flatten(1), kept)
        return (F.cross_entropy(both.logits, targets) + 0.7 * errors.mean()).item()

    for parameter in (net[0].weight, net[4].weight, net[8].weight):
        place, step = (0,) * parameter.ndim, 1e-6
        with torch.no_grad():
            parameter[place] += step
            above = value()
            parameter[place] -= 2 * step
            below = value()
            parameter[place] += step
        expected = (above - below) / (2 * step)
        assert parameter.grad[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", ["small", "mobilenet_v2"])
def test_the_double_backward_is_that_of_pytorch_s_own_layers(name, monkeypatch):
    net = doubled(dict(networks())[name]).train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, found = pictures(4, 32, 32).double(), []
    targets = torch.tensor([0, 1, 2, 3])
    for change in (True, False):
        if not change:
            monkeypatch.setattr("xaicore.training.twice.CHEAP", {})
        other = copy.deepcopy(net)
        InterpretableGradient(1.0, target="logit")(other, images, targets).backward()
        found.append([parameter.grad for parameter in other.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_nothing_is_learnt_through_the_guided_gradient():
    net = pooled_network()
    found = []
    for constant in (False, True):
        net.zero_grad()
        both = both_gradients(net, pictures(), TARGET_LABELS, create_graph=True)
        guided = both.guided.clone().detach() if constant else both.guided
        ERRORS["mse"](both.plain.flatten(1), guided.flatten(1)).sum().backward()
        found.append([p.grad for p in net.parameters() if p.grad is not None])
    assert all(map(torch.equal, *found))


def test_errors_are_of_each_image_and_as_large_as_they_say():
    plain = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    guided = torch.tensor([[0.0, 1.0], [5.0, 0.0], [1.0, 1.0]])
    assert ERRORS["cosine"](plain, guided).tolist() == [1, 0, 1]
    assert ERRORS["mae"](plain, guided).tolist() == [1, 1.5, 1]
    assert ERRORS["mse"](plain, guided).tolist() == [1, 4.5, 1]
    assert ERRORS["histogram"](plain, guided).tolist() == [1, 0, 1]
    assert ERRORS["cosine"](3 * plain, guided).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weight": -1}, "weight must be 0 or more"),
        ({"weight": float("nan")}, "weight must be 0 or more"),
        ({"error": "cosin"}, "error must be one of .* did you mean cosine"),
        ({"target": "probability"}, "target must be one of loss, log-probability, logit"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        InterpretableGradient(**settings)


def test_probabilities_of_classes_are_targets_too():
    net, images = pooled_network(), pictures()
    shares = F.one_hot(TARGET_LABELS, 5).float()
    for target in TARGETS:
        objective = InterpretableGradient(0.5, target=target)
        one, other = (objective(net, images, t) for t in (TARGET_LABELS, shares))
        torch.testing.assert_close(one, other)


# Training -----------------------------------------------------------------------------------------


def trained(loss, checkpoint=None, recipe=RECIPE):
    torch.manual_seed(0)
    net = SmallResNet(2, (8, 16), (2, 2))
    generator = torch.Generator().manual_seed(5)
    targets = torch.arange(32) % 2
    images = torch.randn(32, 3, 16, 16, generator=generator)
    images[targets == 1, :, 8:] += 1
    data = InMemory(images, targets, torch.device("cpu"), augment)
    records = train(net, data, recipe, 0, loss, checkpoint=checkpoint)
    return net, records


def test_a_weight_of_zero_is_plain_training_to_the_bit():
    assert same(trained(InterpretableGradient(0))[0], trained(cross_entropy)[0])
    assert not same(trained(InterpretableGradient(0.1))[0], trained(cross_entropy)[0])


def test_the_first_step_leaves_the_statistics_of_plain_training():
    """They come from one forward pass; from the second step on the weights differ."""
    one, other = (SmallResNet(2, (8, 16), (2, 2)) for _ in range(2))
    other.load_state_dict(one.state_dict())
    images, targets = torch.rand(6, 3, 16, 16), torch.arange(6) % 2
    InterpretableGradient(1.0)(one.train(), images, targets).backward()
    cross_entropy(other.train(), images, targets).backward()
    assert same(one, other)
    assert one.stem[1].num_batches_tracked == 1


def test_alignment_is_learnt():
    recipe = Recipe(epochs=8, learning_rate=0.02, batch_size=8)
    images, targets = torch.randn(32, 3, 16, 16), torch.arange(32) % 2
    found = []
    for weight in (0.0, 2.0):
        net, _ = trained(InterpretableGradient(weight, target="logit"), recipe=recipe)
        both = both_gradients(net, images, targets, "logit")
        found.append(F.cosine_similarity(both.plain.flatten(1), both.guided.flatten(1)).mean())
    assert found[1] > found[0] + 0.1


class StopError(Exception):
    """Ends a training early, as a lost machine does."""


def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch):
    objective, file = InterpretableGradient(0.1), tmp_path / "progress.pt"
    whole, _ = trained(objective)
    calls, original = [], InterpretableGradient.__call__

    def stopping(self, *inputs):
        calls.append(1)
        if len(calls) > 6:
            raise StopError
        return original(self, *inputs)

    monkeypatch.setattr(InterpretableGradient, "__call__", stopping)
    with pytest.raises(StopError):
        trained(objective, file)
    monkeypatch.undo()
    resumed, records = trained(objective, file)
    assert same(whole, resumed)
    assert len(records) == 2


def test_progress_with_another_objective_is_refused(tmp_path):
    file = tmp_path / "progress.pt"
    trained(InterpretableGradient(0.1), file)
    with pytest.raises(ValueError, match=r"of another run .weight 0\.1, not 0\.2"):
        trained(InterpretableGradient(0.2), file)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_gradients():
    net, images = pooled_network(), pictures()
    here = both_gradients(net, images, TARGET_LABELS)
    there = both_gradients(net.cuda(), images.cuda(), TARGET_LABELS.cuda())
    torch.testing.assert_close(there.plain.cpu(), here.plain, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(there.guided.cpu(), here.guided, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_the_same():
    found, objective = [], InterpretableGradient(1.0, target="logit")
    for device in ("cpu", "cuda"):
        net = dict(networks())["small"].double().train().to(device)
        images, targets = pictures().double().to(device), TARGET_LABELS.to(device)
        objective(net, images, targets).backward()
        found.append([parameter.grad.cpu() for parameter in net.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


# The command --------------------------------------------------------------------------------------

SUBJECTS = "tests.xaicore.training.subjects"
FLOWERS = "xaibook.flowers:flower_classifier"
LEARN = ["train", "interpretable-gradient", "--epochs", "1", "--batch-size", "8"]
IMAGES = ["--images", f"{SUBJECTS}:flowers", "--limit", "48"]
COMMAND = [*LEARN, "--model", FLOWERS, *IMAGES]


def folder(path, count=24, side=16):
    """Write flowers as files, and return the options that name them."""
    lines = ["file,label"]
    flowers = Flowers("species", "train", count, size=side)
    for index in range(count):
        array = (255 * flowers.images[index].permute(1, 2, 0)).byte().numpy()
        Image.fromarray(array).save(path / f"{index}.png")
        lines.append(f"{index}.png,{int(flowers.targets[index])}")
    (path / "labels.csv").write_text("\n".join(lines))
    return ["--images", str(path), "--labels", str(path / "labels.csv")]


def test_two_processes_learn_what_one_does(tmp_path):
    model = ["--model", f"{SUBJECTS}:unnormalised", "--weight", "0.5"]
    command = [*LEARN, *model, *IMAGES]
    states = []
    for count in (1, 2):
        output = tmp_path / f"{count}.pt"
        printed = together(count, lambda to=output: main([*command, "-o", str(to)]), tmp_path)
        assert ["written" in text for text in printed] == [True, False][:count]
        states.append(torch.load(output, weights_only=True))
    one, other = states
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-3, atol=1e-5)
    assert not all(torch.equal(one[name], other[name]) for name in one)  # two did run


def test_what_was_trained_explains_a_picture(tmp_path, capsys):
    file, picture = tmp_path / "net.pt", tmp_path / "noise.png"
    assert main([*COMMAND, "-o", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "epoch  loss    seconds" in printed
    assert "on 4 held-out images accuracy" in printed
    trained, plain = torch.load(file, weights_only=True), flower_classifier().net.state_dict()
    assert set(trained) == set(plain)
    assert not torch.equal(trained["fc.weight"], plain["fc.weight"])
    Image.effect_noise((80, 64), 60).convert("RGB").save(picture)
    explain = ["explain", str(picture), "--model", FLOWERS, "--weights", str(file)]
    assert main([*explain, "--method", "grad-cam", "-o", str(tmp_path / "map.png")]) == 0


@pytest.mark.parametrize("model", ["xaibook.flowers:SmallResNet", "resnet18", "mobilenet_v2"])
def test_networks_begin_with_random_weights(model, tmp_path):
    output = tmp_path / "net.pt"
    options = ["--scratch", "--model", model, "--size", "16", "--averages"]
    stem = [] if ":" in model else ["--small-images"]
    assert main([*LEARN, *options, *stem, *folder(tmp_path), "-o", str(output)]) == 0
    assert output.is_file()


def test_labels_that_the_network_does_not_know_are_refused(tmp_path, capsys):
    options = folder(tmp_path, 12)
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace("0.png,", "0.png,7"))
    assert main([*COMMAND, *options, "-o", str(tmp_path / "net.pt")]) == 2
    assert "is out of range for the network, which has 9 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scratch", "--images", f"{SUBJECTS}:nameless"], "must name its classes"),
        (["--learning-rate", "1e12"], "the loss is"),
        (["--small-images"], "--small-images: the weights of a network belong to its stem"),
        (["--scratch", "--weights", "w.pt"], "--weights: random weights are asked for"),
        (["--scratch", "--model", "resnet19"], "--model: resnet19 cannot begin"),
        (["--limit", "4"], "4 are too few to hold a tenth of them out"),
        (["--weight", "-2"], "weight must be 0 or more"),
        (["--batch-size", "99"], "do not fill one batch"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(options, words, tmp_path, capsys):
    output = tmp_path / "net.pt"
    assert main([*COMMAND, *options, "-o", str(output)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error
    assert not output.exists()
