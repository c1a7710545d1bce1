"""Stored maps over photographs."""

import numpy as np
import pandas as pd
import pytest

from xaibook import attended
from xaibook.photographs import free_photographs


def test_maps_are_drawn_with_what_the_network_says_before_and_after():
    pytest.importorskip("skimage")
    cells = {"row": [0, 0, 1, 1], "column": [0, 1, 0, 1], "value": [0.0, 1.0, 2.0, 4.0]}
    table = pd.DataFrame(cells).assign(**{"class": "tabby", "p": 0.75})
    records = pd.concat(
        table.assign(photograph="cat", method=method, o=o)
        for method, o in {"rollout": 0.5, "tibav": 0.25}.items()
    )
    figure = attended.draw(records, free_photographs("cat"), ["tibav", "rollout"])
    picture, tibav, rollout = figure.axes[:3]
    assert picture.get_title() == "tabby\n0.75"
    assert [ax.get_ylabel() for ax in (tibav, rollout)] == ["TIBAV", "Rollout"]
    assert [ax.get_xlabel() for ax in (tibav, rollout)] == ["0.25", "0.50"]
    drawn = tibav.images[0].get_array()
    assert np.ptp(drawn[0, 0]) == pytest.approx(0)  # grey where the map is low
    assert np.ptp(drawn[-1, -1]) > 0.1


def test_a_stored_map_is_found_by_photograph_and_method():
    cells = {"row": [1, 0], "column": [0, 0], "value": [3.0, 1.0], "method": "rollout"}
    other = {"row": [0, 1], "column": [0, 0], "value": [9.0, 0.0], "method": "tibav"}
    records = pd.concat([pd.DataFrame(cells), pd.DataFrame(other)]).assign(photograph="cat")
    assert attended.map_of(records, "cat", "rollout").tolist() == [[[0.0], [1.0]]]
