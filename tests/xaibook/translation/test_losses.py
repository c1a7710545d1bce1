"""Each loss against its formula written out, and where it is zero."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from xaibook.translation import losses


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_kl_is_that_of_torch(generator):
    mean, log_variance = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    normal = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(normal, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(losses.kl(mean, log_variance), expected)


def test_negative_elbo_is_the_likelihood_of_a_normal_distribution_and_the_prior(generator):
    x, decoded = torch.rand(2, 4, 3, 8, 8, generator=generator, dtype=torch.float64)
    mean, log_variance = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    likelihood = Normal(decoded, losses.SIGMA).log_prob(x).flatten(1).sum(1)
    constant = 192 * math.log(losses.SIGMA * math.sqrt(2 * math.pi))
    expected = -likelihood - constant + losses.BETA * losses.kl(mean, log_variance)
    torch.testing.assert_close(
        losses.negative_elbo(x, decoded, mean, log_variance), expected.mean()
    )


def test_a_pixel_s_share_of_the_elbo_is_its_squared_error(generator):
    x, decoded = torch.rand(2, 4, 3, 8, 8, generator=generator, dtype=torch.float64)
    certain = torch.zeros(4, 6, dtype=torch.float64)
    elbo = losses.negative_elbo(x, decoded, certain, certain) * losses.per_pixel(x)
    torch.testing.assert_close(elbo, ((x - decoded) ** 2).mean())


def test_the_adversaries_losses_are_least_squares(generator):
    scores = torch.rand(4, 2, generator=generator).tolist()
    a, b, into_a, into_b = (torch.tensor([pair]) for pair in scores)
    (a_a, a_b), (b_a, b_b), (fa_a, _), (_, fb_b) = scores
    fooled = (fa_a - 1) ** 2 + (fb_b - 1) ** 2
    assert losses.fooling(into_a, into_b).item() == pytest.approx(fooled)
    real = (a_a - 1) ** 2 + (b_b - 1) ** 2
    wrong = (a_b**2 + b_a**2 + fa_a**2 + fb_b**2) / 2
    assert losses.discerning(a, b, into_a, into_b).item() == pytest.approx(real + wrong)


def test_a_discriminator_that_knows_nothing_loses_one():
    half = torch.full((3, 2), 0.5)
    assert losses.discerning(half, half, half, half).item() == 1


@pytest.mark.parametrize("kind", losses.SIMILARITIES)
def test_a_picture_is_as_similar_to_itself_as_can_be(kind, generator):
    x = torch.rand(2, 3, 16, 16, generator=generator)
    assert losses.similarity(kind, x, x).item() == 0
    assert losses.similarity(kind, x, x.flip(1)).item() > 0


def test_only_the_palette_does_not_say_where_a_colour_is(generator):
    x = torch.rand(2, 3, 16, 16, generator=generator)
    moved = x.flatten(2)[:, :, torch.randperm(256, generator=generator)].view_as(x)
    found = {kind: losses.similarity(kind, x, moved).item() for kind in losses.SIMILARITIES}
    assert found["palette"] == 0
    assert found["pixels"] > 0.1
    assert found["averages"] > 0.01


def test_pixels_and_averages_written_out():
    x, y = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    y[:, :, :4] = 1
    y[:, :, 4:] = -1
    assert losses.similarity("pixels", x, y).item() == 1
    assert losses.similarity("averages", x, y).item() == 0


def test_an_unknown_similarity_is_refused():
    with pytest.raises(ValueError, match="kind"):
        losses.similarity("codes", torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
