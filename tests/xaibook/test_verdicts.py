"""The rule that judges claims, on numbers made by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from xaibook.claims import Test
from xaibook.verdicts import (
    CONTRADICTED,
    COUNTLESS,
    HOLDS,
    NOT_TESTABLE,
    SAME_DIRECTION,
    UNDECIDED,
    VERDICTS,
    Difference,
    Finding,
    at_scale,
    compare,
    corrected,
    holm,
    needed,
    over_scales,
)


def asked(relation, by=0.0, at_most=math.inf):
    return Test("AG", "a", relation, "b", by, at_most)


def of(mean, half_width=1.0, networks=()):
    """A difference over 100 images."""
    return Difference(mean, half_width / 1.96, 100, "image", networks)


def trained(*means):
    """A difference over networks that were trained alike."""
    n = len(means)
    mean = sum(means) / n
    error = math.sqrt(sum((m - mean) ** 2 for m in means) / (n - 1) / n)
    return Difference(mean, error, n, "network", means)


class TestComparison:
    @pytest.mark.parametrize(
        ("relation", "by", "at_most", "published", "mean", "outcome"),
        [
            ("above", 0, math.inf, (), 2, HOLDS),
            ("above", 0, math.inf, (), 0.5, UNDECIDED),
            ("above", 0, math.inf, (), -2, CONTRADICTED),
            ("above", 3, math.inf, (), 5, HOLDS),
            ("above", 3, math.inf, (), 3.5, UNDECIDED),
            ("above", 20, math.inf, (), 5, SAME_DIRECTION),
            ("above", 20, math.inf, (), 0.5, UNDECIDED),
            ("above", 20, math.inf, (), -5, CONTRADICTED),
            ("above", 0, 6, (), 4, HOLDS),
            ("above", 0, 6, (), 10.7, SAME_DIRECTION),
            ("below", 0, math.inf, (), -2, HOLDS),
            ("below", 3, math.inf, (), -1.5, SAME_DIRECTION),
            ("below", 0, 2, (), -1.5, UNDECIDED),
            ("below", 3, math.inf, (), 2, CONTRADICTED),
            ("near", 3, math.inf, (), -1, HOLDS),
            ("near", 3, math.inf, (), 2.5, UNDECIDED),
            ("near", 3, math.inf, (), 5, CONTRADICTED),
            ("near", 3, math.inf, (0.3, 1.0), 5, SAME_DIRECTION),
            ("near", 3, math.inf, (0.3, 1.0), -5, CONTRADICTED),
            ("near", 3, math.inf, (0.3, -1.0), 5, CONTRADICTED),
            ("near", 0.5, math.inf, (), 0, UNDECIDED),
            ("not_below", 1, math.inf, (), 3, HOLDS),
            ("not_below", 1, math.inf, (), -1.5, UNDECIDED),
            ("not_below", 1, math.inf, (), -3, CONTRADICTED),
        ],
    )
    def test_an_interval_of_half_width_one(self, relation, by, at_most, published, mean, outcome):
        claimed = asked(relation, by, at_most).claimed(published)
        assert compare(of(mean), claimed).outcome == outcome

    def test_one_unit_decides_nothing(self):
        single = Difference(5, math.nan, 1, "network")
        assert compare(single, asked("above").claimed()).outcome == UNDECIDED

    @given(st.floats(-50, 50), st.floats(0.1, 20), st.floats(0, 20))
    def test_above_and_below_are_mirror_images(self, mean, half_width, by):
        above = compare(of(mean, half_width), asked("above", by).claimed())
        below = compare(of(-mean, half_width), asked("below", by).claimed())
        assert above == below

    @given(st.floats(0.1, 100), st.floats(0.1, 20), st.floats(0, 200))
    def test_a_margin_never_makes_a_contradiction_of_the_claimed_sign(self, mean, half_width, by):
        assert compare(of(mean, half_width), asked("above", by).claimed()).outcome != CONTRADICTED


class TestNetworks:
    """The counter-examples of an audit, by their three networks."""

    @pytest.mark.parametrize(
        ("relation", "means"),
        [
            ("below", (4.73, -0.92, 0.98)),  # CA-Stream: Grad-CAM drops less
            ("above", (-2.08, 0.06, 0.21)),  # by insertion
            ("above", (2.01, -0.03, 2.15)),  # gradients more similar
            ("below", (-0.05, 0.65, 0.52)),  # gradients less noisy
            ("above", (-0.02, -3.41, -1.14)),
            ("above", (2.24, -10.0, -5.58)),
        ],
    )
    def test_seeds_that_disagree_or_vary_decide_nothing(self, relation, means):
        assert compare(trained(*means), asked(relation).claimed()).outcome == UNDECIDED

    def test_three_that_agree_closely_decide(self):
        assert compare(trained(5.0, 5.5, 6.0), asked("above").claimed()).outcome == HOLDS
        assert compare(trained(5.0, 5.5, 6.0), asked("below").claimed()).outcome == CONTRADICTED

    def test_images_decide_nothing_where_networks_disagree(self):
        claimed = asked("above").claimed()
        assert compare(of(5, networks=(4, 5, 6)), claimed) == Finding(HOLDS, 1.0, 3)
        assert compare(of(5, networks=(-1, 5, 11)), claimed) == Finding(UNDECIDED, 1.0, 2)
        assert compare(of(-5, networks=(1, -5, -11)), claimed).outcome == UNDECIDED

    def test_the_interval_is_students(self):
        difference = trained(1.0, 2.0, 6.0)
        assert difference.half_width == pytest.approx(student.ppf(0.975, 2) * difference.error)
        assert difference.p_value(0) == pytest.approx(
            2 * student.sf(difference.mean / difference.error, 2)
        )


class TestNumberNeeded:
    @given(st.floats(0.2, 5), st.floats(0.2, 3))
    def test_so_many_decide_and_one_less_does_not(self, mean, sd):
        claimed = asked("above").claimed()
        count, unit = needed(Difference(mean, sd / 10, 100), claimed)
        assert unit == "image"
        assert compare(Difference(mean, sd / math.sqrt(count), count), claimed).outcome == HOLDS
        if count > 2:
            fewer = Difference(mean, sd / math.sqrt(count - 1), count - 1)
            assert compare(fewer, claimed).outcome == UNDECIDED

    def test_by_hand(self):
        """Half of 1.96 standard deviations of 10, from a mean of 1.96: 100 times as many as one."""
        assert needed(Difference(1.96, 2.0, 25), asked("above").claimed()) == (100, "image")

    def test_of_equality_the_nearer_end_counts(self):
        near = asked("near", 3).claimed()
        assert needed(Difference(2, 1, 100), near) == needed(Difference(4, 1, 100), near)

    def test_where_networks_disagree_networks_are_counted(self):
        count, unit = needed(of(1.6, 0.5, (4.73, -0.92, 0.98)), asked("below").claimed())
        assert unit == "network"
        assert 10 < count < 30

    def test_a_difference_of_nothing_needs_more_than_there_are(self):
        assert needed(of(0.0), asked("above").claimed()) == (COUNTLESS, "image")
        assert needed(of(1e-6), asked("above").claimed()) == (COUNTLESS, "image")


class TestMultiplicity:
    def test_holm_by_hand(self):
        """0.01 ≤ 0.05/4 and 0.015 ≤ 0.05/3, but 0.03 > 0.05/2, so 0.04 is not looked at."""
        assert holm([0.04, 0.01, 0.03, 0.015]) == [False, True, False, True]
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_holm_is_between_bonferroni_and_none(self, p_values):
        rejected = holm(p_values)
        for p, found in zip(p_values, rejected, strict=True):
            assert found or p > 0.05 / len(p_values)
            assert not found or p <= 0.05

    def test_only_contradictions_are_taken_back(self):
        weak, strong = Finding(CONTRADICTED, 0.04, 0), Finding(CONTRADICTED, 1e-6, 0)
        held = Finding(HOLDS, 1.0, 0)
        outcomes = [found.outcome for found in corrected([weak, strong, held])]
        assert outcomes == [UNDECIDED, CONTRADICTED, HOLDS]
        assert corrected([weak]) == [weak]

    def test_p_values_are_those_of_intervals(self):
        assert of(1.0, 1.0).p_value(0) == pytest.approx(0.05, abs=1e-4)
        assert compare(of(-1.01), asked("above").claimed()).p == pytest.approx(0.048, abs=0.001)
        assert compare(of(4.01), asked("near", 3).claimed()).p == pytest.approx(0.048, abs=0.001)


class TestTogether:
    def test_at_a_scale_all_must_hold(self):
        assert at_scale([HOLDS, HOLDS]) == HOLDS
        assert at_scale([HOLDS, SAME_DIRECTION]) == SAME_DIRECTION
        assert at_scale([HOLDS] * 4 + [UNDECIDED] * 2) == UNDECIDED
        assert at_scale([HOLDS, UNDECIDED, CONTRADICTED]) == CONTRADICTED
        assert at_scale([NOT_TESTABLE]) == NOT_TESTABLE

    def test_over_scales_what_cannot_decide_does_not_count(self):
        assert over_scales([HOLDS, UNDECIDED, NOT_TESTABLE]) == HOLDS
        assert over_scales([HOLDS, SAME_DIRECTION]) == SAME_DIRECTION
        assert over_scales([HOLDS, CONTRADICTED]) == CONTRADICTED
        assert over_scales([UNDECIDED, UNDECIDED]) == UNDECIDED
        assert over_scales([UNDECIDED, NOT_TESTABLE]) == UNDECIDED
        assert over_scales([NOT_TESTABLE]) == over_scales([]) == NOT_TESTABLE

    @given(st.lists(st.sampled_from(VERDICTS), min_size=1))
    def test_a_scale_that_cannot_decide_never_changes_a_verdict(self, found):
        assert over_scales([*found, NOT_TESTABLE]) == over_scales(found)
        if set(found) - {NOT_TESTABLE}:
            assert over_scales([*found, UNDECIDED]) == over_scales(found)
