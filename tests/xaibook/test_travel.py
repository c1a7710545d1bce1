"""How far gains travel, of records whose answer is known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from xaibook.travel import NOBODY, by_image, gains, mean, share, transferred

GAIN = {("a", "a"): 0.8, ("a", "b"): 0.2, ("b", "b"): 0.4, ("b", "a"): 0.4}
"""What each judge gains behind the maps of each maker."""


def records():
    rows = [
        {"network": maker, "judge": judge, "method": "opti-cam", "image": image, "p": 0.5}
        for (maker, judge), image in itertools.product(GAIN, range(4))
    ]
    table = pd.DataFrame(rows)
    table["o"] = [
        0.5 + 0.5 * GAIN[pair] for pair in zip(table["network"], table["judge"], strict=True)
    ]
    nobody = table[table["network"] == "a"].assign(network=NOBODY, method="fake-cam", o=0.4)
    return pd.concat([table, nobody], ignore_index=True)


def test_gains_are_told_by_who_sees_them():
    gained = gains(records())
    assert gained.groupby("seen")["AG"].first().to_dict() == pytest.approx(
        {"its maker": 80, "another network": 20, "no maker": 0}
    )
    own = by_image(gained, "opti-cam", "its maker")
    other = by_image(gained, "opti-cam", "another network")
    assert own.tolist() == pytest.approx([60] * 4)
    assert other.tolist() == pytest.approx([30] * 4)
    assert share(other, own) == pytest.approx((50, 0))
    assert str(mean(own)) == "60.0 ± 0.0"


def test_transfer_of_each_image_is_the_mean_over_makers():
    found = transferred(gains(records()), "opti-cam")
    assert found.tolist() == pytest.approx([100 * (0.25 + 1) / 2] * 4)


def test_a_share_has_the_interval_of_a_ratio_of_means():
    """Against many draws with replacement."""
    rng = np.random.default_rng(0)
    whole = pd.Series(rng.uniform(0.5, 1, 200))
    part = 0.3 * whole + rng.normal(0, 0.1, 200)
    found = share(part, whole)
    places = rng.integers(0, 200, (2000, 200))
    drawn = 100 * part.to_numpy()[places].mean(1) / whole.to_numpy()[places].mean(1)
    assert found.mean == pytest.approx(100 * part.mean() / whole.mean())
    assert found.half == pytest.approx(1.96 * drawn.std(), rel=0.1)
