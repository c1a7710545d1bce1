"""What silencing costs, and how likely it is by chance."""

import numpy as np
import pandas as pd
import pytest

from xaibook.silencing import permuted, silenced


def test_the_chance_is_how_often_another_choice_is_as_good():
    best = np.array([[1.0, 0.0, 0.0, 0.0]] * 2)
    assert permuted(best) == pytest.approx(1 / 16, abs=0.005)
    alike = np.ones((3, 5))
    assert permuted(alike) == 1
    worst = np.array([[0.0, 1.0, 2.0]])
    assert permuted(worst) == 1


def test_losses_are_compared_picture_by_picture():
    left = {"relevant": {0: 0.9, 10: 0.4}, "random": {0: 0.9, 10: 0.8}}
    means = pd.DataFrame(
        {"group": "g", "network": n, "features": f, "draw": d, "k": k, "p": p}
        for n in ("a", "b")
        for f, draws in (("relevant", 1), ("random", 3))
        for d in range(draws)
        for k, p in left[f].items()
    )
    pictures = pd.DataFrame(
        {"group": "g", "network": n, "image": i, "features": f, "k": k, "p": p, "correct": p > 0.5}
        for n in ("a", "b")
        for i in range(4)
        for f in left
        for k, p in left[f].items()
    ).astype({"correct": float})
    row = silenced(means, pictures, ["group"], 10).iloc[0]
    assert row["relevant"] == pytest.approx(50)
    assert row["difference"] == pytest.approx(40)
    assert row["in accuracy"] == pytest.approx(100)
    assert row["P (chance)"] == pytest.approx(1 / 16, abs=0.005)
