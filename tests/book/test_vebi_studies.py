"""The studies of the VEBI chapter hold what the chapter says of them."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import Subset, TensorDataset

from studies import elsewhere, interpretation, vebi
from xaibook.chapter import stored
from xaibook.data import find_data
from xaicore.classifier import Classifier
from xaicore.interpretation import Responses, identify, responses

TWINS = {f"{task}-seed{seed}" for task, seed in product(("stem", "petal"), range(3))}
MAPS = {"vebi", "vebi-strided", "guided-backprop", "grad-cam", "edges"}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """One network, few pictures, few draws."""
    for module in (vebi, interpretation):
        monkeypatch.setattr(module, "TRAINING", 64)
    monkeypatch.setattr(vebi, "KEPT", tmp_path)
    settings = {"SHOWN": 10, "HELD": 10, "DRAWS": 3, "MAPPED": 2, "STEPS": ("fc",)}
    for name, value in settings.items():
        monkeypatch.setattr(interpretation, name, value)
    stem = [twin for twin in interpretation.twins() if twin.name == "stem-seed0"]
    monkeypatch.setattr(interpretation, "twins", lambda: iter(stem))
    interpretation.relied.cache_clear()
    yield
    interpretation.relied.cache_clear()


def joined(study):
    return pd.concat(list(study()), ignore_index=True)


@pytest.mark.usefixtures("small")
def test_ablation_is_measured_by_class_and_by_picture():
    means, each = joined(interpretation.ablation), joined(interpretation.silenced)
    assert set(means["layers"]) == set(each["layers"]) == {"all", "last"}
    last = means[means["layers"] == "last"]
    assert set(last["k"]) == set(each["k"]) == {0, interpretation.MOST}
    assert (each.groupby(["layers", "features", "k"]).size() == 10).all()
    start = each[each["k"] == 0].groupby("image")["p"]
    assert (start.max() - start.min()).max() < 1e-12


@pytest.mark.usefixtures("small")
def test_maps_are_scored_where_the_network_relies_on_its_part():
    each, drawn = joined(interpretation.overlap), joined(interpretation.choices)
    assert set(each["method"]) == MAPS | {"vebi-random"}
    assert set(drawn["method"]) == MAPS | {"random 0", "random 1"}
    kept = interpretation.relied("stem-seed0").tolist()
    assert all(sorted(own["image"]) == kept for _, own in each.groupby("method"))
    random = drawn[drawn["method"].str.startswith("random")]["RMA"].mean()
    mean = each[each["method"] == "vebi-random"]["RMA"].mean()
    assert mean == pytest.approx(random, abs=1e-4)


@pytest.mark.usefixtures("small")
def test_features_of_a_randomised_network_are_the_old_ones_or_new():
    table = joined(interpretation.sanity)
    found = table.groupby("step")["features"].agg(set).to_dict()
    assert found == {"fc": {"old", "new"}, "random channels": {"old"}}
    blind = table[(table["step"] == "fc") & (table["features"] == "old")]
    assert blind["spearman"].mean() > 0.95


def test_kinds_of_animals_share_out_the_classes_and_add_their_probabilities():
    class Logits(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :1000]

    kinds = elsewhere.Kinds(Logits())
    assert sorted(i for group in kinds.groups for i in group) == list(range(1000))
    images = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    whole = Logits()(images).softmax(1)
    expected = torch.stack([whole[:, group].sum(1) for group in kinds.groups], dim=1)
    torch.testing.assert_close(kinds(images).softmax(1), expected)
    assert [kinds.kind(label) for label in (283, 200, 82, 999)] == [0, 1, 2, 6]


@pytest.mark.parametrize("network", elsewhere.STAGED)
def test_a_network_in_stages_is_the_network_and_runs_its_first_layers_once(network):
    torch.manual_seed(0)
    net = torchvision.models.get_model(network, weights=None).eval()
    images, others = torch.rand(2, 2, 3, 96, 96)
    with torch.no_grad():
        expected = net(images), net(others)
        staged, runs = elsewhere.STAGED[network](net).eval(), []
        staged.early.layers.register_forward_hook(lambda *_: runs.append(1))
        found = staged(images), staged(images.clone()), staged(others), staged(images)
    assert len(runs) == 3
    for logits, own in zip(found, [expected[i] for i in (0, 0, 1, 0)], strict=True):
        torch.testing.assert_close(logits, own)
    modules = dict(staged.named_modules())
    assert all(isinstance(modules[name], nn.ReLU) for name in staged.relu_layers())


def test_photographs_of_a_fold_are_ablated_with_features_of_the_others(monkeypatch):
    monkeypatch.setattr(elsewhere, "FEWER", 2)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = Classifier(nn.Sequential(net, nn.Linear(8, 7)).eval(), layer="0.1")
    pixels = torch.rand(24, 3, 8, 8, generator=generator)
    kinds = torch.arange(24) // 2 % 7
    named = TensorDataset(pixels, kinds)
    found = Responses.join(responses(classifier, named))
    shown = elsewhere._fold(classifier, named, found, 1)
    assert set(shown["image"]) == {i for i in range(1, 24, 2) if kinds[i] < 6}
    assert (shown["target"] == kinds.numpy()[shown["image"]]).all()
    assert set(shown["k"]) == set(range(11))
    turned = found[torch.arange(len(found))]
    turned.x[1::2] = turned.x[1::2].roll(1, dims=1)
    again = elsewhere._fold(classifier, named, turned, 1)
    pd.testing.assert_frame_equal(again, shown)


@pytest.mark.parametrize("build", elsewhere.BUILDERS)
def test_small_networks_learn_alike_from_one_seed_and_only_strides_leave_a_grid(build):
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(64) % 10
    pixels = torch.rand(64, 3, 28, 28, generator=generator) * (classes / 9)[:, None, None, None]
    data = TensorDataset(pixels, classes)
    images = elsewhere.Images(data, Subset(data, range(12)), mirrored=False, epochs=1)
    make = elsewhere.BUILDERS[build]
    one, other = (elsewhere.trained(make, images, seed=3) for _ in range(2))
    assert torch.equal(one(pixels[:4]), other(pixels[:4]))
    strides = {m.stride for m in one.modules() if isinstance(m, nn.Conv2d)}
    assert ((2, 2) in strides) == (build == "strided")
    assert identify(responses(one, data)).W.shape[1] == 10


@pytest.fixture(scope="module")
def data():
    folder = find_data()
    if folder is None:
        pytest.skip("no real images: set XAICORE_DATA to their folder")
    return folder


def test_small_images_are_split_and_in_range(data):
    for make, counts in ((elsewhere.digits, (2000, 500)), (elsewhere.garments, (600, 300))):
        images = make(data)
        assert (len(images.training), len(images.test)) == counts
        image, label = images.test[0]
        assert image.shape == (3, 28, 28)
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        assert 0 <= int(label) < 10


# The stored records -------------------------------------------------------------------------------


def test_the_path_is_optimal_everywhere_and_ends_unbound():
    path, _ = stored("vebi.path")
    assert set(path["network"]) == TWINS
    assert path["residual"].max() <= 1e-6
    assert (path.groupby("network")["error"].count() == 24).all()
    means = path.groupby("fraction")["error"].mean()
    assert means.is_monotonic_decreasing


def test_samples_are_whole():
    samples, _ = stored("vebi.samples")
    assert set(samples["network"]) == TWINS
    assert (samples.groupby(["network", "class"]).size() == 20).all()
    assert samples["jaccard"].between(0, 1).all()


def test_relevant_channels_cost_more_than_random_ones_in_every_network():
    table, _ = stored("vebi.ablation")
    assert set(table["network"]) == TWINS
    own = table[table["layers"] == "all"]
    ends = own.pivot(index=["network", "target", "features", "draw"], columns="k", values="p")
    loss = (ends[0] - ends[10]).groupby(["network", "features", "draw"]).mean().unstack("features")
    assert (loss["random"].groupby("network").count() == 20).all()
    relevant, random = loss["relevant"].groupby("network").max(), loss["random"]
    assert (relevant > random.groupby("network").mean()).all()


def test_maps_of_relevant_features_find_the_part_better_than_those_of_random_ones():
    table, _ = stored("vebi.overlap")
    assert set(table["network"]) == TWINS
    assert table.groupby("network")["image"].nunique().min() >= 200
    means = table.groupby(["network", "method"])["RMA"].mean().unstack()
    assert (means["vebi"] > means["vebi-random"]).mean() > 0.5
    spread = table.groupby("method")["spread 2"].mean()
    assert spread["vebi-strided"] >= 10 * spread["vebi"]
    np.testing.assert_array_less(0, spread)


def test_relevant_channels_cost_animals_on_photographs_more_than_any_draw_of_random_ones():
    each, _ = stored("vebi.photographs")
    means, _ = stored("vebi.photograph-draws")
    assert set(each["network"]) == set(means["network"]) == set(elsewhere.STAGED)
    assert (each.groupby("network")["image"].nunique() >= 300).all()
    assert set(each["k"]) == set(means["k"]) == set(range(11))
    assert not each.duplicated(["network", "image", "features", "k"]).any()
    start = each[each["k"] == 0].groupby(["network", "image"])["p"]
    assert (start.max() - start.min()).max() < 1e-4
    ends = means.pivot(index=["network", "features", "draw", "fold"], columns="k", values="p")
    loss = (ends[0] - ends[10]).groupby(["network", "features", "draw"]).mean().unstack("features")
    assert (loss["random"].groupby("network").count() == elsewhere.FEWER).all()
    relevant, random = (loss[name].groupby("network").max() for name in ("relevant", "random"))
    assert (relevant > random).all()
