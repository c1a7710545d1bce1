"""Published values: their tolerance is measured, truths are exact, and what is lost is refused."""

import json
import math

import pytest

from xaibook.chapter import RECORDS
from xaibook.published import (
    FLOOR,
    MULTIPLE,
    PublicationError,
    agrees,
    combine,
    differences,
    read,
    tolerance,
    write,
)

PUBLISHED = {
    path.name: read(path)
    for profile in ("smoke", "book")
    for path in sorted(RECORDS.glob(f"*.{profile}.json"))
}


class TestTolerance:
    def test_it_is_the_stated_multiple_of_the_spread(self):
        allowed = tolerance({"value": 50.0, "spread": 0.25})
        assert allowed == pytest.approx(MULTIPLE * 0.25, abs=2 * 50 * FLOOR)

    @pytest.mark.parametrize("value", [0.5, 1.0, 5e6])
    def test_without_spread_only_the_rounding_of_float32_is_left_open(self, value):
        published = {"value": value, "spread": 0.0}
        assert agrees(value + 0.9 * FLOOR * max(1, value), published)
        assert not agrees(value + 1.1 * FLOOR * max(1, value), published)

    def test_what_a_training_leaves_open_is_stated_by_hand(self):
        published = {"value": 95.0, "spread": 0.0, "abs_tol": 5.0}
        assert tolerance(published) == 5.0
        assert tolerance({**published, "spread": 2.0}) > 2.0 * MULTIPLE

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_value_lies_within_it_on_both_sides(self, sign):
        published = {"value": -3.0, "spread": 0.1}
        assert agrees(-3.0 + sign * 0.99, published)
        assert not agrees(-3.0 + sign * 1.01, published)

    @pytest.mark.parametrize("got", [math.nan, math.inf, True, "3.0", None])
    def test_what_is_no_number_does_not_agree(self, got):
        assert not agrees(got, {"value": 1.0, "spread": 10.0})

    @pytest.mark.parametrize(
        ("got", "published", "agreed"),
        [
            (True, True, True),
            (False, True, False),
            (1, True, False),
            (8, 8, True),
            (9, 8, False),
            ("a", "a", True),
            ("b", "a", False),
        ],
    )
    def test_truths_are_exact(self, got, published, agreed):
        assert agrees(got, published) is agreed


def by_setting(**values):
    """Return one value, as it came out under each of three settings."""
    (name,) = values
    return {f"set-{number}": {name: value} for number, value in enumerate(values[name], start=1)}


class TestCombine:
    def test_the_declared_value_is_published_with_the_range_of_all(self):
        measured = by_setting(gain=(10.0, 10.5, 9.75))
        assert combine(measured, "set-2", {}, {}) == {"gain": {"value": 10.5, "spread": 0.75}}

    def test_every_measured_setting_agrees_with_what_is_published(self):
        measured = by_setting(gain=(10.0, 10.5, 9.75))
        for declared in measured:
            published = combine(measured, declared, {}, {})
            assert not any(differences(published, v) for v in measured.values())

    def test_the_spread_is_at_least_that_of_the_smallest_profile(self):
        measured = by_setting(gain=(20.0, 20.0, 20.1))
        smallest = {"gain": {"value": -10.0, "spread": 0.25}}
        assert combine(measured, "set-1", {}, smallest)["gain"]["spread"] == 0.5
        assert combine(measured, "set-1", {}, {"gain": True})["gain"]["spread"] == 0.1

    def test_truths_are_published_as_they_are(self):
        for truth in (True, "Grad-CAM", 8):
            assert combine(by_setting(x=(truth,) * 3), "set-1", {}, {}) == {"x": truth}

    @pytest.mark.parametrize("values", [(True, True, False), ("a", "b", "a"), (8, 8, 9)])
    def test_a_truth_that_a_setting_changes_is_refused(self, values):
        with pytest.raises(PublicationError, match="x is a truth, but not the same under every"):
            combine(by_setting(x=values), "set-1", {}, {})

    @pytest.mark.parametrize("values", [(0.1, 0.2, 0.15), (-0.1, 0.1, 0.1), (0.0, 0.0, 0.0)])
    def test_a_value_whose_sign_its_tolerance_hides_is_refused(self, values):
        with pytest.raises(PublicationError, match=r"x: .* hides its sign"):
            combine(by_setting(x=values), "set-1", {}, {})

    def test_a_tolerance_by_hand_may_not_hide_a_sign_either(self):
        old = {"x": {"value": 1.0, "spread": 0.0, "abs_tol": 2.0}}
        with pytest.raises(PublicationError, match="hides its sign"):
            combine(by_setting(x=(1.0, 1.0, 1.0)), "set-1", old, {})

    def test_a_tolerance_by_hand_is_kept(self):
        old = {"x": {"value": 90.0, "spread": 0.5, "abs_tol": 2.0}, "gone": 1}
        new = combine(by_setting(x=(80.0, 80.0, 80.0)), "set-1", old, {})
        assert new == {"x": {"value": 80.0, "spread": 0.0, "abs_tol": 2.0}}

    @pytest.mark.parametrize("values", [(1.0, math.nan, 1.0), (1.0, math.inf, 1.0), (1.0, 1, 1.0)])
    def test_a_float_must_be_finite_and_a_float_under_every_setting(self, values):
        with pytest.raises(PublicationError, match="not a finite float"):
            combine(by_setting(x=values), "set-1", {}, {})

    def test_a_value_that_one_setting_lacks_or_has_alone_is_refused(self):
        measured = {"set-1": {"x": True}, "set-2": {}}
        for declared in measured:
            with pytest.raises(PublicationError, match="x"):
                combine(measured, declared, {}, {})

    def test_every_reason_is_listed(self):
        measured = {"set-1": {"a": True, "b": 0.1}, "set-2": {"a": False, "b": -0.1}}
        with pytest.raises(PublicationError) as error:
            combine(measured, "set-1", {}, {})
        assert "a is a truth" in str(error.value)
        assert "b: 0.1 with a tolerance" in str(error.value)


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path):
        values = {"λ": {"value": 1 / 3, "spread": 1e-7}, "n": 3}
        write(tmp_path / "new" / "a.json", values)
        assert read(tmp_path / "new" / "a.json") == values

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_a_number_that_is_not_finite_is_not_written(self, tmp_path, number):
        with pytest.raises(ValueError, match="JSON"):
            write(tmp_path / "a.json", {"gain": number})
        assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("file", PUBLISHED)
class TestPublished:
    def test_every_float_carries_its_spread(self, file):
        for name, published in PUBLISHED[file].items():
            assert not isinstance(published, float), name
            if isinstance(published, dict):
                assert {"value", "spread"} <= published.keys() <= {"value", "spread", "abs_tol"}

    def test_no_tolerance_hides_a_sign(self, file):
        measured = {
            name: each["value"] if isinstance(each, dict) else each
            for name, each in PUBLISHED[file].items()
        }
        for name, published in PUBLISHED[file].items():
            if isinstance(published, dict):
                assert abs(published["value"]) > tolerance(published), name
        assert differences(PUBLISHED[file], measured) == []

    def test_it_is_valid_json_of_finite_numbers(self, file):
        assert json.dumps(PUBLISHED[file], allow_nan=False)
