"""The protocol, on a network that counts parts and on explanations that know or ignore them."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.networks import NEUTRAL
from tests.xaibook.partbench.oracles import Memory, key
from xaibook.flowers.dataset import FLOWER_PARTS, Flowers, class_parts
from xaibook.partbench.protocol import Interventions, intervene, means_of, protocol
from xaicore.attribution import Explainer, Noise
from xaicore.classifier import Classifier

PARTS = class_parts("variety")
WEIGHTS = dict(zip(FLOWER_PARTS, (4.0, 2.5, 3.0, 1.5), strict=True))
COUNT = 4


def agreement(own: dict[str, str], part: str) -> Tensor:
    """In which classes a part looks as in this one, ``(C,)``."""
    return torch.tensor([float(other[part] == own[part]) for other in PARTS])


@pytest.fixture(scope="module")
def pictures() -> dict[str, Flowers]:
    return {split: Flowers("variety", split, COUNT) for split in ("test", "validation")}


@pytest.fixture(scope="module")
def network(pictures: dict[str, Flowers]) -> Classifier:
    """The logit of a class is the weight of the visible parts that look as its do."""
    known: dict[bytes, Tensor] = {}
    for flowers in pictures.values():
        for i in range(COUNT):
            scene, own = flowers.scene(i), PARTS[int(flowers.targets[i])]
            count = len(scene.objects())
            views = [scene.clear(k) for k in range(count)]
            for size in range(5):
                views += [
                    scene.without(*gone) for gone in itertools.combinations(FLOWER_PARTS, size)
                ]
            for view in views:
                seen = [part for part in FLOWER_PARTS if part not in view.removed]
                logits = [WEIGHTS[part] * agreement(own, part) for part in seen]
                shown = torch.from_numpy(view.render().image).permute(2, 0, 1) / 255
                known[key(shown)] = torch.stack([torch.zeros(len(PARTS)), *logits]).sum(0)
    return Classifier(Memory(known).eval(), **NEUTRAL)


@pytest.fixture(scope="module")
def asked(network: Classifier, pictures: dict[str, Flowers]) -> list[Interventions]:
    return [intervene(network, pictures[split]) for split in ("test", "validation")]


class Counting(Explainer):
    """Gives each part, spread over its pixels, the weight it has for the class."""

    cost = "none"
    sign = 1.0

    def __init__(self, classifier: Classifier, pictures: dict[str, Flowers]) -> None:
        super().__init__(classifier)
        self.known = {}
        for flowers in pictures.values():
            for i, image in enumerate(flowers.images):
                masks = {part: flowers.masks[part][i] for part in FLOWER_PARTS}
                self.known[key(image)] = PARTS[int(flowers.targets[i])], masks

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        assert targets is not None
        maps = []
        for image, target in zip(images, targets.tolist(), strict=True):
            own, masks = self.known[key(image)]
            weighted = [
                WEIGHTS[part] * agreement(own, part)[target] * mask / mask.sum()
                for part, mask in masks.items()
            ]
            maps.append(torch.stack(weighted).sum(0))
        return self.sign * torch.stack(maps)


def test_the_network_is_asked_about_every_removal(asked: list[Interventions]) -> None:
    test = asked[0]
    assert test.accuracy == 1
    assert test.logits.shape == (COUNT, 16, len(PARTS))
    torch.testing.assert_close(test.whole, torch.full((COUNT,), sum(WEIGHTS.values())))
    expected = torch.tensor([sum(WEIGHTS.values()) - w for w in WEIGHTS.values()])
    torch.testing.assert_close(test.without_parts, expected.expand(COUNT, 4))
    assert (test.logits[:, 15] == 0).all()
    assert test.background_independence == 1
    assert test.present.sum(1).min() >= 4


def test_an_explanation_that_counts_as_the_network_does_is_complete_correct_and_contrastive(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    records = protocol(Counting(network, pictures), *asked)
    means = means_of(records)
    for metric in ("CSDC", "preservation"):
        assert means[metric] == pytest.approx(1)
    for metric in ("SD", "D"):  # parts and objects that touch share the border they are dilated by
        assert means[metric] > 0.85
    assert means["TS"] == 1
    of_first = (asked[0].targets == 0).double().mean().item()  # without any part the first is said
    assert means["DC"] >= 1 - of_first - 1e-9
    assert means["overall"] > 0.9
    assert 0.01 <= records.attrs["threshold"] <= 0.5


def test_its_negative_is_the_opposite(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    explain = Counting(network, pictures)
    explain.sign = -1.0
    means = means_of(protocol(explain, *asked))
    assert means["SD"] < 0.1
    assert means["CSDC"] == 0
    assert means["TS"] == 0
    assert means["D"] == 1


def test_noise_is_at_chance_of_nothing_and_never_contrastive(
    network: Classifier, asked: list[Interventions]
) -> None:
    records = protocol(Noise(network), *asked)
    assert (records.loc[records["metric"] == "TS", "value"] == 0).all()


def test_records_are_one_per_picture_and_measure_and_the_batch_changes_none(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    explain = Counting(network, pictures)
    records = protocol(explain, *asked)
    assert not records.duplicated(["image", "metric"]).any()
    importances = {f"PI {part}" for part in FLOWER_PARTS}
    assert set(records["metric"]) == {"CSDC", "preservation", "DC", "D", "SD", "TS"} | importances
    shares = records["metric"].isin(importances)
    assert records.loc[~shares, "value"].between(0, 1).all()
    assert records.loc[shares, "value"].between(-1, 1).all()
    pd.testing.assert_frame_equal(records, protocol(explain, *asked, batch_size=2))


def test_importances_are_shares_of_what_is_attributed_with_their_signs(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    """The weights 4, 2.5, 3 and 1.5 of 11; more where a neighbour's pixels are dilated into."""
    explain = Counting(network, pictures)
    found = {}
    for sign in (1.0, -1.0):
        explain.sign = sign
        records = protocol(explain, *asked)
        means = records.groupby("metric")["value"].mean()
        found[sign] = [means[f"PI {part}"] for part in FLOWER_PARTS]
    for share, weight in zip(found[1.0], WEIGHTS.values(), strict=True):
        assert share >= weight / 11 - 1e-9
    assert found[-1.0] == pytest.approx([-share for share in found[1.0]])


def test_pictures_keep_their_place_in_the_data_set(asked: list[Interventions]) -> None:
    """A network that is wrong on the first picture: records of two networks can be paired."""
    test = asked[0]
    assert test.indices.tolist() == list(range(COUNT))
    flowers = Flowers("variety", "test", COUNT)
    known = dict(test.classifier.net.known)
    known[key(flowers.images[0])] = -known[key(flowers.images[0])]
    mistaken = Classifier(Memory(known).eval(), **NEUTRAL)
    again = intervene(mistaken, flowers)
    assert again.indices.tolist() == list(range(1, COUNT))
    assert again.accuracy == 1 - 1 / COUNT
    records = protocol(Noise(mistaken), again, again)
    assert set(records["image"]) == set(range(1, COUNT))


def test_one_picture_in_so_many_is_what_it_was(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    explain = Counting(network, pictures)
    test, held = asked
    whole = protocol(explain, test, held)
    some = protocol(explain, test.every(2, 1), held)
    assert set(some["image"]) == set(range(1, COUNT, 2))
    expected = whole[whole["image"].isin(range(1, COUNT, 2)) & (whole["metric"] != "TS")]
    found = some[some["metric"] != "TS"]
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.reset_index(drop=True), check_exact=True
    )
    for step, first in ((0, 0), (1, COUNT), (1, -1)):
        with pytest.raises(ValueError, match="take one in 1 or more"):
            test.every(step, first)
        with pytest.raises(ValueError, match="take one in 1 or more"):
            intervene(network, pictures["test"], step, first)


def test_a_network_may_be_asked_about_a_share_of_the_pictures(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    share = intervene(network, pictures["test"], every=2, first=1)
    assert share.indices.tolist() == [1, 3]
    assert share.accuracy == 1
    for found, expected in (
        (share.logits, asked[0].logits),
        (share.clear[:, :4], asked[0].clear[:, :4]),
        (share.images, asked[0].images),
    ):
        torch.testing.assert_close(found, expected[1::2])


def test_other_tasks_and_other_networks_are_refused(
    network: Classifier, pictures: dict[str, Flowers], asked: list[Interventions]
) -> None:
    with pytest.raises(ValueError, match="must be 'variety'"):
        intervene(network, Flowers("stem", "test", 2))
    other = Classifier(Memory(network.net.known).eval(), **NEUTRAL)
    with pytest.raises(ValueError, match="one and the same classifier"):
        protocol(Counting(other, pictures), *asked)
