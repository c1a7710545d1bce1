"""The benchmark: what must score 0, what 1, and which pictures count."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.networks import classifier
from tests.xaibook.partbench.oracles import key, reader
from xaibook.flowers.dataset import Flowers
from xaibook.partbench import TWINS, PartBenchmark, part_benchmark
from xaibook.partbench.benchmark import Twins, floor_maps
from xaicore.attribution import Edges
from xaicore.classifier import Classifier
from xaicore.metrics import iou_curve, mask_iou, relevance_mass_accuracy

TEST, HELD = 6, 3


@pytest.fixture(scope="module")
def networks() -> dict[tuple[str, int], Classifier]:
    """Seed 0 reads the right parts; seed 1 reads stems in half of the pictures of petals."""
    sets = [Flowers("petal", "test", TEST), Flowers("petal", "validation", HELD)]
    right = {(task, 0): reader(task, sets) for task in TWINS}
    mixed = reader("petal", sets)
    half = Flowers("petal", "test", TEST // 2)
    mixed.net.known |= reader("stem", [half]).net.known
    return right | {("petal", 1): mixed, ("stem", 1): right["stem", 0]}


def oracle(model: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
    """A method that shows the part its network reads."""
    known = {}
    for split, n in (("test", TEST), ("validation", HELD)):
        flowers = Flowers("petal", split, n)
        read = model(flowers.images).argmax(1)
        task = "petal" if torch.equal(read, flowers.targets) else "stem"
        known |= dict(zip(map(key, flowers.images), flowers.masks[task], strict=True))
    return lambda images, _targets: torch.stack([known[key(image)] for image in images])


@pytest.fixture(scope="module")
def records(networks: dict[tuple[str, int], Classifier]) -> pd.DataFrame:
    methods = {"oracle": oracle, "blind": Edges}
    return part_benchmark(methods, (0,), TEST, HELD, batch_size=4, classifiers=networks)


def test_maps_that_ignore_the_network_have_no_paired_contrast(records: pd.DataFrame) -> None:
    contrast = records[records["metric"] == "PC"].set_index("method")["value"]
    for name in ("blind", "noise", "centre", "edges", "colour", "silhouette"):
        assert (contrast[name] == 0).all()
    assert (contrast["other-part"] < -0.5).all()
    assert (contrast["mask"] > 0.5).all()


def test_the_oracle_reaches_the_ceiling(records: pd.DataFrame) -> None:
    table = records.pivot(index=["image", "task", "metric"], columns="method", values="value")
    assert table["oracle"].tolist() == pytest.approx(table["mask"].tolist(), abs=1e-6)


def test_every_picture_method_and_metric_has_one_record(records: pd.DataFrame) -> None:
    identity = ["image", "seed", "task", "method", "metric"]
    assert not records.duplicated(identity).any()
    assert records["image"].nunique() == TEST
    per_method = records.groupby("method").size()
    assert (per_method == TEST * (2 * 5 + 1)).all()
    assert set(records["kind"]) == {"method", "floor", "ceiling"}
    assert records["value"].between(-1, 1).all()


def test_the_scores_are_those_of_the_metrics(records: pd.DataFrame) -> None:
    twins = Twins.render("test", TEST)
    table = records.set_index(["method", "task", "metric"]).sort_index()
    maps, masks = Edges(classifier())(twins.images), twins.masks["stem"]
    expected = {
        "IoU-AUC": iou_curve(maps, masks).mean(1),
        "RMA": relevance_mass_accuracy(maps, masks),
    }
    for metric, values in expected.items():
        found = table.loc[("blind", "stem", metric)].sort_values("image")["value"]
        assert found.tolist() == pytest.approx(values.tolist())


def test_floors_and_ceilings_are_in_their_order(records: pd.DataFrame) -> None:
    means = records.groupby(["method", "task", "metric"])["value"].mean()
    for task in TWINS:
        mass = means[:, task, "RMA"]
        assert mass["other-part"] < 0.1
        assert mass["noise"] < mass["silhouette"] < mass["mask"]
        rank = means[:, task, "RRA"]
        assert rank["mask"] == pytest.approx(1)
        assert rank["noise"] < rank["coarse-mask"] < 1


def test_only_pictures_count_on_which_both_networks_rely_on_their_part(
    networks: dict[tuple[str, int], Classifier],
) -> None:
    found = part_benchmark({}, (1,), TEST, HELD, classifiers=networks)
    assert set(found["image"]) == set(range(TEST // 2, TEST))


def test_networks_that_rely_on_another_part_leave_nothing_to_score() -> None:
    sets = [Flowers("petal", "test", TEST), Flowers("petal", "validation", HELD)]
    confused = {("petal", 0): reader("stem", sets), ("stem", 0): reader("stem", sets)}
    with pytest.raises(ValueError, match="classifiers: those of seed 0 are wrong"):
        part_benchmark({}, (0,), TEST, HELD, classifiers=confused)


def test_the_costly_explain_a_share_and_another_one_for_each_seed(
    networks: dict[tuple[str, int], Classifier],
) -> None:
    twice = networks | {(task, 1): networks[task, 0] for task in TWINS}
    benchmark = PartBenchmark((0, 1), TEST, HELD, classifiers=twice)
    whole, some = (benchmark.score("oracle", oracle, every) for every in (1, 2))
    shown = some.groupby("seed")["image"].unique()
    assert sorted(shown[0]) == [0, 2, 4]
    assert sorted(shown[1]) == [1, 3, 5]
    identity = ["image", "seed", "task", "metric"]
    both = some.merge(whole, on=identity, suffixes=("", "_whole"))
    both = both[both["metric"] != "IoU"]  # its threshold is of fewer pictures
    assert both["value"].tolist() == both["value_whole"].tolist()
    for every in (0, HELD + 1):
        with pytest.raises(ValueError, match="every must be from 1 to 3"):
            benchmark.score("oracle", oracle, every)


def test_shares_are_told_by_the_numbers_of_pictures_whichever_a_seed_relies_on(
    networks: dict[tuple[str, int], Classifier],
) -> None:
    twice = networks | {(task, 1): networks[task, 0] for task in TWINS}
    relied = {0: torch.tensor([0, 1, 3, 4]), 1: torch.tensor([1, 2, 3, 5])}
    benchmark = PartBenchmark((0, 1), TEST, HELD, classifiers=twice, kept=relied)
    shown = benchmark.score("oracle", oracle, 2).groupby("seed")["image"].unique()
    assert sorted(shown[0]) == [0, 4]
    assert sorted(shown[1]) == [1, 3, 5]
    few = PartBenchmark((0,), TEST, HELD, classifiers=twice, kept={0: torch.tensor([1, 3])})
    with pytest.raises(ValueError, match="every is too large: 2 leaves seed 0 no picture"):
        few.score("oracle", oracle, 2)


def test_the_threshold_is_chosen_on_validation_pictures_alone(
    networks: dict[tuple[str, int], Classifier],
) -> None:
    """Maps of 1 in the mask, of 0.5 elsewhere on validation and of 0.2 on test pictures."""

    def shy(classifier: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
        shown, test = oracle(classifier), set(map(key, Flowers("petal", "test", TEST).images))

        def maps(images: Tensor, targets: Tensor) -> Tensor:
            rest = [0.2 if key(image) in test else 0.5 for image in images]
            masks = (shown(images, targets) > 0).float()
            return masks + (1 - masks) * torch.tensor(rest).view(-1, 1, 1, 1)

        return maps

    records = part_benchmark({"shy": shy}, (0,), TEST, HELD, classifiers=networks)
    found = records[(records["method"] == "shy") & (records["metric"] == "IoU")]
    twins = Twins.render("test", TEST)
    for task in TWINS:
        masks = twins.masks[task]
        maps = 0.2 + 0.8 * (masks > 0)
        own = found[found["task"] == task].sort_values("image")["value"]
        assert own.tolist() == pytest.approx(mask_iou(maps, masks, 0.55).tolist())


def test_blind_floors_are_the_same_for_both_tasks() -> None:
    twins = Twins.render("validation", 4)
    for name, (kind, maps) in floor_maps(classifier(), twins, twins).items():
        same = torch.equal(maps["petal"], maps["stem"])
        assert same == (name in ("noise", "centre", "edges", "colour", "silhouette"))
        assert kind == ("ceiling" if name in ("mask", "coarse-mask") else "floor")
        for values in maps.values():
            assert values.shape == (4, 1, 64, 64)
            assert ((values >= 0) & (values <= 1)).all()


def test_place_edges_colour_and_silhouette_do_not_find_the_parts() -> None:
    """The figures in brackets are those of 300 test pictures."""
    test, held = Twins.render("test", 100), Twins.render("validation", 100)
    floors = floor_maps(classifier(), test, held)
    maps = {name: by_task for name, (_, by_task) in floors.items()}

    def curve(name: str, task: str) -> float:
        return iou_curve(maps[name][task], test.masks[task]).mean().item()

    assert curve("mean-mask", "petal") < 0.25  # (0.18)
    assert curve("mean-mask", "stem") < 0.08  # (0.05)
    for name in ("edges", "colour"):
        assert curve(name, "petal") < 0.15  # (0.04 and 0.10)
        assert curve(name, "stem") < 0.06  # (0.03 and 0.04)
    assert curve("silhouette", "petal") > 0.5  # (0.59): a large part is passed by the whole flower
    assert curve("silhouette", "stem") < 0.2  # (0.15): a thin one is not
    assert 0.1 < curve("coarse-mask", "stem") < 0.4  # (0.23): the best a map of 8 x 8 can do
