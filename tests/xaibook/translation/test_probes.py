"""Probes of codes whose answers are known, and changes of codes that do nothing or everything."""

import pytest
import torch

from xaibook.translation import load_judge, probes, scenes
from xaibook.translation.model import Pair
from xaibook.translation.training import new_vae


@pytest.fixture(scope="module")
def shown():
    return tuple(scenes.paired(shape, 64) for shape in scenes.DOMAINS)


@pytest.fixture(scope="module")
def mover(shown):
    vae = new_vae(0)
    codes = torch.randn(64, vae.code, generator=torch.Generator().manual_seed(0))
    return probes.Mover(vae, load_judge(), codes, shown[0].petals)


def linear(shift=0.0):
    """Codes that are a linear function of 16 factors, the same for both domains."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(16, 32, generator=generator)
    a, b, c = (torch.randn(count, 16, generator=generator) for count in (300, 300, 80))
    codes = a @ mixing, b @ mixing + shift
    return probes.Coded(codes, (a, b), (c @ mixing, c @ mixing + shift), (c, c))


def test_factors_of_partners_agree_but_for_the_petals_rim(shown):
    a, b = map(probes.factors, shown)
    assert a.shape == (64, 16)
    assert torch.equal(a[:, 9:], b[:, 9:])
    torch.testing.assert_close(a[:, :9], b[:, :9], atol=0.06, rtol=0)


def test_ridge_with_no_penalty_finds_a_linear_map():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(4, 2, generator=generator, dtype=torch.float64) + 3
    torch.testing.assert_close(probes.Ridge.fit(x, y, penalty=0)(x), y)
    assert probes.r2(y, y).tolist() == [1, 1]
    assert probes.r2(y.mean(0).expand_as(y), y).tolist() == pytest.approx([0, 0])


def test_linear_codes_are_read_wholly_in_either_domain():
    coded = linear()
    for own, other in coded.read().values():
        assert own == other == pytest.approx(1, abs=0.02)
    assert coded.partner() == 1
    assert coded.domain() == pytest.approx(0.5, abs=0.1)


def test_codes_that_lie_apart_tell_the_domain():
    """A shift along all numbers is seen by a probe that is fitted to both domains."""
    generator = torch.Generator().manual_seed(1)
    here, there = torch.randn(2, 300, 32, generator=generator)
    known = torch.randn(300, 16, generator=generator)
    coded = probes.Coded((here, there + 5), (known, known), (here, there + 5), (known, known))
    assert coded.domain() == 1
    assert coded.partner() < 0.05


def test_identical_encoders_of_identical_pictures_transfer_wholly(shown):
    vae = new_vae(0)
    coded = probes.Coded.of(Pair(vae, vae), (shown[0], shown[0]), (shown[0], shown[0]))
    for own, other in coded.read().values():
        assert own == other
    assert coded.domain() == 0.5
    assert coded.partner() == 1


def test_disentanglement_of_one_number_a_thing_is_one_and_of_none_zero():
    assert probes.disentanglement(torch.eye(5)) == pytest.approx(1)
    assert probes.disentanglement(torch.ones(5, 5)) == pytest.approx(0, abs=1e-6)
    assert linear().importance().shape == (32, 7)


def test_swapping_nothing_moves_nothing_and_swapping_all_everything(mover):
    order = torch.arange(32)
    none, every = (mover.measure(mover.swapped(order, count)) for count in (0, 32))
    assert none.colour == pytest.approx(0, abs=1e-6)
    assert none.outline >= none.other
    assert every.colour == pytest.approx(1, abs=1e-4)
    assert every.other == none.outline


def test_directions_of_linear_codes_reach_what_is_wanted():
    coded = linear()
    codes, known = coded.codes[0], coded.known[0]
    moves = probes.directions(codes, known)
    every = range(known.shape[1])
    reached = probes.along(codes, known, known.roll(1, 0), moves, every)
    torch.testing.assert_close(reached, codes.roll(1, 0), atol=1e-3, rtol=0)
    assert torch.equal(probes.along(codes, known, known, moves, probes.STYLE), codes)
